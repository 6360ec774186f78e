"""An event loop whose time jumps to the next timer, and a clock that shows it: minutes of waiting pass in a moment."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")
_START_NS: Final = 1_800_000_000_000_000_000


class _Jumping(selectors.DefaultSelector):  # type: ignore[misc, valid-type, unused-ignore]
    """Waits for nothing: so many seconds have passed."""

    seconds = 0.0

    def select(self, timeout: float | None = None) -> Any:
        assert timeout is not None, "everybody waits for somebody else"
        self.seconds += max(0.0, timeout)
        return super().select(0)


class VirtualClock:
    """Shows the time of the loop; `ahead` is by how many seconds its time of day is wrong."""

    def __init__(self, ahead: float = 0.0) -> None:
        self._ahead_ns = round(ahead * 1e9)

    def now_ns(self) -> int:
        return _START_NS + self._ahead_ns + self.monotonic_ns()

    def monotonic_ns(self) -> int:
        return round(asyncio.get_running_loop().time() * 1e9)


def simulated(step: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns, in virtual time."""
    selector = _Jumping()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.seconds  # type: ignore[method-assign]
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(step)
