"""The gate of one application: rule, acquire, settle; what comes out is a pass or a refusal.

Adapters turn their request into facts and a refusal into their response; everything between is here, once.
"""

import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, TypeAlias

from zae_limiter.exceptions import RateLimiterUnavailable, RateLimitExceeded, ValidationError, ZAELimiterError
from zae_limiter.lease import Lease
from zae_limiter.limiter import RateLimiter
from zae_limiter.models import Charge, OnUnavailableAction
from zae_limiter_http import headers, leniency, merging, pricing, refusal
from zae_limiter_http.events import Event, Kind, Listener, told
from zae_limiter_http.facts import HttpRequest
from zae_limiter_http.headers import Fields
from zae_limiter_http.members import Policy, members, policies
from zae_limiter_http.passed import Grant, Passed
from zae_limiter_http.refusal import Page, Refusal, Refused
from zae_limiter_http.rule import Rule, SettingsError
from zae_limiter_http.rules import Claim
from zae_limiter_http.settings import Settings
from zae_limiter_http.texts import ENGLISH, Texts

Waiting: TypeAlias = Callable[[Coroutine[Any, Any, Lease]], Coroutine[Any, Any, Lease]]

logger = logging.getLogger("zae_limiter.http")

_BAD: Final = (RateLimitExceeded, RateLimiterUnavailable)
_FOREIGN: Final = Rule()
_MOST_PLACES: Final = 1_000


