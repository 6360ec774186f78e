"""Every repository on both faces, in one list, so that a test is written once: awaited, on whichever face it runs."""

import inspect
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from tests.patience import PATIENCE, PatientBlockingRuntime, PatientRuntime
from zae_limiter import (
    EmbeddedRepository,
    RateLimiter,
    Repository,
    SyncEmbeddedRepository,
    SyncRateLimiter,
    SyncRepository,
    SyncRepositoryProtocol,
)
from zae_limiter.testing import FaultyRepository, TurnableClock

Make = Callable[[TurnableClock, Path], Any]
_OF_THE_PROTOCOL: Final = frozenset(name for name in dir(SyncRepositoryProtocol) if not name.startswith("_"))


@dataclass(frozen=True, slots=True)
class Store:
    """One repository on one face.

    `make` gives a limiter over it that is not open yet. Two that are made in one folder share a store where
    `is_shared` says so; its table is the test's to create where it `needs_table`. `schedules` is how many the
    fuzzer runs with one process, and with two where it is shared; tables have schedules of their own.
    `lose` lets the answer to a limiter's next call of `debit` or `settle` get lost after the store has done it.
    """

    make: Make
    is_shared: bool = False
    needs_table: bool = False
    schedules: int = 200
    lose: Callable[[Any, str], None] | None = None


class Awaited:
    """A blocking object whose answers are awaited, as those of its async twin."""

    def __init__(self, target: Any) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        if name == "repository":
            return Awaited(value)
        if not callable(value) or name in {"stats", "limited", "get_cache_stats", "remembered"}:
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
        runtime = PatientRuntime(clock)
        place = path and str(folder / path)
        repository = EmbeddedRepository(place or ":memory:", clock=clock, runtime=runtime)
        return RateLimiter(repository, clock=clock, runtime=runtime, timeout=PATIENCE)

    return make


def _blocking_embedded(path: str) -> Make:
    def make(clock: TurnableClock, folder: Path) -> Awaited:
        runtime = PatientBlockingRuntime(clock)
        place = path and str(folder / path)
        repository = SyncEmbeddedRepository(place or ":memory:", clock=clock, runtime=runtime)
        return Awaited(SyncRateLimiter(repository, clock=clock, runtime=runtime, timeout=PATIENCE))

    return make


def _table(folder: Path) -> str:
    return f"conformance-{uuid.uuid5(uuid.NAMESPACE_URL, str(folder)).hex}"


def _dynamodb(clock: TurnableClock, folder: Path) -> RateLimiter:
    runtime = PatientRuntime(clock)
    repository = Repository(_table(folder), clock=clock, runtime=runtime, timeout=PATIENCE)
    return RateLimiter(repository, clock=clock, runtime=runtime, timeout=PATIENCE)


def _blocking_dynamodb(clock: TurnableClock, folder: Path) -> Awaited:
    runtime = PatientBlockingRuntime(clock)
    repository = SyncRepository(_table(folder), clock=clock, runtime=runtime, timeout=PATIENCE)
    return Awaited(SyncRateLimiter(repository, clock=clock, runtime=runtime, timeout=PATIENCE))


def _guarded(clock: TurnableClock, _: Path) -> RateLimiter:
    """The same repository behind one that does not answer inline: a limiter guards it as it guards a server."""
    runtime = PatientRuntime(clock)
    repository: Any = FaultyRepository(EmbeddedRepository(clock=clock, runtime=runtime))
    return RateLimiter(repository, clock=clock, runtime=runtime, timeout=PATIENCE)


class Handwritten:
    """A store that somebody wrote as blocking code: the plain methods of the protocol, nothing of ours to lend."""

    def __init__(self, repository: Any) -> None:
        self._kept = repository

    def namespace(self, name: str) -> "Handwritten":
        return Handwritten(self._kept.namespace(name))

    def __getattr__(self, name: str) -> Any:
        if name not in _OF_THE_PROTOCOL:
            raise AttributeError(f"{name!r} is no part of SyncRepositoryProtocol")
        return getattr(self._kept, name)


def _in_threads(clock: TurnableClock, _: Path) -> RateLimiter:
    """The async face over blocking code, which waits in threads."""
    repository: Any = Handwritten(SyncEmbeddedRepository(clock=clock, runtime=PatientBlockingRuntime(clock)))
    return RateLimiter(repository, clock=clock, runtime=PatientRuntime(clock), timeout=PATIENCE)


def _handwritten(clock: TurnableClock, _: Path) -> Awaited:
    """The blocking face over blocking code that lends no core."""
    runtime = PatientBlockingRuntime(clock)
    repository: Any = Handwritten(SyncEmbeddedRepository(clock=clock, runtime=runtime))
    return Awaited(SyncRateLimiter(repository, clock=clock, runtime=runtime, timeout=PATIENCE))


def _lose(limiter: Any, method: str) -> None:
    limiter.repository.lose_answers(method, times=1)


STORES: Final[dict[str, Store]] = {
    "memory": Store(_embedded(""), schedules=600),
    "memory, blocking": Store(_blocking_embedded(""), schedules=400),
    "memory, guarded": Store(_guarded, schedules=400, lose=_lose),
    "memory, in threads": Store(_in_threads, schedules=60),
    "memory, written by hand": Store(_handwritten, schedules=60),
    "file": Store(_embedded("limits.db"), is_shared=True, schedules=200),
    "file, blocking": Store(_blocking_embedded("limits.db"), is_shared=True, schedules=200),
    "dynamodb": Store(_dynamodb, is_shared=True, needs_table=True, schedules=0),
    "dynamodb, blocking": Store(_blocking_dynamodb, is_shared=True, needs_table=True, schedules=0),
}
SHARED: Final = {name: store for name, store in STORES.items() if store.is_shared}
