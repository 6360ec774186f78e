"""An alarm on an event loop that allows for a loop that has stood still."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Final

STOOD_STILL_SECONDS: Final = 0.05
GRACE_SECONDS: Final = 0.1


class Alarm:
    """Rings after so many seconds; a little later when the loop comes to it late.

    Where a loop has stood still, in a handler that blocks or on a machine that paused, an answer may have come
    meanwhile. Reading it takes a few turns of the loop, and a timer that is due would be quicker.
    """

    __slots__ = ("_due", "_handle", "_loop", "_ring")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._due = loop.time() + max(seconds, 0)
        self._handle = loop.call_at(self._due, self._rings)

    def cancel(self) -> None:
        """Never ring."""
        self._handle.cancel()

    def _rings(self) -> None:
        if self._loop.time() - self._due > STOOD_STILL_SECONDS:
            self._handle = self._loop.call_later(GRACE_SECONDS, self._ring)
        else:
            self._ring()


class TimeLimit:
    """A block that may take so many seconds, by an alarm; `TimeoutError` after that."""

    __slots__ = ("_alarm", "_seconds", "_timeout")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def __aenter__(self) -> None:
        loop = asyncio.get_running_loop()
        timeout = self._timeout = asyncio.timeout(None)
        await timeout.__aenter__()
        self._alarm = Alarm(loop, self._seconds, lambda: timeout.reschedule(loop.time()))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._alarm.cancel()
        await self._timeout.__aexit__(kind, error, traceback)