class Gate:
    """Lets requests in, or refuses them.

    `enabled` may be changed while requests are served; whoever is in `listeners` is told the events.
    """

    def __init__(self, limiter: RateLimiter, settings: Settings, *, texts: Texts = ENGLISH) -> None:
        self.limiter = limiter
        self.enabled = settings.enabled
        self.listeners: list[Listener] = [] if settings.on_event is None else [settings.on_event]
        self._settings = settings
        self._rules = settings.rule_set()
        self.asks_for_routes = self._rules.asks_for_routes
        self.asks_for_cover = settings.on_unmapped not in (None, "pass") or settings.default_rule is not None
        self._style = settings.style()
        self._is_plain = self._style.is_plain
        self._page = Page(
            settings.expose_limits, settings.html_template, settings.responder, texts, settings.cors_expose
        )
        self._unmapped: set[str] = set()

    async def enter(
        self,
        request: HttpRequest,
        *,
        passed: Passed | None = None,
        only: Sequence[Rule] | None = None,
        also: Sequence[Rule] = (),
        own: Sequence[Rule] = (),
        waiting: Waiting | None = None,
    ) -> Passed | Refusal:
        """Charge what the rules say, and those of `also`, which belong to the view that will answer.

        A request is covered by those of `own`, too, all rules that the view is going to charge by itself.
        With `passed` and `only`, charge further rules of a request that is inside. `waiting` is how an adapter
        waits for room: it may give up when the client is gone.
        """
        inside = Passed(request, self) if passed is None else passed
        if not self.enabled:
            inside.is_exempt = True
            return self._with_lease(inside)
        if only is not None and inside.is_free:
            return self._with_lease(inside, is_whole=False)
        claims: tuple[Claim, ...] = ()
        inside.own = own or inside.own
        is_whole = True
        try:
            applied = await self._rules.applied(
                request, seen=inside.seen, at_view=inside.at_view, only=only, also=also, own=own
            )
            claims, is_whole = applied.claims, applied.is_whole
            if passed is None:
                inside.is_exempt, inside.is_free = applied.is_exempt, applied.is_free
                if not applied.is_covered and not any(rule.is_for(request.method) for rule in own):
                    found = await self._uncovered(request, inside)
                    if isinstance(found, Refusal):
                        return found
                    claims = found
            if claims:
                is_whole = await self._charge(inside, claims, waiting) and is_whole
        except _BAD as error:
            failure = _without_frames(error)
        except ZAELimiterError as error:
            return await self._misconfigured(error, inside, claims)
        else:
            return self._with_lease(inside, is_whole=is_whole)
        # Told outside the block: the traceback of a listener that fails would name who was refused.
        inside.is_refused = passed is not None or inside.is_refused
        refused = self._refused(failure, request, claims, self._others(inside, claims, failure))
        return await self._told(refused, failure, request, claims)

    async def enter_block(self, inside: Passed, rule: Rule) -> Passed | Refusal:
        """Charge a rule for a block within a request, each time one is entered; `leave` ends what comes back."""
        entered = await self.enter(inside.request, passed=Passed(inside.request, gate=self), only=(rule,))
        if isinstance(entered, Passed):
            inside.blocks.append(entered)
            inside.entered.append(entered)
        return entered

    def _with_lease(self, inside: Passed, *, is_whole: bool = True) -> Passed:
        # A handler adjusts its lease whether or not somebody was exempt from paying.
        if not inside.grants:
            inside.grants.append(Grant(self._nothing(), ()))
        elif not is_whole:
            inside.grants[-1].lease.is_partial = True
        return inside

    def _nothing(self) -> Lease:
        return Lease(self.limiter._calls, (), (), 0, 0)

    def lease_of(self, inside: Passed, rule: Rule) -> Lease:
        """The lease of a rule; one that charges nothing where the rule was let go or somebody is exempt from it."""
        held = (lease for lease, claims in inside.grants if any(each.rule.identity == rule.identity for each in claims))
        return next(held, None) or self._nothing()

    async def _uncovered(self, request: HttpRequest, inside: Passed) -> tuple[Claim, ...] | Refusal:
        """What becomes of a request that no rule covers."""
        action = self._settings.on_unmapped
        default = self._settings.default_rule
        if default is not None and action in (None, "limit"):
            return (await self._rules.applied(request, seen=inside.seen, only=(default,))).claims
        if action in (None, "pass"):
            return ()
        await told(self.listeners, Event("unmapped", request))
        if action == "deny":
            return refusal.unmapped(request, page=self._page)
        place = f"{request.method} {request.route or request.view or ''}".strip()
        if place not in self._unmapped and len(self._unmapped) < _MOST_PLACES:
            self._unmapped.add(place)
            logger.warning("no rule covers %s; it passes unlimited", place)
        return ()

    async def _charge(self, inside: Passed, claims: tuple[Claim, ...], waiting: Waiting | None) -> bool:
        """Charge what is claimed; whether that is all, or some of it may be let go."""
        rest = claims
        while rest:
            try:
                lease = await self._acquired(rest, waiting)
            except RateLimitExceeded as error:
                lenient = leniency.without(rest, error)
                if lenient is None:
                    raise
                await self._let_pass(lenient, error.with_traceback(None), inside, self._others(inside, rest, error))
                rest = lenient.rest
                continue
            if lease.degraded:
                inside.degraded = True
                await told(self.listeners, Event("degraded", inside.request, leniency.rules_of(rest)))
            inside.grants.append(Grant(lease, rest))
            inside.is_exempt = False
            inside.awaits_price = inside.awaits_price or any(claim.rule.has_price for claim in rest)
            break
        return len(rest) == len(claims)

    async def _acquired(self, claims: Sequence[Claim], waiting: Waiting | None) -> Lease:
        first = claims[0].rule
        chosen: OnUnavailableAction | None = first.on_unavailable
        max_wait = first.max_wait
        if len(claims) > 1:
            # Sooner an answer, and sooner a strict one, where rules want different things.
            chosen = next((claim.rule.on_unavailable for claim in claims if claim.rule.on_unavailable), None)
            max_wait = min(claim.rule.max_wait for claim in claims)
        charges = [claim.charge for claim in claims]
        chosen = chosen or self._settings.on_unavailable
        timeout = self._settings.limiter_timeout
        try:
            return await self.limiter.acquire_all(charges, on_unavailable=chosen, timeout=timeout).begin()
        except RateLimitExceeded as error:
            wait_ns = error.wait_ns
            if wait_ns is None or wait_ns > max_wait * 1e9 or leniency.without(claims, error) is not None:
                raise
        patient = self.limiter.acquire_all(charges, on_unavailable=chosen, timeout=timeout, max_wait=max_wait)
        return await (patient.begin() if waiting is None else waiting(patient.begin()))

    async def _let_pass(
        self, lenient: leniency.Lenient, error: RateLimitExceeded, inside: Passed, among: Sequence[Policy]
    ) -> None:
        request = inside.request
        if lenient.shadowed:
            names = ", ".join(sorted({status.limit_name for status in error.violations}))
            logger.info("limit %s of %s would have refused a request", names, lenient.shadowed[0].charge.resource)
            await told(self.listeners, Event("shadowed", request, leniency.rules_of(lenient.shadowed), error))
        if lenient.left_to_handler:
            inside.limited = True
            inside.refusal = self._refused(error, request, lenient.left_to_handler, among)
            inside.statuses_refused += error.statuses
            inside.claims_refused += lenient.left_to_handler
            await self._told(inside.refusal, error, request, lenient.left_to_handler)

    @staticmethod
    def _others(inside: Passed, claims: Sequence[Claim], error: ZAELimiterError) -> Sequence[Policy]:
        """All policies of a request that was refused, where it has more than these claims."""
        statuses = error.statuses if isinstance(error, RateLimitExceeded) else []
        method = inside.request.method
        further = [rule for rule in inside.own if rule.identity not in inside.seen and rule.is_for(method)]
        return policies([*inside.claims, *claims], [*inside.statuses, *statuses], further)

    def _refused(
        self,
        error: RateLimitExceeded | RateLimiterUnavailable,
        request: HttpRequest,
        claims: Sequence[Claim],
        among: Sequence[Policy] = (),
    ) -> Refusal:
        if isinstance(error, RateLimiterUnavailable):
            seconds = self._settings.unavailable_retry_after
            return refusal.unavailable(request, page=self._page, retry_after_seconds=seconds, error=error)
        found = members(claims, error.statuses, expose_parent=self._style.expose_parent, among=among)
        return refusal.exceeded(
            error,
            found,
            request,
            style=self._style,
            page=self._page,
            now_ns=self.limiter.clock.now_ns(),
            problem=next((claim.rule.problem for claim in claims if claim.rule.problem), None),
        )

    async def _told(self, refused: Refusal, error: Exception, request: HttpRequest, claims: Sequence[Claim]) -> Refusal:
        if self.listeners:
            await told(self.listeners, Event(_kind(error), request, leniency.rules_of(claims), error, refused))
        return refused

    async def _misconfigured(self, error: ZAELimiterError, inside: Passed, claims: Sequence[Claim]) -> Passed | Refusal:
        await told(self.listeners, Event("failed", inside.request, leniency.rules_of(claims), error))
        if self._settings.on_error == "raise":
            if isinstance(error, ValidationError) and leniency.are_at_odds(claims, error):
                raise SettingsError([leniency.at_odds(claims, error)]) from error
            raise error
        logger.error("a rule cannot work (%s); requests are %s", type(error).__name__, self._settings.on_error)
        if self._settings.on_error == "allow":
            inside.degraded = True
            return self._with_lease(inside)
        return refusal.unavailable(
            inside.request, page=self._page, retry_after_seconds=self._settings.unavailable_retry_after
        )

    def answer(self, error: BaseException, inside: Passed) -> Refusal | None:
        """The refusal for an error of the application, if it is one of the limiter's; None for any other."""
        if isinstance(error, Refused):
            return error.refusal
        if not isinstance(error, _BAD):
            return None
        claims = inside.claims
        if isinstance(error, RateLimitExceeded) and not claims:
            # The application has charged something by itself: its limits are told as they are.
            claims = [Claim(_FOREIGN, Charge(each.entity_id, each.resource, 0)) for each in error.violations]
        refused = self._refused(error, inside.request, claims)
        inside.events.append(Event(_kind(error), inside.request, leniency.rules_of(claims), error, refused))
        return refused

    def granted_fields(self, inside: Passed, status: int, *, is_public: bool = False) -> Fields:
        """The fields of the limits for a response of this status, as the leases stand now."""
        if inside.degraded or not merging.has_fields(status):
            return []
        alone = _told_alone(inside) if self._is_plain and not is_public else None
        if alone is not None:
            entity = alone.claims[0].charge.entity_id
            left = alone.lease._left()
            return headers.plain_fields([(limit, n) for debit, limit, n in left if debit.entity_id == entity])
        claims, statuses = inside.claims, inside.statuses
        if inside.limited:
            claims, statuses = claims + inside.claims_refused, statuses + inside.statuses_refused
        if not claims:
            return []
        found = members(claims, statuses, expose_parent=self._style.expose_parent)
        return headers.granted_fields(found, self._style, now_ns=self.limiter.clock.now_ns(), is_public=is_public)

    def response_headers(
        self, inside: Passed, status: int, existing: Sequence[tuple[str, str]], *, native: Any = None
    ) -> Fields:
        """The headers of a response with those of the limits among them, once what it costs is known.

        `native` is the framework's response, for callables of the user.
        """
        pricing.price(inside, status, existing, native)
        ours = self.granted_fields(inside, status, is_public=merging.is_public(existing))
        return merging.merged(existing, ours, status=status, style=self._style)

    async def leave(self, inside: Passed, *, status: int | None) -> None:
        """End every lease once: settle it, or give back what its rules say for this status.

        `status` is None when no response has begun.
        """
        try:
            await self._end(inside.grants, inside, status)
        finally:
            for event in inside.events:
                await told(self.listeners, event)
            inside.events.clear()

    async def _end(self, grants: Sequence[Grant], inside: Passed, status: int | None) -> None:
        for index, grant in enumerate(grants):
            try:
                await pricing.end(grant, status, self._settings.refund_of, is_refused=inside.is_refused)
            except BaseException:
                await self._end(grants[index + 1 :], inside, status)
                raise


def _without_frames(error: RateLimitExceeded | RateLimiterUnavailable) -> RateLimitExceeded | RateLimiterUnavailable:
    """A refusal without its traceback: through its frames it would hold the request until the collector comes."""
    return error.with_traceback(None) if isinstance(error, RateLimitExceeded) else error


def _told_alone(inside: Passed) -> Grant | None:
    """The grant of a request that has one, of one claim, and nothing besides to tell: what most requests are."""
    if inside.limited or inside.blocks:
        return None
    charged = [grant for grant in inside.grants if grant.claims]
    if len(charged) != 1 or len(charged[0].claims) != 1 or charged[0].claims[0].shadow:
        return None
    return charged[0]


def _kind(error: Exception) -> Kind:
    return "limited" if isinstance(error, RateLimitExceeded) else "unavailable"
