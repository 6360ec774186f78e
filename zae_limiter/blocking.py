"""The whole of the sync machinery: one async core, run to its end by blocking ports.

`run` drives a coroutine that never suspends, `blocking` makes the sync twin of a method,
`awaited` lends a repository or a callable written as blocking code to the core.
"""

import contextlib
import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

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


class _Awaited:
    """A blocking object whose methods can be awaited."""

    def __init__(self, target: Any) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        if not callable(value) or inspect.iscoroutinefunction(value) or name in _PLAIN:
            return value
        return awaited(value)


# Answered without waiting in both faces, so that the core calls them without `await`.
_PLAIN = frozenset({"get_cache_stats", "peek"})


def awaited(target: Any) -> Any:
    """Lend blocking code to the core: a callable becomes awaitable, a repository its methods."""
    if inspect.isroutine(target):

        @functools.wraps(target)
        async def answer(*args: Any, **kwargs: Any) -> Any:
            return target(*args, **kwargs)

        return answer
    return _Awaited(target)
