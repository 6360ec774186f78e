"""The few things the core may wait on: a clock to read and a runtime to wait with.

Protocols only. `runtimes.py` holds the implementations, `system_clock.py` the machine's clock.
"""

import enum
from collections.abc import Callable, Coroutine, Hashable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol, TypeVar

T = TypeVar("T")
M = TypeVar("M")


class Again(enum.Enum):
    """The answer of a combined write to a member that goes first in the next group."""

    AGAIN = "again"


AGAIN: Final = Again.AGAIN


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


class Client(Protocol):
    """One AWS service, called by the names and in the shapes of its wire."""

    async def once(self, operation: str, parameters: Mapping[str, Any], *, seconds: float) -> Mapping[str, Any]:
        """Send one request once, as `UpdateItem` with its parameters; never repeated.

        Foreign errors leave as the kinds of `aws.py`: a failed condition with its image, surely not written,
        unknown outcome, and what ends a call at once.
        """
        ...

    async def call(self, operation: str, parameters: Mapping[str, Any], *, deadline_ns: int) -> Mapping[str, Any]:
        """The same for reads and for writes that may be repeated: tried again with jitter until the deadline."""
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
        late: Callable[[M, Any], Coroutine[Any, Any, None]] | None = None,
        width: int = 1,
        most: int = 1_000_000,
        is_shielded: bool = False,
    ) -> Any:
        """Go together with all who wait for the same key, at most so many.

        `write` answers for its members in their order: with an outcome, with an error that the member raises,
        or with `AGAIN`: that one goes first in the next group. `width` writes of a key go side by side. A write
        runs to its end whoever leaves; `late` gets the outcome of a member that was cancelled or waited for so
        many seconds, which is a `TimeoutError`. A caller that `is_shielded` is never cancelled and its write keeps
        the time: where nobody else waits, it is done without more ado.
        """
        ...

    async def in_thread(self, call: Callable[[], T]) -> T:
        """Answer a blocking call without holding up the others."""
        ...
