"""The gate of one application: rule, acquire, settle; what comes out is a pass or a refusal.

Adapters turn their request into facts and a refusal into their response; everything between is here, once.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from zae_limiter.exceptions import RateLimiterUnavailable, RateLimitExceeded, ZAELimiterError
from zae_limiter.lease import Lease
from zae_limiter.limiter import RateLimiter
from zae_limiter.models import Charge, LimitStatus, OnUnavailableAction
from zae_limiter_http import headers, refusal
from zae_limiter_http.facts import HttpRequest
from zae_limiter_http.headers import Fields, Style
from zae_limiter_http.refusal import Page, Refusal, Refused
from zae_limiter_http.rules import Applied, Rule
from zae_limiter_http.settings import Settings

logger = logging.getLogger("zae_limiter.http")

_BAD: Final = (RateLimitExceeded, RateLimiterUnavailable)


@dataclass(slots=True)
class Passed:
    """A request that was let through; the application finds it on its request object."""

    request: HttpRequest
    is_exempt: bool = False
    degraded: bool = False
    charges: list[tuple[Rule, Charge]] = field(default_factory=list)
    leases: list[Lease] = field(default_factory=list)
    seen: set[tuple[str, ...]] = field(default_factory=set)
    gate: "Gate | None" = field(default=None, repr=False)

    @property
    def lease(self) -> Lease | None:
        """The lease of the innermost rule that was charged, or None where nothing was."""
        return self.leases[-1] if self.leases else None

    @property
    def statuses(self) -> list[LimitStatus]:
        """How every limit that was charged stands, as the leases know without asking."""
        return [status for lease in self.leases for status in lease.statuses]


class Gate:
    """Lets requests in, or refuses them."""

    def __init__(self, limiter: RateLimiter, settings: Settings) -> None:
        self.limiter = limiter
        self._settings = settings
        self._rules = settings.rule_set()
        self.asks_for_routes = self._rules.asks_for_routes
        secret = settings.hash_secret.get_secret_value() if settings.hash_secret else None
        self._style = Style(
            settings.header_style,
            settings.ratelimit_dialect,
            settings.ratelimit_members,
            settings.retry_after_format,
            settings.retry_after_jitter_seconds,
            settings.reset_format,
            settings.expose_parent,
            settings.partition_key,
            secret,
            settings.cors_expose,
        )
        self._page = Page(settings.expose_limits, settings.html_template, settings.responder)

    async def enter(
        self, request: HttpRequest, *, passed: Passed | None = None, only: Sequence[Rule] | None = None
    ) -> Passed | Refusal:
        """Charge what the rules say; with `passed` and `only`, charge further rules of a request that is inside."""
        inside = passed or Passed(request, gate=self)
        if not self._settings.enabled:
            inside.is_exempt = True
            return inside
        applied = Applied(is_exempt=False)
        try:
            applied = await self._rules.applied(request, seen=inside.seen, only=only)
            if passed is None:
                inside.is_exempt = applied.is_exempt
            if applied.charges:
                await self._charge(inside, applied)
        except _BAD as error:
            return self._refused(error, inside, applied.charges)
        except ZAELimiterError as error:
            return self._misconfigured(error, inside)
        return inside

    async def _charge(self, inside: Passed, applied: Applied) -> None:
        rules = list(dict.fromkeys(rule for rule, _ in applied.charges))
        told: list[OnUnavailableAction] = [rule.on_unavailable for rule in rules if rule.on_unavailable]
        chosen = told[0] if told else self._settings.on_unavailable
        acquisition = self.limiter.acquire_all(
            [charge for _, charge in applied.charges],
            on_unavailable=chosen,
            timeout=self._settings.limiter_timeout,
            max_wait=min(rule.max_wait for rule in rules),
            on_exception="keep",
        )
        lease = await acquisition.begin()
        inside.degraded = inside.degraded or lease.degraded
        inside.leases.append(lease)
        inside.charges += applied.charges

    def _refused(
        self, error: RateLimitExceeded | RateLimiterUnavailable, inside: Passed, charges: Sequence[tuple[Rule, Charge]]
    ) -> Refusal:
        if isinstance(error, RateLimiterUnavailable):
            seconds = self._settings.unavailable_retry_after
            return refusal.unavailable(inside.request, page=self._page, retry_after_seconds=seconds)
        found = headers.members(charges, error.statuses, expose_parent=self._style.expose_parent)
        return refusal.exceeded(
            error,
            found,
            inside.request,
            style=self._style,
            page=self._page,
            now_ns=self.limiter.clock.now_ns(),
            problem=next((rule.problem for rule, _ in charges if rule.problem), None),
        )

    def _misconfigured(self, error: ZAELimiterError, inside: Passed) -> Passed | Refusal:
        if self._settings.on_error == "raise":
            raise error
        logger.error("a rule cannot work (%s); requests are %s", type(error).__name__, self._settings.on_error)
        if self._settings.on_error == "allow":
            inside.degraded = True
            return inside
        return refusal.unavailable(
            inside.request, page=self._page, retry_after_seconds=self._settings.unavailable_retry_after
        )

    def answer(self, error: BaseException, inside: Passed) -> Refusal | None:
        """The refusal for an error of the application, if it is one of the limiter's; None for any other."""
        if isinstance(error, Refused):
            return error.refusal
        if not isinstance(error, _BAD):
            return None
        charges = inside.charges
        if isinstance(error, RateLimitExceeded):
            known = {(charge.entity_id, charge.resource) for _, charge in charges}
            charges = charges + [
                (_FOREIGN, Charge(status.entity_id, status.resource, 0))
                for status in error.violations
                if (status.entity_id, status.resource) not in known and not charges
            ]
        return self._refused(error, inside, charges)

    def response_headers(self, inside: Passed, status: int, existing: Sequence[tuple[str, str]]) -> Fields:
        """The headers of a response with those of the limits among them, as the leases stand now."""
        if inside.is_exempt or inside.degraded or not inside.leases:
            return list(existing)
        found = headers.members(inside.charges, inside.statuses, expose_parent=self._style.expose_parent)
        is_public = headers.is_public(existing)
        now_ns = self.limiter.clock.now_ns()
        ours = headers.granted_fields(found, self._style, now_ns=now_ns, is_public=is_public)
        return headers.merged(existing, ours, status=status, style=self._style)

    async def leave(self, inside: Passed, *, status: int | None) -> None:
        """End every lease once: settle it, or give it back where its rule says so for this status.

        `status` is None when no response has begun.
        """
        leases, inside.leases = inside.leases, []
        refunds = [self._settings.refund_of(rule) for rule, _ in inside.charges]
        gives_back = bool(refunds) and all(_is_refunded(refund, status) for refund in refunds)
        for lease in leases:
            await (lease.roll_back() if gives_back else lease.settle())


def _is_refunded(refund: Any, status: int | None) -> bool:
    if refund == "never":
        return False
    seen = 500 if status is None else status
    return seen >= 500 if refund == "5xx" else bool(refund(seen))


_FOREIGN: Final = Rule()
