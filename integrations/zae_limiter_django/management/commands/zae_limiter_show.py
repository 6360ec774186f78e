"""`manage.py zae_limiter_show`: what an entity has left."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from zae_limiter_django.management.stored import left_of, opened, rules_with_resources


class Command(BaseCommand):
    """Shows the limits that are stored, and those that stand in rules and views."""

    help = "Shows what an entity such as user:42 or ip4:203.0.113.7 has left, of one resource or of all."

    def add_arguments(self, parser: CommandParser) -> None:
        """Say what the command takes."""
        parser.add_argument("entity", help="such as user:42, ip4:203.0.113.7")
        parser.add_argument("resource", nargs="?", help="such as http, or the route of a view; all if absent")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the command."""
        with opened() as guard:
            rows = left_of(guard.limiter, rules_with_resources(guard), options["entity"], options["resource"])
        if not rows:
            raise CommandError("no limit is known here; limits of callables are known to their requests alone")
        width = max(len(row.resource) for row in rows)
        for row in rows:
            self.stdout.write(f"{row.resource:<{width}}  {row.limit_name}  {row.available} left")
