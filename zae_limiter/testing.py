"""What a test needs: a clock to turn, a limiter in memory, and a store that fails when told.

The pytest plugin offers them as fixtures: `zae_limiter`, `zae_limiter_sync`, `zae_limiter_clock`.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Final, Self

from zae_limiter.blocking import run
from zae_limiter.embedded import EmbeddedRepository, SyncEmbeddedRepository
from zae_limiter.exceptions import RateLimiterUnavailable
from zae_limiter.limiter import RateLimiter
from zae_limiter.models import BackendCapabilities
from zae_limiter.runtimes import AsyncRuntime, BlockingRuntime
from zae_limiter.sync_limiter import SyncRateLimiter

_START_NS: Final = 1_800_000_000_000_000_000


class TurnableClock:
    """A clock that stands still until it is turned."""

    def __init__(self, now_ns: int = _START_NS) -> None:
        self._now_ns = now_ns
        self._monotonic_ns = 1_000_000_000_000

    def now_ns(self) -> int:
        """The time of day, in nanoseconds since the epoch."""
        return self._now_ns

    def monotonic_ns(self) -> int:
        """A time that never steps back, in nanoseconds."""
        return self._monotonic_ns

    def turn(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self.turn_ns(round(seconds * 1_000_000_000))

    def turn_ns(self, nanoseconds: int) -> None:
        """Let so many nanoseconds pass."""
        self._now_ns += nanoseconds
        self._monotonic_ns += max(0, nanoseconds)

    def step(self, seconds: float) -> None:
        """Set the time of day forwards or back, as an administrator would; no time passes."""
        self._now_ns += round(seconds * 1_000_000_000)


class TurningRuntime(AsyncRuntime):
    """A runtime whose sleeps turn the clock instead of waiting."""

    def __init__(self, clock: TurnableClock) -> None:
        super().__init__()
        self._clock = clock

    async def sleep(self, seconds: float) -> None:
        """Let so many seconds pass on the clock."""
        self._clock.turn(seconds)
        await super().sleep(0)


class TurningBlockingRuntime(BlockingRuntime):
    """The blocking twin of `TurningRuntime`."""

    def __init__(self, clock: TurnableClock) -> None:
        super().__init__()
        self._clock = clock

    async def sleep(self, seconds: float) -> None:
        """Let so many seconds pass on the clock."""
        self._clock.turn(seconds)


class FaultyRepository:
    """A repository in front of another one; `fail` makes it fail as a store does.

    It does not answer inline, so a limiter guards its calls as it guards those of a server.
    """

    def __init__(self, repository: Any) -> None:
        self._repository = repository
        self._failures: dict[str, tuple[int, Exception]] = {}
        self._before: dict[str, Callable[[], Any]] = {}
        self._lost: dict[str, int] = {}
        self.calls: list[str] = []

    @property
    def capabilities(self) -> BackendCapabilities:
        """Those of the repository behind, without answering inline."""
        found: BackendCapabilities = self._repository.capabilities
        return BackendCapabilities(
            found.supports_audit_logging,
            found.supports_usage_snapshots,
            found.supports_infrastructure_management,
            found.supports_change_streams,
            found.supports_batch_operations,
        )

    def fail(self, *methods: str, times: int = 1_000_000_000, error: Exception | None = None) -> None:
        """Let the next calls of these methods fail; with `RateLimiterUnavailable` if no error is given."""
        raised = error or RateLimiterUnavailable("the store is down, as the test wanted")
        for method in methods or ("debit", "settle", "resolve", "read"):
            self._failures[method] = (times, raised)

    def lose_answers(self, *methods: str, times: int = 1_000_000_000) -> None:
        """Let the store do what the next calls of these methods ask, and their answers get lost on the way."""
        for method in methods or ("debit", "settle"):
            self._lost[method] = times

    def heal(self) -> None:
        """Let every call through again."""
        self._failures.clear()
        self._before.clear()
        self._lost.clear()

    def before(self, method: str, wait: Callable[[], Any]) -> None:
        """Await what `wait` returns before each call of a method."""
        self._before[method] = wait

    async def namespace(self, name: str) -> Self:
        """The repository behind for another namespace, in front of it one that fails on its own."""
        return type(self)(await self._repository.namespace(name))

    def __getattr__(self, name: str) -> Any:
        target = getattr(self._repository, name)
        if name not in _GUARDED:
            return target

        async def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append(name)
            if name in self._before:
                await self._before[name]()
            times, error = self._failures.get(name, (0, None))
            if error is not None and times > 0:
                self._failures[name] = (times - 1, error)
                raise error
            answer = await target(*args, **kwargs)
            if (lost := self._lost.get(name, 0)) > 0:
                self._lost[name] = lost - 1
                raise ConnectionError(f"the answer to {name} was lost, as the test wanted")
            return answer

        return call


_GUARDED: Final = frozenset({"debit", "settle", "resolve", "read", "ping"})


class SyncFaultyRepository:
    """The blocking twin of `FaultyRepository`, over the same failures."""

    def __init__(self, core: FaultyRepository) -> None:
        self._core = core

    def namespace(self, name: str) -> Self:
        """The repository behind for another namespace, in front of it one that fails on its own."""
        return type(self)(run(self._core.namespace(name)))

    def __getattr__(self, name: str) -> Any:
        target = getattr(self._core, name)
        if not inspect.iscoroutinefunction(target):
            return target
        return lambda *args, **kwargs: run(target(*args, **kwargs))


def memory_limiter(*, clock: TurnableClock | None = None, observers: Sequence[Any] = ()) -> RateLimiter:
    """An async limiter in memory; with a turnable clock its waits turn the clock."""
    chosen = clock or TurnableClock()
    runtime = TurningRuntime(chosen)
    repository = EmbeddedRepository(":memory:", clock=chosen, runtime=runtime)
    return RateLimiter(repository, clock=chosen, runtime=runtime, observers=observers)


def sync_memory_limiter(*, clock: TurnableClock | None = None, observers: Sequence[Any] = ()) -> SyncRateLimiter:
    """A blocking limiter in memory; with a turnable clock its waits turn the clock."""
    chosen = clock or TurnableClock()
    runtime = TurningBlockingRuntime(chosen)
    repository = SyncEmbeddedRepository(":memory:", clock=chosen, runtime=runtime)
    return SyncRateLimiter(repository, clock=chosen, runtime=runtime, observers=observers)


def faulty_limiter(
    *, clock: TurnableClock | None = None, observers: Sequence[Any] = ()
) -> tuple[RateLimiter, FaultyRepository]:
    """An async limiter in memory whose store fails when told."""
    chosen = clock or TurnableClock()
    runtime = TurningRuntime(chosen)
    repository: Any = FaultyRepository(EmbeddedRepository(":memory:", clock=chosen, runtime=runtime))
    return RateLimiter(repository, clock=chosen, runtime=runtime, observers=observers), repository


def sync_faulty_limiter(
    *, clock: TurnableClock | None = None, observers: Sequence[Any] = ()
) -> tuple[SyncRateLimiter, FaultyRepository]:
    """The blocking twin of `faulty_limiter`."""
    chosen = clock or TurnableClock()
    runtime = TurningBlockingRuntime(chosen)
    store = FaultyRepository(EmbeddedRepository(":memory:", clock=chosen, runtime=runtime))
    repository: Any = SyncFaultyRepository(store)
    return SyncRateLimiter(repository, clock=chosen, runtime=runtime, observers=observers), store
