"""Streamed bodies: the lease of a request stays open until the last byte, or until its client has left.

A body is closed by whoever knows of its end first: itself, Django's `response.close`, or the collector.
"""

import contextlib
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

from zae_limiter_django.limits import Lent, RequestLimits

End = Callable[[], Coroutine[Any, Any, None]]


class AwaitedBody:
    """The parts of an async body, with its lease as the current one; `end` is awaited after the last of them."""

    def __init__(self, limits: RequestLimits[Any], parts: AsyncIterator[bytes], end: End, drop: Callable[[], None]):
        self._limits = limits
        self._parts = parts
        self._end = end
        self._drop = drop

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            with Lent(self._limits):
                return await anext(self._parts)
        except BaseException:
            await self._end()
            raise

    def __del__(self) -> None:
        # A server whose `send` fails lets nobody know: Django neither goes on nor closes the response.
        with contextlib.suppress(RuntimeError):  # the limiter may be closed by then
            self._drop()


def lent_parts(limits: RequestLimits[Any], parts: Iterator[bytes]) -> Iterator[bytes]:
    """The parts of a plain body, with its lease as the current one."""
    # Only for the moment of each part: between two of them the thread may serve somebody else.
    while True:
        with Lent(limits):
            part = next(parts, None)
        if part is None:
            return
        yield part


def when_closed(response: Any, then: Callable[[], None]) -> None:
    """Call something once a response is closed, after its own resources: they may adjust the lease at their end."""
    if hasattr(response, "file_to_stream"):
        # A server that sends files by itself keeps this function and drops the response.
        close = response.close
    else:
        # No cycle: a response that is dropped has to end at once, not when the collector finds it.
        known = weakref.ref(response)

        def close() -> None:
            dropped = known()
            if dropped is not None:
                type(dropped).close(dropped)

    def closed() -> None:
        try:
            close()
        finally:
            then()

    response.close = closed
