"""Waiting by blocking a thread: in turn or with an executor, and together with other threads."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from zae_limiter.blocking import awaited, run
from zae_limiter.runtimes import BlockingRuntime


async def answer(value: int) -> int:
    return value


async def failure() -> int:
    raise ValueError("as the test wanted")


def test_steps_go_in_turn_and_stop_where_until_says_enough() -> None:
    steps = [answer(1), failure(), answer(3)]
    found = run(BlockingRuntime().together(steps, until=lambda outcome: outcome.error is not None))
    assert len(found) == 2
    assert found[0].value == 1
    assert isinstance(found[1].error, ValueError)
    assert len(run(BlockingRuntime().together([failure(), answer(3)]))) == 2


def test_steps_go_side_by_side_with_an_executor() -> None:
    barrier = threading.Barrier(2)

    async def meet() -> int:
        return barrier.wait(5)

    with ThreadPoolExecutor(2) as executor:
        found = run(BlockingRuntime(executor).together([meet(), meet()]))
    assert {outcome.value for outcome in found} == {0, 1}


def test_nobody_can_cancel_a_thread() -> None:
    runtime = BlockingRuntime()

    async def never(_: int) -> None:
        raise AssertionError("nothing is late here")

    assert run(runtime.shielded(answer(1))) == 1
    assert run(runtime.abandonable(answer(2), never)) == 2
    assert run(runtime.within(0.001, answer(3))) == 3
    assert run(runtime.in_thread(threading.get_ident)) == threading.get_ident()


class Writer:
    """Writes groups when the gate is open, and notes them."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.begun = threading.Event()
        self.groups: list[list[int]] = []
        self.fails = False

    async def write(self, members: Sequence[int]) -> list[int]:
        self.groups.append(list(members))
        self.begun.set()
        assert self.gate.wait(10)
        if self.fails:
            raise ConnectionError("no store")
        return [member * 10 for member in members]


def waiting(runtime: BlockingRuntime, number: int) -> None:
    """Come back once so many calls wait behind the leader."""
    while len(runtime._waiting.get("key", ())) < number:
        threading.Event().wait(0.001)


def combined(runtime: BlockingRuntime, writer: Writer, member: int, seconds: float = 10) -> int:
    found: int = run(runtime.combined("key", member, writer.write, seconds=seconds))
    return found


def test_those_who_come_during_a_write_go_together_in_the_next() -> None:
    runtime, writer = BlockingRuntime(), Writer()
    with ThreadPoolExecutor(4) as executor:
        first = executor.submit(combined, runtime, writer, 1)
        assert writer.begun.wait(5)
        others = [executor.submit(combined, runtime, writer, member) for member in (2, 3, 4)]
        waiting(runtime, 3)
        writer.gate.set()
        assert [future.result(5) for future in (first, *others)] == [10, 20, 30, 40]
    assert len(writer.groups) == 2
    assert sorted(writer.groups[1]) == [2, 3, 4]
    assert not runtime._waiting


def test_the_error_of_a_write_is_that_of_its_whole_group_alone() -> None:
    runtime, writer = BlockingRuntime(), Writer()
    writer.fails = True
    with ThreadPoolExecutor(3) as executor:
        first = executor.submit(combined, runtime, writer, 1)
        assert writer.begun.wait(5)
        others = [executor.submit(combined, runtime, writer, member) for member in (2, 3)]
        waiting(runtime, 2)
        writer.gate.set()
        assert {type(future.exception(5)) for future in (first, *others)} == {ConnectionError}
    assert len(writer.groups) == 2
    writer.fails = False
    assert combined(runtime, writer, 9) == 90


def test_a_leader_that_is_interrupted_hands_on_to_its_followers() -> None:
    runtime, writer = BlockingRuntime(), Writer()

    async def interrupted(members: Sequence[int]) -> list[int]:
        await writer.write(members)
        raise KeyboardInterrupt

    def lead() -> None:
        with pytest.raises(KeyboardInterrupt):
            run(runtime.combined("key", 1, interrupted, seconds=5))

    with ThreadPoolExecutor(3) as executor:
        first = executor.submit(lead)
        assert writer.begun.wait(5)
        others = [executor.submit(combined, runtime, writer, member) for member in (2, 3)]
        waiting(runtime, 2)
        writer.gate.set()
        first.result(5)
        assert [future.result(5) for future in others] == [20, 30]


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


def test_a_port_that_waits_for_an_event_loop_is_told() -> None:
    with pytest.raises(RuntimeError, match="must answer at once"):
        run(asyncio.sleep(0))


def test_blocking_code_can_be_lent_to_the_core() -> None:
    class Store:
        def read(self) -> int:
            return 5

    assert run(awaited(Store()).read()) == 5
    assert run(awaited(Store().read)()) == 5
