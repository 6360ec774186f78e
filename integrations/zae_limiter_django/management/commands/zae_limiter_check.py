"""`manage.py zae_limiter_check`: the system checks of the limiter, and whether its store answers."""

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from zae_limiter.blocking import run
from zae_limiter_django.checks import TAG
from zae_limiter_django.management.stored import opened


class Command(BaseCommand):
    """Reaches the store; the checks themselves never do."""

    help = "Checks the setting ZAE_LIMITER and the order of middleware, and whether the store answers."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the command."""
        call_command("check", "--tag", TAG, stdout=self.stdout, stderr=self.stderr)
        with opened() as guard:
            address = guard.limiter.repository.address
            if not run(guard.limiter.is_available()):
                raise CommandError(f"{address} does not answer")
        rules = len(guard.settings.rules)
        self.stdout.write(self.style.SUCCESS(f"{address} answers; {rules} rule{'s' * (rules != 1)} in ZAE_LIMITER."))
