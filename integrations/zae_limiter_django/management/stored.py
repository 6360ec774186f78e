"""What the commands share: the limiter of the project, its errors as those of a command, and every limit it knows."""

import contextlib
from collections.abc import Generator, Iterator
from typing import NamedTuple

from django.core.management.base import CommandError

from zae_limiter.blocking import run
from zae_limiter.exceptions import ZAELimiterError
from zae_limiter.limiter import RateLimiter
from zae_limiter_django import conf
from zae_limiter_django.facts import template
from zae_limiter_django.guard import Guard
from zae_limiter_django.views import every_view, rules_of
from zae_limiter_http import HttpRequest, Rule
from zae_limiter_http.buckets import may_match


@contextlib.contextmanager
def opened() -> Generator[Guard]:
    """The guard of the project, its store reached; what goes wrong is told as an error of the command."""
    try:
        guard = conf.guard(is_async=False)
        if not guard.limiter.repository.is_open:
            run(guard.limiter.repository.open())
        yield guard
    except ZAELimiterError as error:
        raise CommandError(str(error)) from error


class Left(NamedTuple):
    """What is left of one limit."""

    resource: str
    limit_name: str
    available: int


def left_of(limiter: RateLimiter, rules: Iterator[tuple[str, Rule]], entity: str, only: str | None) -> list[Left]:
    """What an entity has left: of the limits that are stored, and of those that stand in rules."""
    found: dict[tuple[str, str], Left] = {}
    for state in run(limiter.repository.get_buckets(entity, only)):
        key = (state.resource, state.limit_name)
        found[key] = Left(*key, state.tokens_milli // 1000)
    for resource, rule in rules:
        if only in (None, resource) and isinstance(rule.limits, tuple):
            for name, available in run(limiter.available(entity, resource, rule.limits)).items():
                found[resource, name] = Left(resource, name, available)
    return [found[key] for key in sorted(found)]


def rules_with_resources(guard: Guard) -> Iterator[tuple[str, Rule]]:
    """Every rule of the settings and of the views that names its limits, with each resource that it charges."""
    buckets = guard.settings.buckets()
    for rule in guard.settings.rules:
        if not callable(rule.resource) and not rule.asks_for_route:
            yield buckets.of(rule, HttpRequest("GET", "/")), rule
    for each in every_view():
        route = template(each.route)
        request = HttpRequest("GET", route, route=route, view=each.name)
        at_view = rules_of(each.view)
        for rule in (*(rule for rule in guard.settings.rules if rule.asks_for_route), *at_view):
            if not callable(rule.resource) and may_match(rule, request):
                yield buckets.of(rule, request, [each for each in at_view if each.is_by_route]), rule
