"""SyncLease: the blocking twin of a lease, and of the block that it lives in."""

from types import TracebackType
from typing import TYPE_CHECKING, Never

from zae_limiter.acquisition import Acquisition
from zae_limiter.blocking import blocking, run
from zae_limiter.exceptions import RateLimitExceeded
from zae_limiter.lease import Lease
from zae_limiter.models import Charge, LimitStatus


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
    def refused(self) -> RateLimitExceeded | None:
        """What the last call of `consume` was refused with; see `Lease`."""
        return self._core.refused

    @property
    def is_open(self) -> bool:
        """Whether the lease can still be adjusted."""
        return self._core.is_open

    @property
    def is_changed(self) -> bool:
        """Whether something was adjusted that is not written yet; see `Lease.is_changed`."""
        return self._core.is_changed

    @property
    def is_partial(self) -> bool:
        """Whether a part of what was asked for went uncharged; see `Lease`."""
        return self._core.is_partial

    @property
    def statuses(self) -> list[LimitStatus]:
        """How every limit stands after this charge; see `Lease.statuses`."""
        return self._core.statuses

    @property
    def consumed(self) -> dict[str, int]:
        """Tokens that this lease holds of each limit; see `Lease.consumed`."""
        return self._core.consumed

    def charged(self, charge: Charge) -> dict[str, int]:
        """Tokens of each limit that one of the charges behind this lease took; see `Lease.charged`."""
        return self._core.charged(charge)

    consume = blocking(Lease.consume)
    adjust = blocking(Lease.adjust)
    adjust_charge = blocking(Lease.adjust_charge)
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

    # Hidden from type checkers, which would take the mistake for a way of use and not tell it.
    if not TYPE_CHECKING:

        async def __aenter__(self) -> Never:
            raise TypeError("this limiter blocks; use 'with limiter.acquire(...)', or a RateLimiter")

        async def __aexit__(self, *_: object) -> None: ...

        def __await__(self) -> Never:
            raise TypeError("acquire() is a block and no call; use 'with limiter.acquire(...) as lease'")
