"""`manage.py zae_limiter_simulate`: what the rules say of a request that nobody has sent; nothing is charged."""

from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.test import RequestFactory

from zae_limiter.blocking import run
from zae_limiter_django.facts import facts, resolved
from zae_limiter_django.guard import Guard
from zae_limiter_django.management.stored import opened
from zae_limiter_django.throttled import inside
from zae_limiter_django.views import rules_of
from zae_limiter_http.rules import Claim


class Command(BaseCommand):
    """Resolves the URL and asks the rules; neither middleware nor view runs."""

    help = "Shows who would be charged for a request, for what, and what is left; charges nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        """Say what the command takes."""
        parser.add_argument("path", help="such as /api/items/1")
        parser.add_argument("--method", default="GET", help="GET if absent")
        parser.add_argument("--header", action="append", default=[], metavar="NAME:VALUE", help="may be repeated")
        parser.add_argument("--peer", default="127.0.0.1", help="the address at the other end; 127.0.0.1 if absent")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the command."""
        headers = dict(_header(text) for text in options["header"])
        method: str = options["method"].upper()
        try:
            request = RequestFactory().generic(method, options["path"], headers=headers, REMOTE_ADDR=options["peer"])
        except ValueError as error:
            raise CommandError(f"{options['path']!r} is no path: {error}") from error
        if apps.is_installed("django.contrib.auth"):
            # Its models cannot be imported by a project that does without.
            from django.contrib.auth.models import AnonymousUser

            request.user = AnonymousUser()
        with opened() as guard:
            known = facts(request, is_async=False)
            match = resolved(request)
            if match is None:
                self.stdout.write("no view: only rules of the path apply")
            else:
                known.place(match)
                self.stdout.write(f"view {known.view}, route {known.route}")
            also = () if match is None else (*rules_of(match.func, method), *inside(match.func, guard.settings.rules))
            applied = run(guard.gate._rules.applied(known, seen=set(), also=also))
            if not applied.claims:
                self.stdout.write("exempt" if applied.is_exempt else "no rule covers it")
            for claim in applied.claims:
                self.stdout.write(_line(guard, claim))


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise CommandError(f"--header {text!r}: write NAME:VALUE")
    return name.strip(), value.strip()


def _line(guard: Guard, claim: Claim) -> str:
    rule, charge, _ = claim
    named = rule.name or (rule.match if isinstance(rule.match, str) and rule.match != "*" else "a rule")
    left = run(guard.limiter.available(charge.entity_id, charge.resource, charge.limits))
    told = ", ".join(f"{name} {available} left" for name, available in left.items())
    return f"{named}: {charge.entity_id} for {charge.resource}: {told}"
