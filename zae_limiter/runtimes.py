"""How the core waits: on an event loop, or by blocking the thread.

The only module that knows `asyncio`; both runtimes answer alike.
"""

import asyncio
import functools
import time
from collections.abc import Callable, Coroutine, Hashable, Sequence
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

from zae_limiter.alarm import TimeLimit
from zae_limiter.blocking import run
from zae_limiter.combining import AsyncGroups, BlockingGroups, left_running
from zae_limiter.ports import Outcome

T = TypeVar("T")
M = TypeVar("M")
Write = Callable[[Sequence[M]], Coroutine[Any, Any, Sequence[Any]]]
Late = Callable[[M, Any], Coroutine[Any, Any, None]]


class AsyncRuntime:
    """Waits on the event loop of the caller."""

    is_blocking = False

    def __init__(self) -> None:
        self._kept: set[asyncio.Future[Any]] = set()
        self._groups = AsyncGroups()

    async def sleep(self, seconds: float) -> None:
        """Wait for so many seconds."""
        await asyncio.sleep(seconds)

    async def together(
        self,
        steps: Sequence[Coroutine[Any, Any, Any]],
        until: Callable[[Outcome], bool] | None = None,
    ) -> list[Outcome]:
        """Run all steps side by side; `until` stops nothing, since all have started."""
        found = await asyncio.gather(*steps, return_exceptions=True)
        return [_outcome(value) for value in found]

    async def shielded(self, step: Coroutine[Any, Any, T]) -> T:
        """Run a step to its end; a cancellation of the caller waits for it."""
        task = self._keep(asyncio.ensure_future(step))
        cancelled: asyncio.CancelledError | None = None
        while not task.done():
            try:
                await left_running(task)
            except asyncio.CancelledError as error:
                cancelled = error
            except Exception:  # noqa: BLE001 - told below, from the task itself
                break
        if cancelled is not None:
            raise cancelled
        return task.result()

    async def abandonable(
        self,
        step: Coroutine[Any, Any, T],
        late: Callable[[T], Coroutine[Any, Any, None]],
    ) -> T:
        """Run a step to its end; when the caller is cancelled meanwhile, `late` gets the result."""
        task = self._keep(asyncio.ensure_future(step))
        try:
            return await left_running(task)
        except asyncio.CancelledError:
            self._keep(asyncio.ensure_future(_handed_on(task, late)))
            raise

    def _keep(self, task: asyncio.Future[T]) -> asyncio.Future[T]:
        # The loop holds tasks weakly: one that nobody awaits would be collected half-way.
        self._kept.add(task)
        task.add_done_callback(self._let_go)
        return task

    def _let_go(self, task: asyncio.Future[Any]) -> None:
        self._kept.discard(task)
        if not task.cancelled():
            task.exception()

    async def within(self, seconds: float, step: Coroutine[Any, Any, T]) -> T:
        """Run a step for at most so many seconds; `TimeoutError` after that."""
        async with TimeLimit(seconds):
            return await step

    async def combined(
        self,
        key: Hashable,
        member: M,
        write: Write[M],
        *,
        seconds: float,
        late: Late[M] | None = None,
        width: int = 1,
        most: int = 1_000_000,
        is_shielded: bool = False,
    ) -> Any:
        """Go together with all who wait for the same key; see `ports.Runtime.combined`."""
        return await self._groups.combined(
            key, member, write, seconds=seconds, late=late, width=width, most=most, is_shielded=is_shielded
        )

    async def in_thread(self, call: Callable[[], T]) -> T:
        """Answer a blocking call in a worker thread."""
        return await asyncio.to_thread(call)


def _outcome(value: Any) -> Outcome:
    return Outcome(error=value) if isinstance(value, BaseException) else Outcome(value=value)


async def _handed_on(task: asyncio.Future[T], late: Callable[[T], Coroutine[Any, Any, None]]) -> None:
    try:
        result = await task
    except Exception:  # noqa: BLE001 - a step that failed has written nothing, or nobody knows: it heals with time
        return
    await late(result)


class BlockingRuntime:
    """Blocks the thread; every wait has ended when a call returns.

    With an executor, steps that can go together do; without one they go in turn.
    """

    is_blocking = True

    def __init__(self, executor: Executor | None = None) -> None:
        self._executor = executor
        self._groups = BlockingGroups()

    async def sleep(self, seconds: float) -> None:
        """Block for so many seconds."""
        time.sleep(seconds)  # noqa: ASYNC251 - blocking is what this runtime is for

    async def together(
        self,
        steps: Sequence[Coroutine[Any, Any, Any]],
        until: Callable[[Outcome], bool] | None = None,
    ) -> list[Outcome]:
        """Run the steps in threads, or in turn until `until` says enough."""
        if self._executor is not None and len(steps) > 1:
            return _side_by_side(self._executor, steps)
        outcomes: list[Outcome] = []
        try:
            for step in steps:
                outcome = _settled(lambda step=step: run(step))  # type: ignore[misc]
                outcomes.append(outcome)
                if until is not None and until(outcome):
                    break
        finally:
            # An interrupt at the keyboard ends the turn, too.
            for unstarted in steps[len(outcomes) :]:
                unstarted.close()
        return outcomes

    async def shielded(self, step: Coroutine[Any, Any, T]) -> T:
        """Run the step: nobody can cancel a thread."""
        return await step

    async def abandonable(
        self,
        step: Coroutine[Any, Any, T],
        late: Callable[[T], Coroutine[Any, Any, None]],
    ) -> T:
        """Run the step: nobody can cancel a thread."""
        return await step

    async def within(self, seconds: float, step: Coroutine[Any, Any, T]) -> T:
        """Run the step: its own port keeps the time."""
        return await step

    async def combined(
        self,
        key: Hashable,
        member: M,
        write: Write[M],
        *,
        seconds: float,
        late: Late[M] | None = None,
        width: int = 1,
        most: int = 1_000_000,
        is_shielded: bool = False,
    ) -> Any:
        """Go together with all who wait for the same key; see `ports.Runtime.combined`."""
        return await self._groups.combined(key, member, write, seconds=seconds, late=late, width=width, most=most)

    async def in_thread(self, call: Callable[[], T]) -> T:
        """Answer the call here: this thread may block."""
        return call()


def _side_by_side(executor: Executor, steps: Sequence[Coroutine[Any, Any, Any]]) -> list[Outcome]:
    """Run the steps in the threads of an executor, and here whatever none of them has begun when its turn comes.

    One that was shut down, as at the end of the interpreter, begins nothing any more, and one whose threads are all
    here, as where a web server lends its own, would wait for itself.
    """
    futures: list[Future[Any] | None] = []
    for step in steps:
        try:
            futures.append(executor.submit(run, step))
        except RuntimeError:
            futures.append(None)
    return [
        _settled(functools.partial(run, step) if future is None or future.cancel() else future.result)
        for step, future in zip(steps, futures, strict=True)
    ]


def _settled(call: Callable[[], Any]) -> Outcome:
    try:
        return Outcome(value=call())
    except Exception as error:  # noqa: BLE001 - an outcome tells of any error
        return Outcome(error=error)
