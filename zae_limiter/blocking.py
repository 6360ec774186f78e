"""The whole of the sync machinery: one async core, run to its end by blocking ports.

`run` drives a coroutine that never suspends, `blocking` makes the sync twin of a method,
`in_time` gives a call that blocks up, `awaited` lends a repository or a callable written as blocking code to the core,
`in_threads` to an event loop.
"""

import contextlib
import dataclasses
import functools
import inspect
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeGuard, TypeVar, cast

if TYPE_CHECKING:
    from zae_limiter.ports import Runtime
    from zae_limiter.repository_protocol import RepositoryProtocol
    from zae_limiter.sync_repository_protocol import SyncRepositoryProtocol

P = ParamSpec("P")
T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine of the core to its end.

    Raises `RuntimeError` when the coroutine suspends: a blocking port answers at once.
    """
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    with contextlib.suppress(RuntimeError):
        coroutine.close()
    raise RuntimeError("a blocking port must answer at once; this call waited for an event loop")


def in_time(seconds: float, call: Callable[[], T]) -> T:
    """What a call answers within so many seconds; `TimeoutError` after that, with the call left to its own end."""
    answer: Future[T] = Future()

    def work() -> None:
        try:
            answer.set_result(call())
        except BaseException as error:  # noqa: BLE001 - it is raised where the answer is waited for
            answer.set_exception(error)

    # Nobody can interrupt a call that blocks; a thread of its own lets the caller go on.
    threading.Thread(target=work, name="zae-limiter", daemon=True).start()
    return answer.result(seconds)


def blocking(
    method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Any, P], T]:
    """The blocking twin of a core method: same name, same arguments, same words."""

    @functools.wraps(method)
    def twin(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return run(method(self._core, *args, **kwargs))

    # Tools that follow `__wrapped__` (inspect, asyncio) would otherwise call the twin a coroutine function.
    signature = inspect.signature(method)
    del twin.__wrapped__
    twin.__signature__ = signature  # type: ignore[attr-defined]
    return twin


# Answered without waiting in both faces, so that the core calls them without `await`.
_PLAIN = frozenset({"get_cache_stats", "remembered"})
# Their answer is a repository again.
_REPOSITORIES = frozenset({"namespace", "open"})


class _Awaited:
    """A blocking object whose methods can be awaited."""

    def __init__(self, target: Any) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        if not callable(value) or inspect.iscoroutinefunction(value) or name in _PLAIN:
            return value
        return awaited(value)


class _InThreads:
    """A blocking repository whose methods are awaited, each in a thread that may block."""

    def __init__(self, target: Any, runtime: "Runtime") -> None:
        self._target = target
        self._runtime = runtime

    @property
    def capabilities(self) -> Any:
        # A limiter has to guard what waits in a thread, whatever it did where it was at home.
        return dataclasses.replace(self._target.capabilities, answers_inline=False)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        if not callable(value) or name in _PLAIN:
            return value

        @functools.wraps(value)
        async def answer(*args: Any, **kwargs: Any) -> Any:
            found = await self._runtime.in_thread(functools.partial(value, *args, **kwargs))
            if inspect.isawaitable(found):
                found = await found
            return _InThreads(found, self._runtime) if name in _REPOSITORIES else found

        return answer


def awaited(target: Any) -> Any:
    """Lend blocking code to the core of the sync face: a callable becomes awaitable, a repository its methods."""
    if not inspect.isroutine(target):
        return _Awaited(target)

    @functools.wraps(target)
    async def answer(*args: Any, **kwargs: Any) -> Any:
        found = target(*args, **kwargs)
        if inspect.isawaitable(found):
            if inspect.iscoroutine(found):
                found.close()
            raise TypeError(_IS_AWAITED.format(getattr(target, "__qualname__", target)))
        return found

    return answer


def in_threads(repository: "RepositoryProtocol | SyncRepositoryProtocol", runtime: "Runtime") -> "RepositoryProtocol":
    """A repository for an event loop: as it is, or, where it is written as blocking code, each call in a thread."""
    if is_blocking(repository) and not runtime.is_blocking:
        lent: Any = _InThreads(repository, runtime)
        return cast("RepositoryProtocol", lent)
    return cast("RepositoryProtocol", repository)


def core_of(repository: "SyncRepositoryProtocol") -> "RepositoryProtocol":
    """What a blocking repository lends to the core: its own core where it has one, else itself made awaitable.

    Raises `TypeError` for an asynchronous repository.
    """
    if not is_blocking(repository):
        raise TypeError(_IS_AWAITED.format(type(repository).__name__))
    # Its own alone: what stands in front of a repository of ours must not be passed by.
    core = vars(repository).get("_core") if hasattr(repository, "__dict__") else None
    lent: Any = core if _has_debit(core) and not is_blocking(core) else awaited(repository)
    return cast("RepositoryProtocol", lent)


def is_blocking(repository: object) -> "TypeGuard[SyncRepositoryProtocol]":
    """Whether a repository is written as blocking code; `TypeError` for what is no repository."""
    if isinstance(repository, type) or not _has_debit(repository):
        what = repr(repository) if isinstance(repository, (str, type)) else type(repository).__name__
        raise TypeError(f"repository must keep RepositoryProtocol, got {what}; for an address take open_limiter(...)")
    return not inspect.iscoroutinefunction(getattr(repository, "debit", None))


def _has_debit(value: object) -> bool:
    return callable(getattr(value, "debit", None))


_IS_AWAITED = (
    "{} is awaited, and SyncRateLimiter blocks: take the blocking twin of that repository"
    " (SyncRepository, SyncEmbeddedRepository), or RateLimiter"
)
