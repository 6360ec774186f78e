"""Rules: from the facts of a request to charges, or to nothing.

Every rule that matches applies, all or nothing together; `last=True` ends the search, `exempt=True` lets the
request pass uncharged whatever the others say.
"""

import difflib
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final, Literal, TypeAlias

from zae_limiter.exceptions import ValidationError, ZAELimiterError
from zae_limiter.models import Charge, Limit, Limits, OnUnavailableAction, check_limits, limits_from_text
from zae_limiter.naming import check_resource
from zae_limiter_http.callers import Callers, Key, answer, checked_key
from zae_limiter_http.facts import HttpRequest
from zae_limiter_http.naming import resource_name

Match: TypeAlias = str | Callable[[Any], Any]
Cost: TypeAlias = int | Mapping[str, int] | Callable[[Any], Any]
RuleLimits: TypeAlias = Limits | Callable[[Any], Any]
RefundOn: TypeAlias = Literal["never", "5xx"] | Callable[[int], bool]

DEFAULT_RESOURCE: Final = "http"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY"})
_WORDS: Final = (
    "match",
    "key",
    "resource",
    "limits",
    "cost",
    "methods",
    "exempt",
    "exempt_when",
    "last",
    "max_wait",
    "on_unavailable",
    "refund_on",
    "name",
    "validated",
    "problem",
)


