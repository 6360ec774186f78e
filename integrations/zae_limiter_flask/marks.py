"""Marks: what `@limiter.limit` and its like leave at a view, a class of views or a blueprint.

A mark holds the words of a rule and who left it; the rule itself is made for the route that it is found at.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from flask import Blueprint, Flask
from flask.typing import RouteCallable

from zae_limiter_http import HttpRequest, Rule, SettingsError
from zae_limiter_http.buckets import Buckets, are_others, clashes
from zae_limiter_http.layers import layers
from zae_limiter_http.naming import resource_name

_ATTRIBUTE: Final = "__zae_limiter_marks__"


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """The words of one rule, left by one extension."""

    owner: object
    words: Mapping[str, Any]
    rules: dict[tuple[Any, str], Rule] = field(default_factory=dict)

    @property
    def resource(self) -> Any:
        """The resource that the words name; None where that is the place."""
        return self.words.get("resource") or self.words.get("name")

    def rule(self, key: Any, place: str) -> Rule:
        """The rule at a place: charged by `key` and for the place itself, where its words name no other."""
        found = self.rules.get((key, place))
        if found is None:
            resource = self.resource or resource_name(place)
            words: dict[str, Any] = {"key": key, **self.words, "resource": resource}
            found = self.rules[key, place] = Rule(**words)
        return found


def leave(target: Any, mark: Mark) -> bool:
    """Put a mark on a view, a class of views or a blueprint; false where it carries one that says the same.

    Raises `TypeError` for what cannot carry one, and `SettingsError` where it would be at odds with another one over
    the bucket that both name.
    """
    if any(each.owner is mark.owner and each.words == mark.words for each in carried(target)):
        return False  # An application that is made anew, for each test say, marks the blueprint of a module again.
    own = [each.rule("ip", "view") for each in (*carried(target), mark) if each.owner is mark.owner and each.resource]
    mistakes = [each.partition(" ")[2] for each in clashes(own)]
    if mistakes:
        raise SettingsError([f"limits: {each}" for each in mistakes])
    try:
        # A new tuple each time: functools.wraps copies the attribute, and what is put on a wrapper stays on it.
        setattr(target, _ATTRIBUTE, (*carried(target), mark))
    except AttributeError:
        raise TypeError(f"{target!r} cannot be limited; give a view function, a view class or a blueprint") from None
    return True


def carried(target: Any) -> tuple[Mark, ...]:
    """The marks on an object."""
    found: tuple[Mark, ...] = getattr(target, _ATTRIBUTE, ())
    return found


def rules_of(app: Flask, owner: object, key: Any, endpoint: str, method: str, buckets: Buckets) -> tuple[Rule, ...]:
    """What the marks of an extension say at an endpoint: those of its blueprints, outermost first, then its own."""
    rules: list[Rule] = []
    requests = [
        HttpRequest(method, url.rule, route=url.rule, view=endpoint) for url in app.url_map.iter_rules(endpoint)
    ]
    for mark, place in marks_at(app, endpoint, method).items():
        if mark.owner is owner:
            rules.append(_apart(mark, key, place, rules, lambda name: buckets.counted_at(name, requests)))
    return tuple(rules)


def _apart(
    mark: Mark, key: Any, place: str, others: Sequence[Rule], counted_at: Callable[[str], Sequence[Rule]]
) -> Rule:
    """The rule of a mark; what cannot share a bucket counts apart, unless the words say where."""
    rule = mark.rule(key, place)
    number = 2
    while mark.resource is None and rule.limits is not None and _is_at_odds(rule, others, counted_at):
        rule = mark.rule(key, f"{place}/{number}")
        number += 1
    return rule


def _is_at_odds(rule: Rule, others: Sequence[Rule], counted_at: Callable[[str], Sequence[Rule]]) -> bool:
    name = str(rule.resource)
    beside = [*(other for other in others if other.resource == name), *counted_at(name)]
    return any(are_others(rule, other) for other in beside)


def marks_at(app: Flask, endpoint: str, method: str) -> dict[Mark, str]:
    """The marks that a request for an endpoint meets, each with its place."""
    found: dict[Mark, str] = {}
    for place, target in _places(app, endpoint, method):
        for mark in carried(target):
            found.setdefault(mark, place)
    return found


def _places(app: Flask, endpoint: str, method: str) -> Iterator[tuple[str, Any]]:
    for name in blueprints_of(endpoint):
        blueprint = app.blueprints.get(name)
        if isinstance(blueprint, Blueprint):
            yield f"blueprint/{name}", blueprint
    view: RouteCallable = app.view_functions[endpoint]
    for layer in layers(view):
        yield endpoint, layer
    view_class = getattr(view, "view_class", None)
    if view_class is not None:
        yield endpoint, view_class
        yield endpoint, getattr(view_class, "dispatch_request", None)
        yield endpoint, _handler(view_class, method)


def blueprints_of(endpoint: str) -> Sequence[str]:
    """The names of the blueprints around an endpoint, outermost first."""
    parts = endpoint.split(".")[:-1]
    return [".".join(parts[: index + 1]) for index in range(len(parts))]


def _handler(view_class: Any, method: str) -> Any:
    # As Flask dispatches: a HEAD without a method of its own is answered by that for GET.
    found = getattr(view_class, method.lower(), None)
    return getattr(view_class, "get", None) if found is None and method == "HEAD" else found
