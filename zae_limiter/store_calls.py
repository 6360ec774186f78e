"""The guarded way to the store: deadline, circuit breaker, cancellation, observers, and no foreign error.

What a store does wrong leaves here as `RateLimiterUnavailable`; a bug of a program passes as it is.
"""

import logging
from collections.abc import Sequence
from typing import Final

from zae_limiter.breaker import Breaker
from zae_limiter.exceptions import InfrastructureError, RateLimiterUnavailable
from zae_limiter.models import Change, Debit, Granted, Refused, Resolution, Stale
from zae_limiter.observers import Counters, Observer
from zae_limiter.ports import Clock, Runtime
from zae_limiter.repository_protocol import RepositoryProtocol

STORE_FAILURES: Final = (InfrastructureError, ConnectionError, TimeoutError)
_SETTLE_NS: Final = 1_000_000_000

logger = logging.getLogger("zae_limiter.store")


class StoreCalls:
    """Resolves, debits and settles through one repository."""

    def __init__(
        self, repository: RepositoryProtocol, *, clock: Clock, runtime: Runtime, observers: Sequence[Observer]
    ) -> None:
        self.repository = repository
        self.clock = clock
        self.runtime = runtime
        self.observers = tuple(observers)
        self._breaker = Breaker()
        # Reading the clock around each call is for those who look at its time.
        self._times = tuple(observer for observer in observers if not isinstance(observer, Counters))
        self._answers_inline = repository.capabilities.answers_inline

    async def resolve(self, entity_id: str, resource: str, deadline_ns: int, *, fresh: bool = False) -> Resolution:
        """The limits in force; `RateLimiterUnavailable` when the store does not tell in time."""
        step = self.repository.resolve(entity_id, resource, fresh=fresh)
        try:
            if self._answers_inline:
                return await step
            return await self.runtime.within(self._rest(deadline_ns), step)
        except STORE_FAILURES as error:
            raise self._unavailable(error, entity_id, resource) from error

    async def debit(self, debits: Sequence[Debit], deadline_ns: int) -> Granted | Refused | Stale:
        """Charge all buckets or none; `RateLimiterUnavailable` when the store does not answer in time."""
        now_ns = self.clock.now_ns()
        started_ns = self.clock.monotonic_ns()
        if not self._breaker.lets_through(started_ns):
            first = debits[0]
            raise RateLimiterUnavailable(
                "the store is down; it is asked again every second",
                stack_name=self.repository.address,
                entity_id=first.entity_id,
                resource=first.resource,
            )
        step = self.repository.debit(debits, now_ns=now_ns, deadline_ns=deadline_ns)
        try:
            if self._answers_inline:
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
        started_ns = self.clock.monotonic_ns()
        deadline_ns = started_ns + _SETTLE_NS
        step = self.repository.settle(changes, now_ns=self.clock.now_ns(), deadline_ns=deadline_ns)
        try:
            if self._answers_inline:
                failures = await step
            else:
                timed = self.runtime.within(self._rest(deadline_ns), step)
                failures = await self.runtime.shielded(timed)
        except STORE_FAILURES as error:
            failures = [error] * len(changes)
        for change, failure in zip(changes, failures, strict=True):
            if failure is not None:
                self._settle_lost(change, failure)
        self._told("settle", started_ns, failed=any(failures))

    async def _given_back(self, debits: Sequence[Debit], outcome: Granted | Refused | Stale) -> None:
        if isinstance(outcome, Granted):
            await self.settle([_undone(debit) for debit in debits])

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


def _undone(debit: Debit) -> Change:
    deltas = {name: -amount for name, amount in debit.amounts.items() if amount}
    return Change(debit.entity_id, debit.resource, debit.limits, deltas, dict.fromkeys(deltas, 1))
