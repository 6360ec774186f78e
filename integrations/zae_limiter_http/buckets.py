"""Which bucket each rule counts in, so that two that would be at odds over one count apart. Pure.

A bucket knows a limit by its name: two numbers under one name would be carried over to and fro.
"""

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import count
from typing import Any, Final

from zae_limiter_http.facts import HttpRequest
from zae_limiter_http.naming import resource_name
from zae_limiter_http.rule import DEFAULT_RESOURCE, Rule, fixed

_MOST_REMEMBERED: Final = 1_000
_LITERAL_GLOB: Final = re.compile(r"[^*?\[]*")
_LITERAL_ROUTE: Final = re.compile(r"[^{}<>()^$\\.*+?|\[]*")


class Buckets:
    """The resources of the rules of one application: those of its settings, and those that stand at its views.

    Rules that name no resource count together, unless their limits or their keys differ: then the later ones count
    apart, rules by route under the name of the route with a number behind it.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._fixed = resources_of(rules)
        self._taken: dict[str, list[Rule]] = {}
        for rule in rules:
            if rule.identity in self._fixed and not rule.exempt:
                self._taken.setdefault(self._fixed[rule.identity], []).append(rule)
        self._by_route = tuple(rule for rule in rules if rule.is_by_route and not rule.exempt)
        self._known: dict[tuple[str | None, ...], str] = {}

    def of(self, rule: Rule, request: HttpRequest, at_view: Sequence[Rule] = ()) -> str:
        """The resource of a rule that does not compute it; `at_view` are the rules at the view of the request."""
        if not rule.is_by_route:
            return self._fixed.get(rule.identity) or str(rule.resource_of(request))
        name = str(rule.resource_of(request))
        if rule.limits is None or (name not in self._taken and not self._by_route and len(at_view) < 2):
            # Stored limits are looked up under the name of the route alone.
            return name
        signature = (name, request.route, rule.identity, *[each.identity for each in at_view])
        found = self._known.get(signature)
        if found is None:
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            found = self._known[signature] = self._apart(rule, name, request, at_view)
        return found

    def counted_at(self, name: str, requests: Sequence[HttpRequest]) -> list[Rule]:
        """The rules of the settings that count under a name for one of these requests."""
        by_route = [rule for rule in self._by_route if any(self.of(rule, each) == name for each in requests)]
        return [*self._taken.get(name, ()), *by_route]

    def _apart(self, rule: Rule, name: str, request: HttpRequest, at_view: Sequence[Rule]) -> str:
        counted = {place: list(rules) for place, rules in self._taken.items()}
        meeting = [each for each in self._by_route if may_match(each, request)]
        # Stored limits cannot be found under another name, so that the others make room for them.
        for each in sorted((*meeting, *at_view, rule), key=_may_not_move):
            if each.resource != rule.resource:
                continue
            # What stands at a view counts for itself, what stands in the settings together where it can.
            is_apart = are_at_odds if each in meeting else are_others
            place = next(
                place
                for place in _candidates(name)
                if each.limits is None or not any(is_apart(each, other) for other in counted.get(place, ()))
            )
            if each.identity == rule.identity:
                return place
            counted.setdefault(place, []).append(each)
        raise AssertionError("a rule is among the rules")  # pragma: no cover - it is the last of them


def may_match(rule: Rule, request: HttpRequest) -> bool:
    """Whether a rule can be about a request of this route, whatever stands for the parts of its template."""
    match, route = rule.match, request.route
    if not isinstance(match, str) or route is None:
        return True
    if match.startswith(("route:", "view:")):
        return fnmatchcase((route if match[0] == "r" else request.view) or "", match.partition(":")[2])
    literal, known = _LITERAL_GLOB.match(match)[0], _LITERAL_ROUTE.match(route)[0]  # type: ignore[index] # may be ""
    # Below a mount or a script's name the path has more before it than the template tells.
    return not request.path.startswith(known) or literal.startswith(known) or known.startswith(literal)


def _may_not_move(rule: Rule) -> int:
    if rule.limits is None:
        return 0
    # A callable may say that they are stored after all.
    return 1 if callable(rule.limits) else 2


def _candidates(name: str) -> Iterator[str]:
    yield name
    yield from (resource_name(f"{name}/{number}") for number in count(2))


def are_at_odds(first: Rule, second: Rule) -> bool:
    """Whether two rules cannot count in one bucket: by other limits of one name, or as limits of two callers."""
    if not isinstance(first.limits, tuple) or not isinstance(second.limits, tuple):
        return first.limits != second.limits or first.key != second.key
    return are_others(first, second) and (first.key != second.key or bool(_differing(first, second)))


def are_others(first: Rule, second: Rule) -> bool:
    """Whether two rules say something of limits of one name, and not the same."""
    if first.identity == second.identity:
        return False
    if not isinstance(first.limits, tuple) or not isinstance(second.limits, tuple):
        return True
    return not {limit.name for limit in fixed(first.limits)}.isdisjoint(limit.name for limit in fixed(second.limits))


def resources_of(rules: Sequence[Rule]) -> dict[str, str]:
    """The resource of each rule that does not compute it, by the identity of the rule."""
    found: dict[str, str] = {}
    taken: dict[str, list[Rule]] = {}
    for rule in rules:
        if callable(rule.resource) or rule.is_by_route or rule.identity in found:
            continue
        resource = rule.resource or rule.name
        if resource is None:
            resource = _named(rule, taken)
        found[rule.identity] = str(resource)
        if not rule.exempt:
            taken.setdefault(str(resource), []).append(rule)
    return found


def _named(rule: Rule, taken: dict[str, list[Rule]]) -> str:
    match = rule.match if isinstance(rule.match, str) else getattr(rule.match, "__name__", "")
    words = [word for word in re.split(r"[^A-Za-z0-9_.]+", match) if word] + sorted(rule.methods or ())
    own = "/".join([DEFAULT_RESOURCE, *words])
    candidates = [DEFAULT_RESOURCE, *([resource_name(own)] if words else [])]
    candidates += [f"{DEFAULT_RESOURCE}/{place}" for place in range(2, len(taken) + 3)]
    return next(name for name in candidates if not any(are_at_odds(rule, other) for other in taken.get(name, ())))


def _differing(first: Rule, second: Rule) -> list[str]:
    theirs = {limit.name: limit for limit in fixed(second.limits)}
    return [limit.name for limit in fixed(first.limits) if theirs.get(limit.name, limit) != limit]


def clashes(rules: Sequence[Rule]) -> list[str]:
    """What is wrong with rules that a configuration puts into one bucket, each with its place."""
    mistakes: list[str] = []
    named: list[tuple[int, Any, Rule]] = []
    for index, rule in enumerate(rules):
        resource: Any = rule.name if rule.resource is None else rule.resource
        if rule.exempt or callable(resource) or resource is None or rule.is_by_route:
            continue
        for place, other_resource, other in named:
            if other_resource == resource:
                mistakes += [
                    f"rules[{index}].limits: {name!r} of resource {resource!r} is another in rules[{place}];"
                    " they would count in one bucket: name another resource, or the limit otherwise"
                    for name in _differing(rule, other)
                ]
        named.append((index, resource, rule))
    return mistakes
