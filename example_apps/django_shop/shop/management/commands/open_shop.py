"""`manage.py open_shop`: makes the database, and somebody who buys and somebody who works here."""

from typing import Any

from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import BaseCommand
from rest_framework.authtoken.models import Token


class Command(BaseCommand):
    """May be run again."""

    help = "Makes the database with ann, who buys, and sam, who is staff; prints their tokens."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the command."""
        call_command("migrate", verbosity=0)
        for name in ("ann", "sam"):
            user, _ = User.objects.get_or_create(username=name, defaults={"is_staff": name == "sam"})
            user.set_password(f"{name}-password")
            user.save()
            token, _ = Token.objects.get_or_create(user=user)
            self.stdout.write(f"{name} signs in with {name}-password; token {token.key}")
