"""Those who wait for one thing go together: queues by key, on an event loop or between threads.

A write belongs to its group, not to a member: it runs to its end whoever leaves. While one is under way the
next group gathers; no lock is held meanwhile. After 100 ms one more may start beside a write that is stuck.
"""

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Hashable, Sequence
from typing import Any, Final, TypeVar

from zae_limiter.alarm import Alarm
from zae_limiter.ports import AGAIN

T = TypeVar("T")
Write = Callable[[Sequence[Any]], Coroutine[Any, Any, Sequence[Any]]]
Late = Callable[[Any, Any], Coroutine[Any, Any, None]]

_STUCK_SECONDS: Final = 0.1

logger = logging.getLogger("zae_limiter.store")


async def left_running(task: "asyncio.Future[T]") -> T:
    """The result of a task that goes on when whoever waits here is cancelled.

    What it fails with after that is nobody's; `asyncio.shield` lets the event loop log it (since Python 3.14).
    """
    await asyncio.wait((task,))
    return task.result()


class _Waiting:
    """One call on an event loop among those that go together."""

    __slots__ = ("future", "has_left", "late", "member")

    def __init__(self, member: Any, late: Late | None, future: "asyncio.Future[Any]") -> None:
        self.member = member
        self.late = late
        self.future = future
        self.has_left = False


class _Line:
    """Those who wait for one key, and how many writes are under way."""

    __slots__ = ("begun", "most", "timer", "under_way", "waiting", "width", "write")

    def __init__(self, write: Write, width: int, most: int) -> None:
        self.write = write
        self.width = width
        self.most = most
        self.waiting: deque[_Waiting] = deque()
        self.under_way = 0
        self.begun = 0.0
        self.timer: asyncio.TimerHandle | None = None

    def next_group(self) -> list[_Waiting]:
        number = min(len(self.waiting), self.most)
        return [self.waiting.popleft() for _ in range(number)]


