"""What can be seen of a limiter from outside: the observer port, and the counters behind `limiter.stats()`."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

from zae_limiter.models import LimitStatus


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
