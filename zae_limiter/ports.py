"""The few things the core may wait on: a clock to read and a runtime to wait with.

Protocols only. `runtimes.py` holds the implementations, `system_clock.py` the machine's clock.
"""

from collections.abc import Callable, Coroutine, Hashable, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

T = TypeVar("T")
M = TypeVar("M")


class Outcome(NamedTuple):
    """How one step of `together` ended: with a value, or with an error."""

    value: Any = None
    error: BaseException | None = None


class Clock(Protocol):
    """Where the time comes from."""

    def now_ns(self) -> int:
        """The time of day, in nanoseconds since the epoch."""
        ...

    def monotonic_ns(self) -> int:
        """A time that never steps back, in nanoseconds; for deadlines and lifetimes."""
        ...


class Runtime(Protocol):
    """How the core waits."""

    @property
    def is_blocking(self) -> bool:
        """Whether every wait ends before the call returns."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for so many seconds."""
        ...

    async def together(
        self,
        steps: Sequence[Coroutine[Any, Any, Any]],
        until: Callable[[Outcome], bool] | None = None,
    ) -> list[Outcome]:
        """Run all steps to their end and return their outcomes in order.

        A runtime that does them in turn stops after the first outcome for which `until` answers true;
        steps that were never started have no outcome in the list, which is then shorter.
        """
        ...

    async def shielded(self, step: Coroutine[Any, Any, T]) -> T:
        """Run a step to its end, whatever happens to the caller; a cancellation waits for it."""
        ...

    async def abandonable(
        self,
        step: Coroutine[Any, Any, T],
        late: Callable[[T], Coroutine[Any, Any, None]],
    ) -> T:
        """Run a step to its end; a caller that is cancelled leaves at once, and `late` gets the result."""
        ...

    async def within(self, seconds: float, step: Coroutine[Any, Any, T]) -> T:
        """Run a step for at most so many seconds; `TimeoutError` after that.

        A blocking runtime cannot interrupt a step: there the step's own port keeps the time.
        """
        ...

    async def combined(
        self,
        key: Hashable,
        member: M,
        write: Callable[[Sequence[M]], Coroutine[Any, Any, Sequence[Any]]],
        *,
        seconds: float,
    ) -> Any:
        """Go together with all who wait for the same key.

        One member at a time writes for the group that waits then; the others get their own outcome
        from what `write` returns, in the order of its members. `TimeoutError` after so many seconds.
        """
        ...

    async def in_thread(self, call: Callable[[], T]) -> T:
        """Answer a blocking call without holding up the others."""
        ...
