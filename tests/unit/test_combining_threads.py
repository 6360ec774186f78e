"""Threads that wait for one thing go together: the first writes for all who wait then."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from zae_limiter.blocking import run
from zae_limiter.ports import AGAIN
from zae_limiter.runtimes import BlockingRuntime


class Writer:
    """Writes groups when the gate is open, and notes them."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.begun = threading.Event()
        self.groups: list[list[int]] = []
        self.answers: dict[int, Any] = {}
        self.error: BaseException | None = None
        self.late: list[tuple[int, Any]] = []

    async def write(self, members: Sequence[int]) -> list[Any]:
        self.groups.append(list(members))
        error, self.error = self.error, None
        gate = self.gate
        self.begun.set()
        assert gate.wait(10)
        if error is not None:
            raise error
        return [self.answers.pop(member, member * 10) for member in members]

    async def take(self, member: int, outcome: Any) -> None:
        self.late.append((member, outcome))


def waiting(runtime: BlockingRuntime, number: int) -> None:
    """Come back once so many calls wait behind the leader."""
    queue = runtime._groups._queues["key"]
    while len(queue.waiting) < number:
        threading.Event().wait(0.001)


def combined(runtime: BlockingRuntime, writer: Writer, member: int, **options: Any) -> Any:
    options.setdefault("seconds", 10)
    return run(runtime.combined("key", member, writer.write, late=writer.take, **options))


def behind(executor: ThreadPoolExecutor, runtime: BlockingRuntime, writer: Writer, *members: int) -> list[Future[Any]]:
    """The first writes, the others wait behind it."""
    futures = [executor.submit(combined, runtime, writer, members[0])]
    assert writer.begun.wait(5)
    futures += [executor.submit(combined, runtime, writer, member) for member in members[1:]]
    waiting(runtime, len(members) - 1)
    return futures


def test_those_who_come_during_a_write_go_together_in_the_next() -> None:
    runtime, writer = BlockingRuntime(), Writer()
    with ThreadPoolExecutor(4) as executor:
        futures = behind(executor, runtime, writer, 1, 2, 3, 4)
        writer.gate.set()
        assert [future.result(5) for future in futures] == [10, 20, 30, 40]
    assert len(writer.groups) == 2
    assert sorted(writer.groups[1]) == [2, 3, 4]
    assert not runtime._groups._queues


def test_the_error_of_a_write_is_that_of_its_whole_group_alone() -> None:
    runtime, writer = BlockingRuntime(), Writer()
    writer.error = ConnectionError("no store")
    with ThreadPoolExecutor(3) as executor:
        futures = behind(executor, runtime, writer, 1, 2, 3)
        writer.gate.set()
        assert isinstance(futures[0].exception(5), ConnectionError)
        assert [future.result(5) for future in futures[1:]] == [20, 30]


def test_a_member_raises_the_error_that_is_its_answer() -> None:
    runtime, writer = BlockingRuntime(), Writer()
    writer.answers[1] = ConnectionError("only this one")
    writer.gate.set()
    with pytest.raises(ConnectionError):
        combined(runtime, writer, 1)


def test_one_that_goes_again_goes_first_in_the_next_group() -> None:
    runtime, writer = BlockingRuntime(), Writer()
    writer.answers[1] = AGAIN
    with ThreadPoolExecutor(2) as executor:
        futures = behind(executor, runtime, writer, 1, 2)
        writer.gate.set()
        assert [future.result(5) for future in futures] == [10, 20]
    assert writer.groups == [[1], [1, 2]]


def test_a_leader_that_is_interrupted_hands_on_to_its_followers() -> None:
    runtime, writer = BlockingRuntime(), Writer()
    writer.error = KeyboardInterrupt()

    def lead() -> None:
        with pytest.raises(KeyboardInterrupt):
            combined(runtime, writer, 1)

    with ThreadPoolExecutor(3) as executor:
        first = executor.submit(lead)
        assert writer.begun.wait(5)
        others = [executor.submit(combined, runtime, writer, member) for member in (2, 3)]
        waiting(runtime, 2)
        writer.gate.set()
        first.result(5)
        assert [future.result(5) for future in others] == [20, 30]


class InterruptedAsItWaitsError(Exception):
    """What a handler of signals raises, as a time limit for a task does."""


