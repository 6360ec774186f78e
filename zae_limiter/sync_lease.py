"""SyncLease: the blocking twin of a lease, and of the block that it lives in."""

from types import TracebackType

from zae_limiter.acquisition import Acquisition
from zae_limiter.blocking import blocking, run
from zae_limiter.lease import Lease
from zae_limiter.models import LimitStatus


class SyncLease:
    """The blocking twin of `Lease`."""

    __slots__ = ("_core",)

    def __init__(self, core: Lease) -> None:
        self._core = core

    @property
    def degraded(self) -> bool:
        """Whether the store could not be used and the work was let pass."""
        return self._core.degraded

    @property
    def is_open(self) -> bool:
        """Whether the lease can still be adjusted."""
        return self._core.is_open

    @property
    def statuses(self) -> list[LimitStatus]:
        """How every limit stands after this charge; see `Lease.statuses`."""
        return self._core.statuses

    @property
    def consumed(self) -> dict[str, int]:
        """Tokens that this lease holds of each limit; see `Lease.consumed`."""
        return self._core.consumed

    consume = blocking(Lease.consume)
    adjust = blocking(Lease.adjust)
    release = blocking(Lease.release)
    settle = blocking(Lease.settle)
    roll_back = blocking(Lease.roll_back)


class SyncAcquisition:
    """The `with` of a charge: gives a `SyncLease`."""

    __slots__ = ("_core",)

    def __init__(self, core: Acquisition) -> None:
        self._core = core

    def __enter__(self) -> SyncLease:
        return SyncLease(run(self._core.__aenter__()))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        run(self._core.__aexit__(kind, error, traceback))
