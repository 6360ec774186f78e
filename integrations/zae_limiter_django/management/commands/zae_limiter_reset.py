"""`manage.py zae_limiter_reset`: makes the buckets of an entity full again."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from zae_limiter.blocking import run
from zae_limiter_django.management.stored import opened


class Command(BaseCommand):
    """Asks before it does, unless told otherwise."""

    help = "Makes the buckets of an entity full again, of one resource or of all."

    def add_arguments(self, parser: CommandParser) -> None:
        """Say what the command takes."""
        parser.add_argument("entity", help="such as user:42, ip4:203.0.113.7")
        parser.add_argument("resource", nargs="?", help="such as http, or the route of a view; all if absent")
        parser.add_argument("--yes", action="store_true", help="do it; without it nothing is done")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the command."""
        if not options["yes"]:
            raise CommandError("this gives an entity all its tokens back; say --yes")
        with opened() as guard:
            number = run(guard.limiter.reset(options["entity"], options["resource"]))
        self.stdout.write(f"{number} bucket{'s are' if number != 1 else ' is'} full again")