class AsyncGroups:
    """Groups on event loops. A group of all who came in one turn of the loop is written in the next."""

    def __init__(self) -> None:
        self._lines: dict[tuple[asyncio.AbstractEventLoop, Hashable], _Line] = {}
        self._kept: set[asyncio.Task[None]] = set()

    async def combined(
        self,
        key: Hashable,
        member: Any,
        write: Write,
        *,
        seconds: float,
        late: Late | None,
        width: int,
        most: int,
        is_shielded: bool,
    ) -> Any:
        """See `ports.Runtime.combined`."""
        loop = asyncio.get_running_loop()
        place = (loop, key)
        line = self._lines.get(place)
        if line is None:
            line = self._lines[place] = _Line(write, width, most)
        waiting = _Waiting(member, late, loop.create_future())
        line.waiting.append(waiting)
        try:
            if line.under_way >= width:
                if line.timer is None:
                    line.timer = loop.call_at(line.begun + _STUCK_SECONDS, self._beside, loop, place, line)
            elif not is_shielded:
                self._begin(loop, place, line)
            elif (outcome := await self._alone(loop, place, line, waiting)) is not AGAIN:
                return outcome
            return await _told(loop, line, waiting, seconds)
        except asyncio.CancelledError:
            _take_out(line, waiting)
            self._hand_late(waiting)
            raise

    async def _alone(self, loop: asyncio.AbstractEventLoop, place: Any, line: _Line, waiting: _Waiting) -> Any:
        """Write for a caller for whom nobody else waits, without a task; `AGAIN` when it is to go with others."""
        line.under_way += 1
        line.begun = loop.time()
        try:
            # Whoever comes in this turn of the loop goes along.
            await asyncio.sleep(0)
            if len(line.waiting) != 1 or line.waiting[0] is not waiting:
                return AGAIN
            line.waiting.popleft()
            (outcome,) = await _outcomes(line.write, [waiting])
            if outcome is AGAIN:
                line.waiting.appendleft(waiting)
            elif isinstance(outcome, Exception):
                raise outcome
            return outcome
        finally:
            line.under_way -= 1
            self._go_on(loop, place, line)

    def _hand_late(self, waiting: _Waiting) -> None:
        future = waiting.future
        if future.done() and not future.cancelled() and future.exception() is None and waiting.late is not None:
            # It was answered in the very turn in which its caller was cancelled.
            self._keep(asyncio.ensure_future(_told_late(waiting.late, waiting.member, future.result())))

    def _begin(self, loop: asyncio.AbstractEventLoop, place: Any, line: _Line) -> None:
        line.under_way += 1
        line.begun = loop.time()
        self._keep(loop.create_task(self._write_all(loop, place, line)))

    def _keep(self, task: "asyncio.Task[None]") -> None:
        self._kept.add(task)
        task.add_done_callback(self._kept.discard)

    def _beside(self, loop: asyncio.AbstractEventLoop, place: Any, line: _Line) -> None:
        line.timer = None
        if not line.waiting or line.under_way > line.width:
            return
        if loop.time() - line.begun >= _STUCK_SECONDS:
            self._begin(loop, place, line)
        else:
            line.timer = loop.call_at(line.begun + _STUCK_SECONDS, self._beside, loop, place, line)

    async def _write_all(self, loop: asyncio.AbstractEventLoop, place: Any, line: _Line) -> None:
        group: list[_Waiting] = []
        try:
            while line.waiting:
                group += line.next_group()
                line.begun = loop.time()
                outcomes = await _outcomes(line.write, group)
                again = [each for each, found in zip(group, outcomes, strict=True) if not self._answer(each, found)]
                group.clear()
                line.waiting.extendleft(reversed(again))
                if line.under_way > line.width:
                    break
        finally:
            for each in group:
                each.future.cancel()
            line.under_way -= 1
            self._go_on(loop, place, line)

    def _go_on(self, loop: asyncio.AbstractEventLoop, place: Any, line: _Line) -> None:
        if line.waiting:
            if line.under_way < line.width:
                self._begin(loop, place, line)
            elif line.timer is None:
                line.timer = loop.call_at(line.begun + _STUCK_SECONDS, self._beside, loop, place, line)
        elif not line.under_way and self._lines.get(place) is line:
            del self._lines[place]
            if line.timer is not None:
                line.timer.cancel()

    def _answer(self, waiting: _Waiting, outcome: Any) -> bool:
        """Hand an outcome to its member, or to `late` if it has left; false for one that goes again."""
        if outcome is AGAIN:
            return waiting.has_left
        if waiting.has_left or waiting.future.done():
            if waiting.late is not None and not isinstance(outcome, Exception):
                self._keep(asyncio.ensure_future(_told_late(waiting.late, waiting.member, outcome)))
        elif isinstance(outcome, Exception):
            waiting.future.set_exception(outcome)
        else:
            waiting.future.set_result(outcome)
        return True


async def _outcomes(write: Write, group: Sequence[Any]) -> Sequence[Any]:
    try:
        return await write([each.member for each in group])
    except Exception as error:  # noqa: BLE001 - each member raises it
        return [error] * len(group)


async def _told(loop: asyncio.AbstractEventLoop, line: _Line, waiting: _Waiting, seconds: float) -> Any:
    alarm = Alarm(loop, seconds, lambda: _leave(line, waiting, seconds))
    try:
        return await waiting.future
    finally:
        alarm.cancel()


async def _told_late(late: Late, member: Any, outcome: Any) -> None:
    await late(member, outcome)


def _take_out(line: _Line, waiting: _Waiting) -> None:
    waiting.has_left = True
    with contextlib.suppress(ValueError):  # it is in a group already
        line.waiting.remove(waiting)


def _leave(line: _Line, waiting: _Waiting, seconds: float) -> None:
    if not waiting.future.done():
        _take_out(line, waiting)
        waiting.future.set_exception(TimeoutError(f"no answer within {seconds} s"))


class _Blocked:
    """One thread among those that go together."""

    __slots__ = ("has_left", "is_answered", "is_taken", "late", "member", "outcome")

    def __init__(self, member: Any, late: Late | None) -> None:
        self.member = member
        self.late = late
        self.outcome: Any = None
        self.is_answered = False
        self.is_taken = False
        self.has_left = False


class _Queue:
    """The threads that wait for one key, and how many writes are under way."""

    __slots__ = ("begun", "condition", "most", "under_way", "waiting", "width", "write")

    def __init__(self, lock: threading.Lock, write: Write, width: int, most: int) -> None:
        self.condition = threading.Condition(lock)
        self.write = write
        self.width = width
        self.most = most
        self.waiting: deque[_Blocked] = deque()
        self.under_way = 0
        self.begun = 0.0

    def patience(self, now: float) -> float:
        """Seconds until one more write may begin; 0 or less for now."""
        if self.under_way < self.width:
            return 0.0
        return self.begun + _STUCK_SECONDS - now if self.under_way == self.width else _STUCK_SECONDS