@contextlib.contextmanager
def on_signal(runtime: BlockingRuntime, executor: ThreadPoolExecutor, act: Callable[[], object]) -> Iterator[None]:
    """Once the call of this thread waits behind others, a signal comes to it, which acts and then raises."""
    main, number = threading.get_ident(), len(runtime._groups._queues["key"].waiting)

    def interrupt(*_: object) -> None:
        act()
        raise InterruptedAsItWaitsError

    def send() -> None:
        waiting(runtime, number + 1)
        signal.pthread_kill(main, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        executor.submit(send)
        with pytest.raises(InterruptedAsItWaitsError):
            yield
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_one_that_a_signal_interrupts_as_it_waits_holds_up_nobody() -> None:
    runtime, writer = BlockingRuntime(), Writer()
    with ThreadPoolExecutor(3) as executor:
        first = executor.submit(combined, runtime, writer, 1)
        assert writer.begun.wait(5)
        with on_signal(runtime, executor, lambda: None):
            combined(runtime, writer, 2)
        third = executor.submit(combined, runtime, writer, 3)
        waiting(runtime, 1)
        writer.gate.set()
        assert (first.result(5), third.result(5)) == (10, 30)
    assert writer.groups == [[1], [3]]
    assert writer.late == []


def test_one_that_is_answered_as_a_signal_interrupts_it_is_told_late() -> None:
    runtime, writer = BlockingRuntime(), Writer()
    with ThreadPoolExecutor(3) as executor:
        _, second = behind(executor, runtime, writer, 1, 2)

        def end() -> None:
            writer.gate.set()
            second.result(5)

        with on_signal(runtime, executor, end):
            combined(runtime, writer, 3)
    assert writer.groups == [[1], [2, 3]]
    assert writer.late == [(3, 30)]


def test_waiting_counts_against_the_deadline_of_the_member() -> None:
    runtime, writer = BlockingRuntime(), Writer()
    with ThreadPoolExecutor(1) as executor:
        first = executor.submit(combined, runtime, writer, 1)
        assert writer.begun.wait(5)
        with pytest.raises(TimeoutError):
            combined(runtime, writer, 2, seconds=0.01)
        writer.gate.set()
        assert first.result(5) == 10
    assert writer.groups == [[1]]


def test_a_deadline_in_the_middle_of_a_write_is_told_late() -> None:
    runtime, writer = BlockingRuntime(), Writer()
    with ThreadPoolExecutor(3) as executor:
        first = executor.submit(combined, runtime, writer, 1)
        assert writer.begun.wait(5)
        second = executor.submit(combined, runtime, writer, 2)
        waiting(runtime, 1)
        third = executor.submit(combined, runtime, writer, 3, seconds=0.05)
        waiting(runtime, 2)
        writer.begun.clear()
        gate, writer.gate = writer.gate, threading.Event()
        gate.set()
        assert first.result(5) == 10
        assert writer.begun.wait(5)
        assert isinstance(third.exception(5), TimeoutError)
        writer.gate.set()
        assert second.result(5) == 20
    assert writer.groups == [[1], [2, 3]]
    assert writer.late == [(3, 30)]


class Unreachable(Writer):
    """Fails where it is told late."""

    async def take(self, member: int, outcome: Any) -> None:
        raise KeyError(member)


def test_whoever_writes_has_its_answer_where_another_cannot_be_told_late(caplog: pytest.LogCaptureFixture) -> None:
    runtime, writer = BlockingRuntime(), Unreachable()
    with ThreadPoolExecutor(3) as executor:
        first, second = behind(executor, runtime, writer, 1, 2)
        third = executor.submit(combined, runtime, writer, 3, seconds=0.05)
        waiting(runtime, 2)
        writer.begun.clear()
        gate, writer.gate = writer.gate, threading.Event()
        gate.set()
        assert writer.begun.wait(5)
        assert isinstance(third.exception(5), TimeoutError)
        writer.gate.set()
        assert [first.result(5), second.result(5)] == [10, 20]
    assert "was not given back" in caplog.text


def test_a_second_write_begins_beside_one_that_is_stuck() -> None:
    runtime, writer = BlockingRuntime(), Writer()
    with ThreadPoolExecutor(2) as executor:
        first = executor.submit(combined, runtime, writer, 1)
        assert writer.begun.wait(5)
        stuck, writer.gate = writer.gate, threading.Event()
        writer.gate.set()
        assert combined(runtime, writer, 2) == 20
        assert not first.done()
        stuck.set()
        assert first.result(5) == 10
    assert not runtime._groups._queues


def test_so_many_writes_go_side_by_side() -> None:
    runtime, writer = BlockingRuntime(), Writer()
    with ThreadPoolExecutor(2) as executor:
        first = executor.submit(combined, runtime, writer, 1, width=2)
        assert writer.begun.wait(5)
        writer.begun.clear()
        second = executor.submit(combined, runtime, writer, 2, width=2)
        assert writer.begun.wait(5)
        assert writer.groups == [[1], [2]]
        writer.gate.set()
        assert [first.result(5), second.result(5)] == [10, 20]
