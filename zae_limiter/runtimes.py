"""How the core waits: on an event loop, or by blocking the thread.

The only module that knows `asyncio`; both runtimes answer alike.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Hashable, Sequence
from concurrent.futures import Executor
from typing import Any, TypeVar

from zae_limiter.blocking import run
from zae_limiter.ports import Outcome

T = TypeVar("T")
M = TypeVar("M")
Write = Callable[[Sequence[M]], Coroutine[Any, Any, Sequence[Any]]]


class AsyncRuntime:
    """Waits on the event loop of the caller."""

    is_blocking = False

    def __init__(self) -> None:
        self._kept: set[asyncio.Future[Any]] = set()
        self._waiting: dict[Hashable, deque[tuple[Any, asyncio.Future[Any]]]] = {}

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
                await asyncio.shield(task)
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
            return await asyncio.shield(task)
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
        async with asyncio.timeout(seconds):
            return await step

    async def combined(self, key: Hashable, member: M, write: Write[M], *, seconds: float) -> Any:
        """Go together with all who wait for the same key; see `ports.Runtime.combined`."""
        waiting = self._waiting.get(key)
        group: list[tuple[M, asyncio.Future[Any] | None]] = [(member, None)]
        if waiting is None:
            waiting = self._waiting[key] = deque()
        else:
            future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            waiting.append((member, future))
            found = await self._waited(future, waiting, key, seconds)
            if found is not _LEAD:
                return found
            group += waiting
            waiting.clear()
        try:
            outcomes = await write([each for each, _ in group])
            for (_, future_of), outcome in zip(group[1:], outcomes[1:], strict=True):
                _answer(future_of, outcome)
            return outcomes[0]
        except Exception as error:
            for _, future_of in group[1:]:
                if future_of is not None and not future_of.done():
                    future_of.set_exception(error)
            raise
        finally:
            # A leader that was cancelled has answered nobody: its followers wait again, the first of them leads.
            for waiter, future_of in reversed(group[1:]):
                if future_of is not None and not future_of.done():
                    waiting.appendleft((waiter, future_of))
            self._hand_on(key, waiting)

    async def _waited(self, future: asyncio.Future[Any], waiting: deque[Any], key: Hashable, seconds: float) -> Any:
        try:
            async with asyncio.timeout(seconds):
                return await future
        except BaseException:
            for entry in [entry for entry in waiting if entry[1] is future]:
                waiting.remove(entry)
            if future.done() and not future.cancelled() and future.exception() is None and future.result() is _LEAD:
                self._hand_on(key, waiting)
            raise

    def _hand_on(self, key: Hashable, waiting: deque[Any]) -> None:
        while waiting:
            _, future = waiting.popleft()
            if not future.done():
                future.set_result(_LEAD)
                return
        if self._waiting.get(key) is waiting:
            del self._waiting[key]

    async def in_thread(self, call: Callable[[], T]) -> T:
        """Answer a blocking call in a worker thread."""
        return await asyncio.to_thread(call)


_LEAD = object()


def _answer(future: asyncio.Future[Any] | None, outcome: Any) -> None:
    if future is not None and not future.done():
        future.set_result(outcome)


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
        self._condition = threading.Condition()
        self._waiting: dict[Hashable, deque[_Follower]] = {}

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
            futures = [self._executor.submit(run, step) for step in steps]
            return [_settled(future.result) for future in futures]
        outcomes: list[Outcome] = []
        for index, step in enumerate(steps):
            outcome = _settled(lambda step=step: run(step))  # type: ignore[misc]
            outcomes.append(outcome)
            if until is not None and until(outcome):
                for unstarted in steps[index + 1 :]:
                    unstarted.close()
                break
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

    async def combined(self, key: Hashable, member: M, write: Write[M], *, seconds: float) -> Any:
        """Go together with all who wait for the same key; see `ports.Runtime.combined`."""
        group = self._joined(key, member, seconds)
        if isinstance(group, _Follower):
            return group.outcome
        try:
            outcomes = run(write([follower.member for follower in group]))
            for follower, outcome in zip(group, outcomes, strict=True):
                follower.outcome, follower.is_answered = outcome, True
            return group[0].outcome
        except Exception as error:
            for follower in group[1:]:
                follower.error, follower.is_answered = error, True
            raise
        finally:
            self._hand_on(key, [follower for follower in group[1:] if not follower.is_answered])

    def _joined(self, key: Hashable, member: object, seconds: float) -> "list[_Follower] | _Follower":
        """The group to write for, or this call itself once another has written for it."""
        own = _Follower(member)
        with self._condition:
            waiting = self._waiting.get(key)
            if waiting is None:
                self._waiting[key] = deque()
                return [own]
            waiting.append(own)
            self._condition.wait_for(lambda: own.is_answered or own.leads, timeout=seconds)
            if own.is_answered:
                if own.error is not None:
                    raise own.error
                return own
            if not own.leads:
                waiting.remove(own)
                raise TimeoutError(f"nobody answered within {seconds} s")
            group = [own, *waiting]
            waiting.clear()
            return group

    def _hand_on(self, key: Hashable, unanswered: "list[_Follower]") -> None:
        with self._condition:
            waiting = self._waiting[key]
            waiting.extendleft(reversed(unanswered))
            if waiting:
                waiting.popleft().leads = True
            else:
                del self._waiting[key]
            self._condition.notify_all()

    async def in_thread(self, call: Callable[[], T]) -> T:
        """Answer the call here: this thread may block."""
        return call()


class _Follower:
    """One call among those that go together."""

    __slots__ = ("error", "is_answered", "leads", "member", "outcome")

    def __init__(self, member: Any) -> None:
        self.member = member
        self.outcome: Any = None
        self.error: Exception | None = None
        self.is_answered = False
        self.leads = False


def _settled(call: Callable[[], Any]) -> Outcome:
    try:
        return Outcome(value=call())
    except Exception as error:  # noqa: BLE001 - an outcome tells of any error
        return Outcome(error=error)