class SettingsError(ZAELimiterError, ValueError):
    """A configuration cannot work; `mistakes` has each one with its place, all found at once."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        self.mistakes = list(mistakes)
        super().__init__("\n".join(self.mistakes))


class Rule:
    """Which requests are charged, to whom, for what, and how much.

    `match` is a glob of the path, `route:` with a glob of the route's template, `view:` with a glob of the view's
    name, or a callable of the request. `key` says who is charged, `resource` for what, `limits` which limits are
    in force (those stored for entity, resource and system if absent), `cost` how many tokens a request takes.
    A rule that cannot work is told as `SettingsError` where it is put to use, with all of its mistakes.
    """

    __slots__ = (*_WORDS, "identity", "mistakes")

    def __init__(
        self,
        match: Match = "*",
        *,
        key: Key = "auto",
        resource: str | Callable[[Any], Any] | None = None,
        limits: RuleLimits | None = None,
        cost: Cost | None = None,
        methods: Sequence[str] | None = None,
        exempt: bool = False,
        exempt_when: Callable[[Any], Any] | None = None,
        last: bool = False,
        max_wait: float = 0,
        on_unavailable: OnUnavailableAction | None = None,
        refund_on: RefundOn | None = None,
        name: str | None = None,
        validated: Callable[[str], Any] | None = None,
        problem: Literal["abnormal-usage"] | None = None,
        **unknown: Any,
    ) -> None:
        self.mistakes = [f"{word}: {_unknown(word)}" for word in unknown]
        self.match = match
        self.key = self._checked("key", lambda: checked_key(key), "auto")
        self.resource = resource
        self.limits: RuleLimits | None = limits if callable(limits) or limits is None else self._limits(limits)
        self.cost = cost
        self.methods = None if methods is None else frozenset(str(method).upper() for method in methods)
        self.exempt = exempt
        self.exempt_when = exempt_when
        self.last = last
        self.max_wait = max_wait
        self.on_unavailable: OnUnavailableAction | None = on_unavailable
        self.refund_on: RefundOn | None = refund_on
        self.name = name
        self.validated = validated
        self.problem = problem
        # Two rules of the same words are one rule: a limiter that is installed twice charges it once.
        words = (getattr(self, word) for word in _WORDS)
        self.identity = tuple(repr(sorted(word) if isinstance(word, frozenset) else word) for word in words)
        self._check()

    def _checked(self, place: str, check: Callable[[], Any], otherwise: Any) -> Any:
        try:
            return check()
        except ValidationError as error:
            self.mistakes.append(f"{place}: {error.reason} (got {error.value!r})")
            return otherwise

    def _limits(self, limits: Limits) -> Limits:
        if isinstance(limits, str):
            found: Limits = self._checked("limits", lambda: limits_from_text(limits), ())
        else:
            each = [
                self._checked(f"limits[{index}]", functools.partial(_limit, one), None)
                for index, one in enumerate(limits)
            ]
            whole = [limit for limit in each if limit is not None]
            found = self._checked("limits", lambda: check_limits(whole), ())
        names = [limit.name.lower() for limit in found if isinstance(limit, Limit)]
        for twice in sorted({name for name in names if names.count(name) > 1}):
            self.mistakes.append(f"limits: names that differ only by case are one in headers: {twice!r}")
        return found

    def _check(self) -> None:
        self._check_match()
        if isinstance(self.resource, str) and self.resource not in ("route", "method+route"):
            self._checked("resource", lambda: check_resource(self.resource), None)
        if self.name is not None:
            self._checked("name", lambda: check_resource(self.name), None)
        for method in sorted((self.methods or frozenset()) - _METHODS):
            self.mistakes.append(f"methods: {method!r} is no method of HTTP")
        if self.on_unavailable not in (None, "allow", "block"):
            self.mistakes.append("on_unavailable: must be 'allow' or 'block'")
        if not (self.refund_on in (None, "never", "5xx") or callable(self.refund_on)):
            self.mistakes.append("refund_on: must be 'never', '5xx' or a callable of the status")
        if self.problem not in (None, "abnormal-usage"):
            self.mistakes.append("problem: must be 'abnormal-usage'")
        if type(self.max_wait) not in (int, float) or not 0 <= self.max_wait <= 3_600:
            self.mistakes.append("max_wait: must be a number of seconds from 0 to 3600")
        for word in ("exempt", "last"):
            if type(getattr(self, word)) is not bool:
                self.mistakes.append(f"{word}: must be True or False")
        for word in ("exempt_when", "validated"):
            if getattr(self, word) is not None and not callable(getattr(self, word)):
                self.mistakes.append(f"{word}: must be a callable")
        self._check_cost()

    def _check_match(self) -> None:
        if callable(self.match) or (isinstance(self.match, str) and self.match):
            return
        self.mistakes.append("match: must be a glob, 'route:<glob>', 'view:<glob>' or a callable")

    def _check_cost(self) -> None:
        cost = self.cost
        if cost is None or callable(cost):
            return
        amounts = cost if isinstance(cost, Mapping) else {"": cost}
        known = [limit.name for limit in _fixed(self.limits)] or None
        for name, amount in amounts.items():
            place = f"cost.{name}" if name else "cost"
            if type(amount) is not int or amount < 0:
                self.mistakes.append(f"{place}: must be an int of at least 0 (got {amount!r})")
            if name and known is not None and name not in known:
                self.mistakes.append(f"{place}: no such limit; the rule has {', '.join(known) or 'none'}")

    def matches(self, request: HttpRequest) -> Any:
        """Whether the rule is about this request; awaitable where `match` is async."""
        if self.methods is not None and not self._has_method(request.method):
            return False
        match = self.match
        if not isinstance(match, str):
            return match(request.native)
        if match.startswith("route:"):
            return request.route is not None and fnmatchcase(request.route, match[6:])
        if match.startswith("view:"):
            return request.view is not None and fnmatchcase(request.view, match[5:])
        return match == "*" or fnmatchcase(request.path, match)

    def _has_method(self, method: str) -> bool:
        methods = self.methods or frozenset()
        return method in methods or (method == "HEAD" and "GET" in methods)

    @property
    def asks_for_route(self) -> bool:
        """Whether the rule looks at the template or the view of a request."""
        by_match = isinstance(self.match, str) and self.match.startswith(("route:", "view:"))
        return by_match or self.resource in ("route", "method+route")

    def resource_of(self, request: HttpRequest) -> Any:
        """The resource that is charged; awaitable where `resource` is async."""
        if callable(self.resource):
            return self.resource(request.native)
        if self.resource in ("route", "method+route"):
            place = request.view or request.route or DEFAULT_RESOURCE
            place = request.route or place
            return resource_name(f"{request.method}/{place.lstrip('/')}" if self.resource != "route" else place)
        return self.resource or self.name or DEFAULT_RESOURCE


def _unknown(word: str) -> str:
    near = difflib.get_close_matches(word, _WORDS, 1)
    return f"no such word; did you mean {near[0]!r}?" if near else f"no such word; a rule takes {', '.join(_WORDS)}"


def _limit(value: Any) -> Limit:
    if isinstance(value, str):
        return Limit.from_text(value)
    if isinstance(value, Mapping):
        return Limit.from_dict(dict(value))
    if not isinstance(value, Limit):
        raise ValidationError("limits", repr(value), f"must be a Limit or a text, got {type(value).__name__}")
    return value


def _fixed(limits: Any) -> tuple[Limit, ...]:
    """The limits that stand in the rule itself; none where they are stored or computed."""
    return limits if isinstance(limits, tuple) else ()


@dataclass(frozen=True, slots=True)
class Applied:
    """What the rules say of a request: nothing to charge and why, or the charges with their rules."""

    is_exempt: bool
    charges: tuple[tuple[Rule, Charge], ...] = ()


class Rules:
    """Several rules in their order, with what is exempt from all of them."""

    def __init__(
        self,
        rules: Sequence[Rule],
        *,
        callers: Callers,
        exempt_methods: Sequence[str] = ("OPTIONS",),
        exempt_paths: Sequence[str] = (),
        exempt_when: Callable[[Any], Any] | None = None,
    ) -> None:
        mistakes = [f"rules[{index}].{mistake}" for index, rule in enumerate(rules) for mistake in rule.mistakes]
        mistakes += _clashes(rules)
        if mistakes:
            raise SettingsError(mistakes)
        self._rules = tuple(rules)
        self._callers = callers
        self._exempt_methods = frozenset(method.upper() for method in exempt_methods)
        self._exempt_paths = tuple(exempt_paths)
        self._exempt_when = exempt_when

    @property
    def asks_for_routes(self) -> bool:
        """Whether any rule looks at the template or the view of a request, which costs a look at all routes."""
        return any(rule.asks_for_route for rule in self._rules)

    async def applied(
        self, request: HttpRequest, *, seen: set[tuple[str, ...]], only: Sequence[Rule] | None = None
    ) -> Applied:
        """The charges of a request; `seen` holds the rules that were charged for it already."""
        if only is None and await self._is_exempt(request):
            return Applied(is_exempt=True)
        matched: list[Rule] = []
        for rule in self._rules if only is None else only:
            if only is None and not await _said(rule.matches(request)):
                continue
            if rule.exempt or (rule.exempt_when is not None and await answer(rule.exempt_when, request.native)):
                return Applied(is_exempt=True)
            matched.append(rule)
            if rule.last:
                break
        charges: list[tuple[Rule, Charge]] = []
        for rule in matched:
            if rule.identity not in seen:
                seen.add(rule.identity)
                charges += [(rule, charge) for charge in await self._charges(rule, request)]
        return Applied(is_exempt=bool(matched) and not charges, charges=tuple(charges))

    async def _is_exempt(self, request: HttpRequest) -> bool:
        if request.method in self._exempt_methods:
            return True
        if any(fnmatchcase(request.path, glob) for glob in self._exempt_paths):
            return True
        return self._exempt_when is not None and bool(await answer(self._exempt_when, request.native))

    async def _charges(self, rule: Rule, request: HttpRequest) -> list[Charge]:
        entities = await self._callers.entities(rule.key, request, validated=rule.validated)
        resource = await _said(rule.resource_of(request))
        limits = await answer(rule.limits, request.native) if callable(rule.limits) else rule.limits
        if callable(rule.limits) and limits is not None:
            limits = limits_from_text(limits) if isinstance(limits, str) else tuple(_limit(each) for each in limits)
        cost = await answer(rule.cost, request.native) if callable(rule.cost) else rule.cost
        consume = 1 if cost is None else cost
        if isinstance(consume, Mapping) and isinstance(limits, tuple):
            consume = {**{limit.name: 0 for limit in limits}, **consume}
        return [Charge(entity, resource, consume, limits) for entity in entities]


async def _said(value: Any) -> Any:
    return await value if hasattr(value, "__await__") else value


def _clashes(rules: Sequence[Rule]) -> list[str]:
    """Rules that would charge one bucket with limits of one name and different numbers."""
    found: dict[tuple[Any, str], tuple[int, Limit]] = {}
    mistakes: list[str] = []
    for index, rule in enumerate(rules):
        if callable(rule.resource) or rule.resource in ("route", "method+route"):
            continue
        resource = rule.resource or rule.name or DEFAULT_RESOURCE
        for limit in _fixed(rule.limits):
            first, other = found.setdefault((resource, limit.name), (index, limit))
            if other != limit and _can_meet(rules[first], rule):
                mistakes.append(
                    f"rules[{index}].limits: {limit.name!r} of resource {resource!r} is another in rules[{first}];"
                    " give one of the rules a name= or its limit another name"
                )
    return mistakes


def _can_meet(first: Rule, second: Rule) -> bool:
    if first.last or first.exempt or second.exempt:
        return False
    if first.methods is not None and second.methods is not None and not first.methods & second.methods:
        return False
    # The address is the end of every chain, so a key of the address alone may meet any other.
    return bool(first.key == second.key) or "ip" in (first.key, second.key)
