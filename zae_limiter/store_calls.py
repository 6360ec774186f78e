"""The guarded way to the store: deadline, circuit breaker, cancellation, observers, and no foreign error.

What a store does wrong leaves here as `RateLimiterUnavailable`; a bug of a program passes as it is.
"""

import logging
from collections.abc import Sequence
from typing import Final

from zae_limiter.breaker import Breaker
from zae_limiter.debits import undone
from zae_limiter.exceptions import InfrastructureError, RateLimiterUnavailable
from zae_limiter.models import Change, Debit, Granted, OnUnavailableAction, Refused, Resolution, Stale
from zae_limiter.observers import Counters, Guarded, Observer
from zae_limiter.ports import Clock, Runtime
from zae_limiter.repository_protocol import RepositoryProtocol

STORE_FAILURES: Final = (InfrastructureError, ConnectionError, TimeoutError)
_SETTLE_NS: Final = 1_000_000_000
_SLOW_NS: Final = 100_000_000
_REMEMBERED_NS: Final = 60_000_000_000

logger = logging.getLogger("zae_limiter.store")


class StoreCalls:
    """Resolves, debits and settles through one repository."""

    def __init__(
        self, repository: RepositoryProtocol, *, clock: Clock, runtime: Runtime, observers: Sequence[Observer]
    ) -> None:
        self.repository = repository
        self.clock = clock
        self.runtime = runtime
        self.observers: tuple[Observer, ...] = tuple(
            each if isinstance(each, Counters) else Guarded(each) for each in observers
        )
        self._breaker = Breaker()
        self._action: tuple[OnUnavailableAction, int, int] | None = None
        # Reading the clock around each call is for those who look at its time.
        self._times = tuple(observer for observer in self.observers if not isinstance(observer, Counters))
        self.answers_inline = repository.capabilities.answers_inline
        self._guards_debits = self.answers_inline or repository.capabilities.guards_debits

    async def resolve(self, entity_id: str, resource: str, deadline_ns: int, *, fresh: bool = False) -> Resolution:
        """The limits in force; `RateLimiterUnavailable` when the store does not tell in time."""
        is_asked = self._breaker.is_open and (fresh or self.repository.remembered(entity_id, resource) is None)
        if is_asked:
            self._check_breaker(entity_id, resource, self.clock.monotonic_ns())
        step = self.repository.resolve(entity_id, resource, fresh=fresh)
        try:
            if self.answers_inline:
                found = await step
            else:
                found = await self.runtime.within(self._rest(deadline_ns), step)
        except STORE_FAILURES as error:
            raise self._unavailable(error, entity_id, resource) from error
        if is_asked:
            self._breaker.answered_a_read()
        return found

    async def stored_action(self) -> OnUnavailableAction:
        """What is stored for an outage; a store that is slow to tell is not asked for it again in that outage.

        Not for a minute: each charge would wait for that beyond its deadline.
        """
        started_ns = self.clock.monotonic_ns()
        if self._action is not None:
            action, outage, until_ns = self._action
            if outage == self._breaker.outages and started_ns < until_ns:
                return action
        action = await self.repository.resolve_on_unavailable()
        ended_ns = self.clock.monotonic_ns()
        if ended_ns - started_ns >= _SLOW_NS:
            self._action = (action, self._breaker.outages, ended_ns + _REMEMBERED_NS)
        return action

    async def debit(self, debits: Sequence[Debit], deadline_ns: int) -> Granted | Refused | Stale:
        """Charge all buckets or none; `RateLimiterUnavailable` when the store does not answer in time."""
        now_ns = self.clock.now_ns()
        started_ns = self.clock.monotonic_ns()
        if self._breaker.is_open:
            self._check_breaker(debits[0].entity_id, debits[0].resource, started_ns)
        step = self.repository.debit(debits, now_ns=now_ns, deadline_ns=deadline_ns)
        try:
            if self._guards_debits:
                outcome = await step
            else:
                guarded = self.runtime.abandonable(step, lambda outcome: self._given_back(debits, outcome))
                outcome = await self.runtime.within(self._rest(deadline_ns), guarded)
        except STORE_FAILURES as error:
            self._told("debit", started_ns, failed=True)
            raise self._unavailable(error, debits[0].entity_id, debits[0].resource) from error
        self._breaker.succeeded()
        self._told("debit", started_ns, failed=False)
        return outcome

    async def settle(self, changes: Sequence[Change]) -> None:
        """Write what leases owe and give back; never raises for the store's failures: they are logged and counted."""
        if not changes:
            return
        if self.answers_inline:
            await self._settle(changes)
        else:
            await self.runtime.shielded(self._settle(changes))

    async def _settle(self, changes: Sequence[Change]) -> None:
        started_ns = self.clock.monotonic_ns()
        deadline_ns = started_ns + _SETTLE_NS
        step = self.repository.settle(changes, now_ns=self.clock.now_ns(), deadline_ns=deadline_ns)
        try:
            if self.answers_inline:
                failures = await step
            else:
                failures = await self.runtime.within(self._rest(deadline_ns), step)
        except STORE_FAILURES as error:
            failures = [error] * len(changes)
        except RuntimeError as error:
            # Closed before the last block has ended, as a server does that shuts down: its work is done all the same.
            if self.repository.is_open:
                raise
            failures = [error] * len(changes)
        for change, failure in zip(changes, failures, strict=True):
            if failure is not None:
                self._settle_lost(change, failure)
        self._told("settle", started_ns, failed=any(failures))

    def _check_breaker(self, entity_id: str, resource: str, now_ns: int) -> None:
        if not self._breaker.lets_through(now_ns):
            raise RateLimiterUnavailable(
                "the store is down; it is asked again every second",
                stack_name=self.repository.address,
                entity_id=entity_id,
                resource=resource,
            )

    async def _given_back(self, debits: Sequence[Debit], outcome: Granted | Refused | Stale) -> None:
        if isinstance(outcome, Granted):
            await self.settle([undone(debit) for debit in debits])

    def _settle_lost(self, change: Change, failure: Exception) -> None:
        # The entity stays out of this line: logs at this level are often shared.
        logger.warning("settle lost for %s: %s (%s)", change.resource, dict(change.deltas), type(failure).__name__)
        logger.debug("settle lost for %s on %s: %s", change.entity_id, change.resource, failure)
        for observer in self.observers:
            observer.settle_failed(change.resource, failure)

    def _told(self, operation: str, started_ns: int, *, failed: bool) -> None:
        if not self._times:
            return
        seconds = (self.clock.monotonic_ns() - started_ns) / 1e9
        for observer in self._times:
            observer.store_called(operation, seconds, failed=failed)

    def _rest(self, deadline_ns: int) -> float:
        return max(0.0, (deadline_ns - self.clock.monotonic_ns()) / 1e9)

    def _unavailable(self, error: Exception, entity_id: str, resource: str) -> RateLimiterUnavailable:
        self._breaker.failed((entity_id, resource), self.clock.monotonic_ns())
        cause = error.cause if isinstance(error, RateLimiterUnavailable) and error.cause else error
        message = str(error) if isinstance(error, InfrastructureError) else f"no answer: {type(error).__name__}"
        return RateLimiterUnavailable(
            message, cause, stack_name=self.repository.address, entity_id=entity_id, resource=resource
        )