class BlockingGroups:
    """Groups of threads: the first writes for its group, the next is written by the first who waits for it."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._queues: dict[Hashable, _Queue] = {}

    async def combined(
        self,
        key: Hashable,
        member: Any,
        write: Write,
        *,
        seconds: float,
        late: Late | None,
        width: int,
        most: int,
    ) -> Any:
        """See `ports.Runtime.combined`."""
        if self._pid != os.getpid():
            # The threads that would hand out answers and let go of the lock have stayed in the parent.
            self._begin()
        own = _Blocked(member, late)
        end = time.monotonic() + seconds
        with self._lock:
            queue = self._queues.get(key)
            if queue is None:
                queue = self._queues[key] = _Queue(self._lock, write, width, most)
            queue.waiting.append(own)
        while True:
            try:
                group = self._joined(key, queue, own, end, seconds)
            except BaseException:
                if own.is_answered:
                    # It was answered in the very moment in which a signal has interrupted it.
                    await _handed_late([own])
                raise
            if group is None:
                if isinstance(own.outcome, Exception):
                    raise own.outcome
                return own.outcome
            await self._lead(key, queue, group, own)

    def _joined(self, key: Hashable, queue: _Queue, own: _Blocked, end: float, seconds: float) -> list[_Blocked] | None:
        """The group to write, or None once another has written for this call."""
        with queue.condition:
            try:
                while not own.is_answered:
                    now = time.monotonic()
                    patience = queue.patience(now)
                    if patience <= 0 and queue.waiting and queue.waiting[0] is own:
                        queue.under_way += 1
                        queue.begun = now
                        group = [queue.waiting.popleft() for _ in range(min(len(queue.waiting), queue.most))]
                        for each in group:
                            each.is_taken = True
                        return group
                    if now >= end:
                        raise TimeoutError(f"no answer within {seconds} s")
                    queue.condition.wait(end - now if own.is_taken else min(end - now, max(patience, 0.001)))
            except BaseException:
                # Late, or interrupted by a signal: whoever stands behind it would wait for it for ever.
                own.has_left = True
                with contextlib.suppress(ValueError):  # it is in a group already
                    queue.waiting.remove(own)
                self._end(key, queue)
                queue.condition.notify_all()
                raise
            return None

    def _end(self, key: Hashable, queue: _Queue) -> None:
        if not queue.waiting and not queue.under_way and self._queues.get(key) is queue:
            del self._queues[key]

    async def _lead(self, key: Hashable, queue: _Queue, group: list[_Blocked], own: _Blocked) -> None:
        outcomes: Sequence[Any] = [AGAIN] * len(group)
        try:
            outcomes = await _outcomes(queue.write, group)
        except BaseException:
            # Those of a leader that is interrupted wait again, and the first of them leads.
            own.has_left = True
            raise
        finally:
            late = self._hand_out(key, queue, group, outcomes)
        await _handed_late(late)

    def _hand_out(self, key: Hashable, queue: _Queue, group: list[_Blocked], outcomes: Sequence[Any]) -> list[_Blocked]:
        with queue.condition:
            queue.under_way -= 1
            again = [each for each, outcome in zip(group, outcomes, strict=True) if outcome is AGAIN]
            for each, outcome in zip(group, outcomes, strict=True):
                each.is_taken = False
                if outcome is not AGAIN:
                    each.outcome, each.is_answered = outcome, True
            queue.waiting.extendleft(each for each in reversed(again) if not each.has_left)
            self._end(key, queue)
            queue.condition.notify_all()
        return [each for each in group if each.has_left and each.is_answered]


async def _handed_late(gone: Sequence[_Blocked]) -> None:
    for each in gone:
        if each.late is None or isinstance(each.outcome, Exception):
            continue
        try:
            await each.late(each.member, each.outcome)
        except Exception:
            # Whoever hands it out has an answer of its own.
            logger.warning("what was granted to a caller that had left was not given back", exc_info=True)
