"""RequestLimits: what a view finds at `request.zae_limiter`, and its lease in the form that the view can use."""

from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse

from zae_limiter.lease import Lease, lend_as_current
from zae_limiter.models import LimitStatus
from zae_limiter.sync_lease import SyncLease
from zae_limiter_django.facts import RequestFacts
from zae_limiter_django.responses import RefusedResponse
from zae_limiter_django.views import is_async
from zae_limiter_http import Passed, Refusal, Rule

if TYPE_CHECKING:
    from zae_limiter_django.guard import Guard

L = TypeVar("L", SyncLease, Lease)

KEY: Final = "zae_limiter"
WRITTEN_OUTSIDE: Final = "_zae_limiter_is_written_outside"


class RequestLimits(Generic[L]):
    """How a request stands with the limiter; the application finds it at `request.zae_limiter`."""

    __slots__ = (
        "_facts",
        "_fields",
        "_guard",
        "_is_ended",
        "_is_written_outside",
        "_passed",
        "_refusals",
        "_view",
    )

    def __init__(self, guard: "Guard", facts: RequestFacts) -> None:
        self._guard: Guard = guard
        self._facts: RequestFacts = facts
        self._passed = Passed(facts, guard.gate)
        self._refusals: list[Refusal] = []
        self._fields: list[tuple[str, str]] = []
        self._is_ended = False
        self._is_written_outside = False
        self._view: Any = None

    @property
    def lease(self) -> L:
        """The lease of the innermost rule that was charged; one that charges nothing where no rule was.

        Its calls block in a plain view, and are awaited in an async one.
        """
        lease: Any = self._passed.lease
        if not (self._guard.is_async if self._view is None else is_async(self._view)):
            lease = ThreadLease(lease) if self._guard.is_async else SyncLease(lease)
        found: L = lease
        return found

    @property
    def statuses(self) -> list[LimitStatus]:
        """How every limit that was charged stands, as the leases know without asking."""
        return self._passed.statuses

    @property
    def degraded(self) -> bool:
        """Whether the store could not be used and the request was let pass."""
        return self._passed.degraded

    @property
    def limited(self) -> bool:
        """Whether a rule with `block=False` would have refused: the view decides, and may answer with `refused()`."""
        return self._passed.limited

    @property
    def is_exempt(self) -> bool:
        """Whether the request passed uncharged, as a rule, a view or a setting says."""
        return self._passed.is_exempt

    @property
    def refusal(self) -> Refusal | None:
        """The refusal with the longest wait: one that was left to the view, or that of a throttle."""
        found = [*self._refusals, self._passed.refusal] if self._passed.refusal else self._refusals
        return max(found, key=_wait, default=None)

    def refused(self) -> HttpResponse:
        """The answer of a view that refuses where it was `limited`; `RuntimeError` where nothing was refused."""
        refusal = self.refusal
        if refusal is None:
            raise RuntimeError("nothing was refused; ask `limited` first")
        return RefusedResponse(refusal)

    def _is_charged(self, rule: Rule) -> bool:
        return self._passed.is_free or rule.identity in self._passed.seen


def _wait(refusal: Refusal) -> float:
    return float("inf") if refusal.wait_seconds is None else refusal.wait_seconds


class ThreadLease(SyncLease):
    """The lease of a plain view that an event loop lets run in a thread: what asks the store, asks on the loop."""

    __slots__ = ()

    def consume(self, /, **amounts: int) -> None:
        """Charge more, all or nothing; see `Lease.consume`."""
        async_to_sync(self._core.consume)(**amounts)

    def settle(self) -> None:
        """End the lease; see `Lease.settle`."""
        async_to_sync(self._core.settle)()

    def roll_back(self) -> None:
        """End the lease and give all back; see `Lease.roll_back`."""
        async_to_sync(self._core.roll_back)()


class LimitedRequest(HttpRequest):
    """The type of a request in a plain view behind the limiter, for type checkers."""

    zae_limiter: RequestLimits[SyncLease]


class AsyncLimitedRequest(HttpRequest):
    """The type of a request in an async view behind the limiter, for type checkers."""

    zae_limiter: RequestLimits[Lease]


_CURRENT: Final[ContextVar[RequestLimits[Any] | None]] = ContextVar("zae_limiter_django", default=None)


class Lent:
    """Within this block `current_lease()` finds the lease of a request, in its form for Django and in the library's."""

    __slots__ = ("_lease", "_limits", "_token")

    def __init__(self, limits: RequestLimits[Any]) -> None:
        self._limits = limits
        grants = limits._passed.grants
        self._lease = lend_as_current(grants[-1].lease if grants else None)

    def __enter__(self) -> None:
        self._token: Token[RequestLimits[Any] | None] = _CURRENT.set(self._limits)
        self._lease.__enter__()

    def __exit__(self, *_: object) -> None:
        self._lease.__exit__(None, None, None)
        try:  # noqa: SIM105 - on the way of each request
            _CURRENT.reset(self._token)
        except ValueError:  # the body of a response may end in another context
            pass


def current_lease() -> SyncLease | Lease:
    """The lease of the request that is being served: its calls block in a plain view, and are awaited in an async one.

    Raises `RuntimeError` where no request is served.
    """
    limits = _CURRENT.get()
    if limits is None:
        raise RuntimeError("no lease is open here; call this in a view behind ZaeLimiterMiddleware")
    lease: SyncLease | Lease = limits.lease
    return lease


def limits_of(request: Any) -> RequestLimits[Any] | None:
    """What the limiter knows of a request, also one that a framework over Django has wrapped."""
    found = getattr(getattr(request, "_request", request), KEY, None)
    return found if isinstance(found, RequestLimits) else None
