"""Which rules apply to which route, told without a request; and which limits are on no route at all."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

from flask import Flask

from zae_limiter.models import Limit
from zae_limiter_flask.marks import marks_at
from zae_limiter_flask.serving import Served
from zae_limiter_http import HttpRequest, Rule

Placed: TypeAlias = tuple[Rule, str]


@dataclass(frozen=True, slots=True)
class Route:
    """A route with the rules that apply to it and their resources; `may` holds what only a request can answer."""

    template: str
    method: str
    endpoint: str
    rules: tuple[Placed, ...]
    may: tuple[Placed, ...]

    @property
    def is_exempt(self) -> bool:
        """Whether its requests pass uncharged, whatever the other rules say."""
        return any(rule.exempt for rule, _ in self.rules)

    @property
    def told(self) -> list[str]:
        """What applies, a line a rule; nothing where no rule does."""
        if self.is_exempt:
            return ["exempt"]
        return [_told(*pair) for pair in self.rules] + [f"perhaps {_told(*pair)}" for pair in self.may]


def routes_of(app: Flask, served: Served) -> Iterator[Route]:
    """Every route of an application by method, but HEAD, which goes as GET does."""
    for url_rule in sorted(app.url_map.iter_rules(), key=lambda found: found.rule):
        for method in sorted((url_rule.methods or set()) - {"HEAD"}):
            request = HttpRequest(method, url_rule.rule, route=url_rule.rule, view=url_rule.endpoint)
            rules, may = _rules_at(served, request)
            yield Route(url_rule.rule, method, url_rule.endpoint, rules, may)


def _rules_at(served: Served, request: HttpRequest) -> tuple[tuple[Placed, ...], tuple[Placed, ...]]:
    settings, found, may = served.settings, list[Rule](), list[Rule]()
    if request.method in settings.exempt_methods or any(fnmatchcase(request.path, it) for it in settings.exempt_paths):
        return ((Rule(exempt=True), ""),), ()
    for rule in settings.rules:
        if callable(rule.match):
            may.append(rule)
        elif rule.matches(request):
            found.append(rule)
            if rule.last:
                break
    found += [rule for rule in served.rules_of(str(request.view), request.method) if rule.matches(request)]

    def placed(rules: Sequence[Rule]) -> tuple[Placed, ...]:
        return tuple((rule, _resource(rule, request, served)) for rule in rules)

    return placed(found), placed(may)


def _resource(rule: Rule, request: HttpRequest, served: Served) -> str:
    return f"what {_name(rule.resource)}() says" if callable(rule.resource) else served.buckets.of(rule, request)


def counted(app: Flask, served: Served) -> dict[tuple[str, Limit], None]:
    """Each limit that stands in the code or the configuration, with the resource that it counts for."""
    found: dict[tuple[str, Limit], None] = {}
    for route in routes_of(app, served):
        for rule, resource in (*route.rules, *route.may):
            if not callable(rule.resource) and isinstance(rule.limits, tuple):
                found |= {(resource, limit): None for limit in rule.limits}
    return found


def stray_targets(app: Flask, served: Served) -> list[str]:
    """What carries a limit and answers no route, such as a blueprint that was never registered."""
    endpoints = [rule.endpoint for rule in app.url_map.iter_rules()]
    methods = {method for rule in app.url_map.iter_rules() for method in rule.methods or ()}
    reached = {mark for endpoint in endpoints for method in methods for mark in marks_at(app, endpoint, method)}
    return [_name(target) for mark, target in served.extension.marks if mark not in reached]


def _told(rule: Rule, resource: str) -> str:
    return f"{_limits(rule.limits)} by {_key(rule.key)}, counted as {resource}"


def _limits(limits: Any) -> str:
    if limits is None:
        return "stored limits"
    if callable(limits):
        return f"what {_name(limits)}() says"
    found: Sequence[Limit] = limits
    return "; ".join(limit.as_text() or limit.name for limit in found)


def _key(key: Any) -> str:
    if callable(key):
        return f"{_name(key)}()"
    return key if isinstance(key, str) else ", ".join(_key(each) for each in key)


def _name(target: Any) -> str:
    return str(getattr(target, "__qualname__", None) or getattr(target, "name", None) or target)
