"""What can be seen of a limiter from outside: the observer port, and the counters behind `limiter.stats()`."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import ParamSpec, Protocol

from zae_limiter.models import LimitStatus

P = ParamSpec("P")

logger = logging.getLogger("zae_limiter.observers")


class Observer(Protocol):
    """Is told what a limiter does. Calls must be quick and must not raise. No entity is a label for metrics."""

    def granted(self, resource: str) -> None:
        """A charge was granted."""
        ...

    def refused(self, resource: str, violations: Sequence[LimitStatus]) -> None:
        """A charge was refused by these limits."""
        ...

    def degraded(self, resource: str, cause: Exception) -> None:
        """The store could not be used, and the work was let pass."""
        ...

    def unavailable(self, resource: str, cause: Exception) -> None:
        """The store could not be used, and the charge failed."""
        ...

    def settle_failed(self, resource: str, cause: Exception) -> None:
        """What a lease owed or gave back at its end could not be written."""
        ...

    def store_called(self, operation: str, seconds: float, *, failed: bool) -> None:
        """The store was asked to `debit` or to `settle`, and took so long."""
        ...


@dataclass(frozen=True, slots=True)
class LimiterStats:
    """How often each thing has happened since the limiter was made."""

    granted: int = 0
    refused: int = 0
    degraded: int = 0
    unavailable: int = 0
    settle_failed: int = 0

    def as_dict(self) -> dict[str, int]:
        """The figures as plain data."""
        return asdict(self)


class Counters:
    """The observer that every limiter has."""

    __slots__ = ("_degraded", "_granted", "_refused", "_settle_failed", "_unavailable")

    def __init__(self) -> None:
        self._granted = self._refused = self._degraded = self._unavailable = self._settle_failed = 0

    def granted(self, resource: str) -> None:
        """Count a grant."""
        self._granted += 1

    def refused(self, resource: str, violations: Sequence[LimitStatus]) -> None:
        """Count a refusal."""
        self._refused += 1

    def degraded(self, resource: str, cause: Exception) -> None:
        """Count a charge that passed without a store."""
        self._degraded += 1

    def unavailable(self, resource: str, cause: Exception) -> None:
        """Count a charge that failed for want of a store."""
        self._unavailable += 1

    def settle_failed(self, resource: str, cause: Exception) -> None:
        """Count a settle that was lost."""
        self._settle_failed += 1

    def store_called(self, operation: str, seconds: float, *, failed: bool) -> None:
        """Nothing to count here."""

    def stats(self) -> LimiterStats:
        """The figures now."""
        return LimiterStats(self._granted, self._refused, self._degraded, self._unavailable, self._settle_failed)


class Guarded:
    """An observer whose exceptions are logged, each kind of call once, and end there.

    What was charged by then is written: an exception would take the lease away from its block.
    """

    __slots__ = ("_observer", "_told")

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._told: set[str] = set()

    def granted(self, resource: str) -> None:
        """Pass a grant on."""
        self._pass_on("granted", self._observer.granted, resource)

    def refused(self, resource: str, violations: Sequence[LimitStatus]) -> None:
        """Pass a refusal on."""
        self._pass_on("refused", self._observer.refused, resource, violations)

    def degraded(self, resource: str, cause: Exception) -> None:
        """Pass on a charge that passed without a store."""
        self._pass_on("degraded", self._observer.degraded, resource, cause)

    def unavailable(self, resource: str, cause: Exception) -> None:
        """Pass on a charge that failed for want of a store."""
        self._pass_on("unavailable", self._observer.unavailable, resource, cause)

    def settle_failed(self, resource: str, cause: Exception) -> None:
        """Pass on a settle that was lost."""
        self._pass_on("settle_failed", self._observer.settle_failed, resource, cause)

    def store_called(self, operation: str, seconds: float, *, failed: bool) -> None:
        """Pass on the time of a call."""
        self._pass_on("store_called", self._observer.store_called, operation, seconds, failed=failed)

    def _pass_on(self, name: str, call: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            call(*args, **kwargs)
        except Exception:
            if name not in self._told:
                self._told.add(name)
                logger.exception("the observer %s failed in %s", type(self._observer).__name__, name)
