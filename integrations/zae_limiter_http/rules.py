"""Rules: from the facts of a request to charges, or to nothing.

Every rule that matches applies, all or nothing together; `last=True` ends the search, `exempt=True` lets the
request pass uncharged whatever the others say.
"""

import inspect
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from zae_limiter.exceptions import ValidationError
from zae_limiter.models import Charge, limits_from_text
from zae_limiter.naming import check_resource
from zae_limiter_http.buckets import Buckets, clashes
from zae_limiter_http.callers import Callers, answer
from zae_limiter_http.facts import HttpRequest
from zae_limiter_http.naming import resource_name
from zae_limiter_http.rule import DEFAULT_RESOURCE, Rule, SettingsError, as_limit, consumed


class Claim(NamedTuple):
    """A charge and the rule that asks for it; `shadow` is true, or names the limits, where it never refuses."""

    rule: Rule
    charge: Charge
    shadow: bool | frozenset[str] = False

    def is_shadowed(self, limit_name: str) -> bool:
        """Whether a limit of the charge is only counted."""
        return self.shadow is True or (self.shadow is not False and limit_name in self.shadow)


class Applied(NamedTuple):
    """What the rules say of a request: nothing to charge and why, or what is claimed.

    `is_free` says that it pays nothing whatever other rules say, `is_whole` that each rule has claimed something.
    """

    is_exempt: bool
    claims: tuple[Claim, ...] = ()
    is_covered: bool = True
    is_free: bool = False
    is_whole: bool = True


_EXEMPT = Applied(is_exempt=True, is_free=True, is_whole=False)


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
        buckets: Buckets | None = None,
    ) -> None:
        mistakes = [f"rules[{index}].{mistake}" for index, rule in enumerate(rules) for mistake in rule.mistakes]
        mistakes += clashes(rules)
        if mistakes:
            raise SettingsError(mistakes)
        self._rules = tuple(rules)
        self._buckets = Buckets(rules) if buckets is None else buckets
        self._callers = callers
        self._exempt_methods = frozenset(method.upper() for method in exempt_methods)
        self._exempt_paths = tuple(exempt_paths)
        self._exempt_when = exempt_when

    @property
    def asks_for_routes(self) -> bool:
        """Whether any rule looks at the template or the view of a request, which costs a look at all routes."""
        return any(rule.asks_for_route for rule in self._rules)

    async def applied(
        self,
        request: HttpRequest,
        *,
        seen: set[str],
        at_view: list[Rule] | None = None,
        only: Sequence[Rule] | None = None,
        also: Sequence[Rule] = (),
        own: Sequence[Rule] = (),
    ) -> Applied:
        """What the rules claim of a request, or `only` instead of them, and `also` besides.

        `own` are all that its view charges by itself, now or later. `seen` holds the rules that were charged for it
        already, `at_view` those of its view so far.
        """
        if only is None:
            if request.method in self._exempt_methods:
                return _EXEMPT
            if (self._exempt_paths or self._exempt_when) and await self._is_exempt(request):
                return _EXEMPT
        at_view = [] if at_view is None else at_view
        _remember((*also, *own, *(only or ())), at_view)
        matched: list[Rule] = []
        for rules in (self._rules if only is None else only, also):
            for rule in rules:
                found = rule.matches(request)
                if found is not True and not (await found if inspect.isawaitable(found) else found):
                    continue
                if rule.exempt or (
                    rule.exempt_when is not None and await answer(request, rule.exempt_when, request.native)
                ):
                    return _EXEMPT
                matched.append(rule)
                if rule.last:
                    break
        claims: list[Claim] = []
        is_whole = True
        for rule in matched:
            if rule.identity not in seen:
                seen.add(rule.identity)
                before = len(claims)
                await self._claim(rule, request, at_view, claims)
                is_whole = is_whole and len(claims) > before
        return Applied(bool(matched) and not claims, tuple(claims), bool(matched), is_whole=is_whole)

    async def _is_exempt(self, request: HttpRequest) -> bool:
        if any(fnmatchcase(request.path, glob) for glob in self._exempt_paths):
            return True
        return self._exempt_when is not None and bool(await answer(request, self._exempt_when, request.native))

    async def _claim(self, rule: Rule, request: HttpRequest, at_view: Sequence[Rule], claims: list[Claim]) -> None:
        limits, consume = rule.charged_limits, rule.consume
        if rule.is_fixed:
            resource = await self._resource(rule, request, at_view, limits)
            entities = await self._callers.entities(rule.chain, request, validated=rule.validated)
            claims += [Claim(rule, Charge(entity, resource, consume, limits), rule.shadow) for entity in entities]
            return
        if callable(limits):
            limits = _read(await answer(request, limits, request.native))
        resource = await self._resource(rule, request, at_view, limits)
        if consume is None:
            consume = await answer(request, rule.cost, request.native)  # type: ignore[arg-type]
        if consume is None or callable(rule.cost) or callable(rule.limits):
            consume = consumed(consume, limits)
        shadow = rule.shadow
        if callable(shadow):
            found = await answer(request, shadow, request.native)
            shadow = bool(found) if found is None or isinstance(found, bool) else frozenset(found)
        entities = await self._callers.entities(rule.chain, request, validated=rule.validated)
        claims += [Claim(rule, Charge(entity, resource, consume, limits), shadow) for entity in entities]

    async def _resource(self, rule: Rule, request: HttpRequest, at_view: Sequence[Rule], limits: Any) -> str:
        if callable(rule.resource):
            name = str(await answer(request, rule.resource, request.native) or DEFAULT_RESOURCE)
            try:
                return check_resource(name)
            except ValidationError:
                # A callable may pass on what a client has sent.
                return resource_name(name)
        if limits is None and rule.is_by_route:
            # Stored ones after all: they are looked up under the name of the route.
            return str(rule.resource_of(request))
        return self._buckets.of(rule, request, at_view)


def _remember(rules: Sequence[Rule], at_view: list[Rule]) -> None:
    """Add rules of a view to those that are known of it."""
    for rule in rules:
        if rule.is_by_route and not any(rule.identity == each.identity for each in at_view):
            at_view.append(rule)


def _read(limits: Any) -> Any:
    """What a callable says of limits, as the limiter takes it; None for those that are stored."""
    if limits is None or isinstance(limits, str):
        return None if limits is None else limits_from_text(limits)
    return tuple(as_limit(each) for each in limits)
