"""Every repository on both faces, so that a test is written once: awaited, on whichever face it runs."""

import inspect
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from zae_limiter import EmbeddedRepository, RateLimiter, SyncEmbeddedRepository, SyncRateLimiter
from zae_limiter.testing import TurnableClock, TurningBlockingRuntime, TurningRuntime

Make = Callable[[TurnableClock, Path], Any]


class Awaited:
    """A blocking object whose answers are awaited, as those of its async twin."""

    def __init__(self, target: Any) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        if name == "repository":
            return Awaited(value)
        if not callable(value) or name in {"stats", "limited", "get_cache_stats"}:
            return value
        if name in {"acquire", "acquire_all"}:
            return lambda *args, **kwargs: AwaitedBlock(value(*args, **kwargs))

        async def call(*args: Any, **kwargs: Any) -> Any:
            found = value(*args, **kwargs)
            assert not inspect.isawaitable(found), "the blocking face answers at once"
            return Awaited(found) if name == "namespace" else found

        return call


class AwaitedBlock:
    """A `with` block that is entered by `async with`."""

    def __init__(self, block: Any) -> None:
        self._block = block

    async def __aenter__(self) -> Any:
        return Awaited(self._block.__enter__())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Any:
        return self._block.__exit__(kind, error, traceback)


def _embedded(path: str) -> Make:
    def make(clock: TurnableClock, folder: Path) -> RateLimiter:
        runtime = TurningRuntime(clock)
        place = path and str(folder / path)
        repository = EmbeddedRepository(place or ":memory:", clock=clock, runtime=runtime)
        return RateLimiter(repository, clock=clock, runtime=runtime)

    return make


def _blocking_embedded(path: str) -> Make:
    def make(clock: TurnableClock, folder: Path) -> Awaited:
        runtime = TurningBlockingRuntime(clock)
        place = path and str(folder / path)
        repository = SyncEmbeddedRepository(place or ":memory:", clock=clock, runtime=runtime)
        return Awaited(SyncRateLimiter(repository, clock=clock, runtime=runtime))

    return make


STORES: Final[dict[str, Make]] = {
    "memory": _embedded(""),
    "memory, blocking": _blocking_embedded(""),
    "file": _embedded("limits.db"),
    "file, blocking": _blocking_embedded("limits.db"),
}
SHARED: Final = {name: make for name, make in STORES.items() if name.startswith("file")}
