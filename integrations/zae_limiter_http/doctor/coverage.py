"""Which rules apply to a route, as far as the application itself can tell; what a request decides is named."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import combinations
from typing import Any, Final

from zae_limiter.models import Limit
from zae_limiter_http.buckets import Buckets
from zae_limiter_http.doctor.report import AppliedRule, RouteReport
from zae_limiter_http.doctor.subject import FoundRoute
from zae_limiter_http.facts import HttpRequest
from zae_limiter_http.rule import Rule, fixed
from zae_limiter_http.settings import Settings

_PLACEHOLDER: Final = re.compile(r"\{[^{}]*\}|<[^<>]*>|\([^()]*\)")
# What a route that is a regular expression has besides its text, as those of Django REST framework's routers.
_OF_PATTERNS: Final = re.compile(r"[\^$\\]|(?<=/)\?")
_THROTTLE: Final = "throttle:"
_AUTOMATIC: Final = frozenset({"HEAD", "OPTIONS"})


def route_report(route: FoundRoute, settings: Settings) -> RouteReport:
    """The rules of a route, in their order: those of the settings, then those at the view."""
    path = sample_path(route.template)
    methods = tuple(method for method in route.methods if method not in _AUTOMATIC) or route.methods
    found = _Found(route, path, methods, settings.buckets())
    exempt = _exempt_path(path, settings)
    for rules, place in ((settings.rules, "rules[{}]"), (route.rules, "view")):
        for index, rule in enumerate(rules):
            told = place.format(index)
            fitting = [method for method in methods if may_match(rule, route, path, method)]
            if rule.exempt and len(fitting) == len(methods) and not callable(rule.match):
                exempt = exempt or told
            if rule.exempt or not fitting:
                continue
            found.add(rule, told, fitting)
            if rule.last and not callable(rule.match) and not _is_of_throttles(rule):
                break
    if not found.applied and exempt is None:
        _unmapped(found, settings)
    shown = () if exempt else tuple(rule for rule, _ in found.applied)
    return RouteReport(
        f"/{route.template.lstrip('/^')}", methods, route.view, shown, exempt, route.is_own, found.at_odds()
    )


@dataclass(frozen=True, slots=True)
class _Found:
    route: FoundRoute
    path: str
    methods: Sequence[str]
    buckets: Buckets
    applied: list[tuple[AppliedRule, Rule]] = field(default_factory=list[tuple[AppliedRule, Rule]])

    def add(self, rule: Rule, place: str, fitting: Sequence[str]) -> None:
        when = ", ".join(_conditions(rule, [] if len(fitting) == len(self.methods) else fitting))
        request = _request(self.route, self.path, fitting[0])
        resource = (
            name_of(rule.resource)
            if callable(rule.resource)
            else self.buckets.of(rule, request, [each for each in self.route.rules if each.is_by_route])
        )
        named = f"{place} {rule.name}" if rule.name else place
        told = AppliedRule(named, key_text(rule.key), resource, _limits(rule.limits), _cost(rule.cost), when)
        self.applied.append((told, rule))

    def at_odds(self) -> tuple[str, ...]:
        """Rules that would carry one limit of one bucket to and fro between their numbers."""
        return tuple(
            f"{first.place} and {second.place} have other numbers for {limit.name!r} of resource {first.resource!r}"
            for (first, rule), (second, other) in combinations(self.applied, 2)
            if first.resource == second.resource and not callable(rule.resource) and not callable(other.resource)
            for limit in fixed(rule.limits)
            if any(theirs.name == limit.name and theirs != limit for theirs in fixed(other.limits))
        )


def _unmapped(found: _Found, settings: Settings) -> None:
    if settings.default_rule is not None and settings.on_unmapped in (None, "limit"):
        found.add(settings.default_rule, "default_rule", found.methods)
    elif settings.on_unmapped == "deny":
        found.applied.append((AppliedRule("on_unmapped", "", "", "denied", ""), Rule()))


def sample_path(template: str) -> str:
    """A path that a template matches, for globs to be tried on."""
    return "/" + _OF_PATTERNS.sub("", _PLACEHOLDER.sub("1", template)).lstrip("/")


def _request(route: FoundRoute, path: str, method: str) -> HttpRequest:
    return HttpRequest(method, path, route=route.template, view=route.view)


def _exempt_path(path: str, settings: Settings) -> str | None:
    if not settings.enabled:
        return "enabled=False"
    return next((f"exempt_paths {glob!r}" for glob in settings.exempt_paths if fnmatchcase(path, glob)), None)


def may_match(rule: Rule, route: FoundRoute, path: str, method: str) -> bool:
    """Whether a rule applies to a route asked in one method, or may do so where only a request can tell."""
    if callable(rule.match):
        return rule.methods is None or method in rule.methods
    if _is_of_throttles(rule):
        glob = rule.match.removeprefix(_THROTTLE)
        return (
            route.throttle_scope is not None
            and fnmatchcase(route.throttle_scope, glob)
            and (rule.methods is None or method in rule.methods)
        )
    return bool(rule.matches(_request(route, path, method)))


def _is_of_throttles(rule: Rule) -> bool:
    return isinstance(rule.match, str) and rule.match.startswith(_THROTTLE)


def _conditions(rule: Rule, methods: Sequence[str]) -> Iterator[str]:
    if methods:
        yield "/".join(methods)
    if callable(rule.match):
        yield f"if {name_of(rule.match)}"
    if rule.exempt_when is not None:
        yield f"unless {name_of(rule.exempt_when)}"
    if getattr(rule, "shadow", False):
        yield "shadow"


def key_text(key: Any) -> str:
    """A key as users write it."""
    if callable(key):
        return name_of(key)
    return key if isinstance(key, str) else ", ".join(key_text(each) for each in key)


def _limits(limits: Any) -> str:
    if limits is None:
        return "as stored"
    if callable(limits):
        return name_of(limits)
    return "; ".join(each.as_text() or each.name if isinstance(each, Limit) else str(each) for each in limits) or "none"


def _cost(cost: Any) -> str:
    if cost is None:
        return "1 request"
    if isinstance(cost, Mapping):
        return ", ".join(f"{name}={amount}" for name, amount in cost.items())
    return name_of(cost) if callable(cost) else str(cost)


def name_of(function: Any) -> str:
    """What a callable is called."""
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return f"{str(name).rpartition('<locals>.')[2]}()"
