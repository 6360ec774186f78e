"""Rule: which requests are charged, to whom, for what, and how much; what a rule, a decorator and a dependency share.

What several rules say together is in `rules.py`.
"""

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from fnmatch import fnmatchcase
from typing import Any, Final, Literal, TypeAlias

from zae_limiter.exceptions import ValidationError, ZAELimiterError
from zae_limiter.models import Limit, Limits, OnUnavailableAction, check_limits, limits_from_text
from zae_limiter.naming import check_resource
from zae_limiter_http.callers import Key, chain_of, checked_key, is_async
from zae_limiter_http.facts import HttpRequest
from zae_limiter_http.naming import resource_name

Match: TypeAlias = str | Callable[[Any], Any]
Cost: TypeAlias = int | Mapping[str, int] | Callable[[Any], Any]
RuleLimits: TypeAlias = Limits | Callable[[Any], Any]
RefundOn: TypeAlias = Literal["never", "5xx"] | Callable[[int], bool]
Shadow: TypeAlias = bool | Sequence[str] | Callable[[Any], Any]

DEFAULT_RESOURCE: Final = "http"
# What has no route is counted apart from what rules without a resource count.
_UNROUTED: Final = "unrouted"
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
    "shadow",
    "max_wait",
    "block",
    "on_unavailable",
    "refund_on",
    "deduct_when",
    "cost_from_response",
    "name",
    "validated",
    "problem",
)
# How other limiters call it.
_ELSEWHERE: Final = {
    "rate": "limits",
    "key_func": "key",
    "key_function": "key",
    "identifier": "key",
    "scope": "resource",
    "group": "resource",
    "skip_if": "exempt_when",
}
_BEGIN_OF_MATCH: Final = ("/", "*", "?", "[", "route:", "view:", "throttle:")
_WHICH_REQUESTS: Final = frozenset({"match", "methods", "last", "exempt_when"})


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
    `shadow` counts without ever refusing, for the whole rule or the limits it names; with `block=False` the handler
    decides. `deduct_when` and `cost_from_response` look at the response as it begins.
    A rule that cannot work is told as `SettingsError` where it is put to use, with all of its mistakes.
    """

    __slots__ = (*_WORDS, "chain", "charged_limits", "consume", "has_price", "is_fixed", "identity", "mistakes")

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
        shadow: Shadow = False,
        max_wait: float = 0,
        block: bool = True,
        on_unavailable: OnUnavailableAction | None = None,
        refund_on: RefundOn | None = None,
        deduct_when: Callable[[Any], Any] | None = None,
        cost_from_response: Callable[[Any], Any] | None = None,
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
        self.methods = self._methods(methods)
        self.exempt = exempt
        self.exempt_when = exempt_when
        self.last = last
        self.shadow: Any = shadow if callable(shadow) or isinstance(shadow, bool) else self._names("shadow", shadow)
        self.max_wait = max_wait
        self.block = block
        self.on_unavailable: OnUnavailableAction | None = on_unavailable
        self.refund_on: RefundOn | None = refund_on
        self.deduct_when = deduct_when
        self.cost_from_response = cost_from_response
        self.name = name
        self.validated = validated
        self.problem = problem
        self._check()
        self._make_ready(limits)

    def _make_ready(self, limits: Any) -> None:
        """What does not depend on the request is made once."""
        # Two rules that say the same of a request are one rule, and charged once: however often the limiter is
        # installed, and whatever else they match.
        words = (getattr(self, word) for word in _WORDS if word not in _WHICH_REQUESTS)
        self.identity = "\x1f".join(repr(sorted(word) if isinstance(word, frozenset) else word) for word in words)
        self.chain = chain_of(self.key)
        self.charged_limits: Any = limits if isinstance(limits, str) else self.limits
        self.has_price = self.deduct_when is not None or self.cost_from_response is not None
        self.consume: Any = None if callable(self.cost) else consumed(self.cost, self.limits)
        self.is_fixed = not (callable(limits) or callable(self.cost) or callable(self.shadow))

    def _checked(self, place: str, check: Callable[[], Any], otherwise: Any) -> Any:
        try:
            return check()
        except ValidationError as error:
            self.mistakes.append(f"{place}: {error.reason} (got {error.value!r})")
            return otherwise

    def _limits(self, limits: Limits) -> Limits:
        if isinstance(limits, str):
            found: Limits = self._checked("limits", lambda: limits_from_text(limits), ())
        elif isinstance(limits, Mapping) or not isinstance(limits, Iterable):
            found = ()
            self.mistakes.append(f"limits: must be a text, a list of limits or a callable, got {type(limits).__name__}")
        else:
            each = [
                self._checked(f"limits[{index}]", functools.partial(as_limit, one), None)
                for index, one in enumerate(limits)
            ]
            whole = [limit for limit in each if limit is not None]
            found = self._checked("limits", lambda: check_limits(whole), ())
        names = [limit.name.lower() for limit in found if isinstance(limit, Limit)]
        for twice in sorted({name for name in names if names.count(name) > 1}):
            self.mistakes.append(f"limits: names that differ only by case are one in headers: {twice!r}")
        return found

    def _methods(self, methods: Any) -> frozenset[str] | None:
        return None if methods is None else frozenset(name.upper() for name in self._names("methods", methods))

    def _names(self, word: str, names: Any) -> frozenset[str]:
        if isinstance(names, Sequence | Set) and not isinstance(names, str | bytes):
            found = [name for name in names if isinstance(name, str)]
            if len(found) == len(names):
                return frozenset(found)
        self.mistakes.append(f"{word}: must be a list of texts, got {type(names).__name__}")
        return frozenset()

    def _check(self) -> None:
        self._check_match()
        if self.resource is not None and not callable(self.resource) and not self.is_by_route:
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
        for word in ("exempt", "last", "block"):
            if type(getattr(self, word)) is not bool:
                self.mistakes.append(f"{word}: must be True or False")
        for word in ("exempt_when", "validated", "deduct_when", "cost_from_response"):
            if getattr(self, word) is not None and not callable(getattr(self, word)):
                self.mistakes.append(f"{word}: must be a callable")
        for word in ("deduct_when", "cost_from_response"):
            if is_async(getattr(self, word)):
                self.mistakes.append(f"{word}: must be a plain function; a response does not wait")
        self._check_callables()
        self._check_cost()

    def _check_callables(self) -> None:
        called: dict[str, Any] = {word: getattr(self, word) for word in ("limits", "cost", "resource", "exempt_when")}
        called["key"] = next((kind for kind in chain_of(self.key) if callable(kind) and not _takes_one(kind)), None)
        for word, function in called.items():
            if callable(function) and not _takes_one(function):
                told = getattr(function, "__name__", type(function).__name__)
                # A decorator without parentheses takes its view for the limits.
                hint = "; a decorator is written with parentheses" if word == "limits" else ""
                self.mistakes.append(
                    f"{word}: a callable is called with the request alone, as {told}() cannot be{hint}"
                )

    def _check_match(self) -> None:
        if callable(self.match):
            return
        if not isinstance(self.match, str) or not self.match:
            self.mistakes.append("match: must be a glob, 'route:<glob>', 'view:<glob>' or a callable")
        elif not self.match.startswith(_BEGIN_OF_MATCH):
            # No path begins otherwise, and a rule that never matches would let everything pass.
            self.mistakes.append(f"match: a path begins with a slash; write '/{self.match}'")

    def _check_cost(self) -> None:
        cost = self.cost
        known = [limit.name for limit in fixed(self.limits)] or None
        if isinstance(self.shadow, frozenset) and known is not None:
            for name in sorted(self.shadow.difference(known)):
                self.mistakes.append(f"shadow: no such limit {name!r}; the rule has {', '.join(known)}")
        if cost is None or callable(cost):
            return
        amounts = cost if isinstance(cost, Mapping) else {"": cost}
        for name, amount in amounts.items():
            place = f"cost.{name}" if name else "cost"
            if type(amount) is not int or amount < 0:
                self.mistakes.append(f"{place}: must be an int of at least 0 (got {amount!r})")
            if name and known is not None and name not in known:
                self.mistakes.append(f"{place}: no such limit; the rule has {', '.join(known) or 'none'}")

    def matches(self, request: HttpRequest) -> Any:
        """Whether the rule is about this request; awaitable where `match` is async."""
        if not self.is_for(request.method):
            return False
        match = self.match
        if not isinstance(match, str):
            return request.ask(match, request.native)
        if match.startswith("route:"):
            return request.route is not None and fnmatchcase(request.route, match[6:])
        if match.startswith("view:"):
            return request.view is not None and fnmatchcase(request.view, match[5:])
        return match == "*" or fnmatchcase(request.path, match)

    def is_for(self, method: str) -> bool:
        """Whether the rule is about requests of this method."""
        methods = self.methods
        return methods is None or method in methods or (method == "HEAD" and "GET" in methods)

    def async_words(self) -> list[str]:
        """The words whose values are coroutine functions."""
        return [word for word in _WORDS if is_async(getattr(self, word))]

    @property
    def asks_for_route(self) -> bool:
        """Whether the rule looks at the template or the view of a request."""
        by_match = isinstance(self.match, str) and self.match.startswith(("route:", "view:"))
        return by_match or self.is_by_route

    @property
    def is_by_route(self) -> bool:
        """Whether the resource is the route of the request."""
        return isinstance(self.resource, str) and self.resource in ("route", "method+route")

    def resource_of(self, request: HttpRequest) -> Any:
        """The resource that is charged; awaitable where `resource` is async."""
        if callable(self.resource):
            return request.ask(self.resource, request.native)
        if self.is_by_route:
            place = request.route or request.view or _UNROUTED
            return resource_name(
                f"{_family(request.method)}/{place.lstrip('/')}" if self.resource != "route" else place
            )
        return self.resource or self.name or DEFAULT_RESOURCE


def _takes_one(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        return False
    except ValueError:
        return True  # some functions in C do not tell
    return True


def _family(method: str) -> str:
    # HEAD is GET without a body; methods that a client makes up must not give it a bucket each.
    return "GET" if method == "HEAD" else method if method in _METHODS else "OTHER"


def placed(limits: RuleLimits | None, words: Mapping[str, Any], *, place: str = "rate_limit") -> Rule:
    """The rule of a decorator or a dependency, whose resource is the route unless its words name one.

    Raises `SettingsError` with all mistakes, each with the name of the place.
    """
    chosen: dict[str, Any] = {"resource": words.get("name") or "route", **words}
    rule = Rule(limits=limits, **chosen)
    if "match" in words:
        rule.mistakes.append("match: what stands at a view is about that view; a rule of the settings has a match")
    if rule.mistakes:
        raise SettingsError([f"{place}.{mistake}" for mistake in rule.mistakes])
    return rule


def _unknown(word: str) -> str:
    near = [_ELSEWHERE[word]] if word in _ELSEWHERE else difflib.get_close_matches(word, _WORDS, 1)
    return f"no such word; did you mean {near[0]!r}?" if near else f"no such word; a rule takes {', '.join(_WORDS)}"


def as_limit(value: Any) -> Limit:
    """One limit as a text, a mapping or a value; `ValidationError` for anything else."""
    if isinstance(value, str):
        return Limit.from_text(value)
    if isinstance(value, Mapping):
        return Limit.from_dict(dict(value))
    if not isinstance(value, Limit):
        raise ValidationError("limits", repr(value), f"must be a Limit or a text, got {type(value).__name__}")
    return value


def consumed(cost: Any, limits: Any) -> Any:
    """The cost of a request as the limiter takes it; limits that a mapping does not name are asked for nothing."""
    if isinstance(cost, Mapping):
        return {**{limit.name: 0 for limit in fixed(limits)}, **cost}
    return 1 if cost is None else cost


def fixed(limits: Any) -> tuple[Limit, ...]:
    """The limits that stand in the rule itself; none where they are stored or computed."""
    return limits if isinstance(limits, tuple) else ()
