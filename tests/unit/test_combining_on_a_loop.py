"""Those who wait for one thing on an event loop go together; a write runs to its end whoever leaves."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from zae_limiter.ports import AGAIN
from zae_limiter.runtimes import AsyncRuntime


async def turns(number: int = 8) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


class Writer:
    """Writes groups when the gate is open, and notes them."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.groups: list[list[int]] = []
        self.answers: dict[int, Any] = {}
        self.late: list[tuple[int, Any]] = []

    async def write(self, members: Sequence[int]) -> list[Any]:
        self.groups.append(list(members))
        await self.gate.wait()
        return [self.answers.pop(member, member * 10) for member in members]

    async def take(self, member: int, outcome: Any) -> None:
        self.late.append((member, outcome))


class Broken(Writer):
    """Fails once the gate is open."""

    async def write(self, members: Sequence[int]) -> list[Any]:
        await super().write(members)
        raise ConnectionError("no store")


async def started(runtime: AsyncRuntime, writer: Writer, *members: int, **options: Any) -> list[asyncio.Task[Any]]:
    options.setdefault("seconds", 5)
    tasks = [
        asyncio.create_task(runtime.combined("key", member, writer.write, late=writer.take, **options))
        for member in members
    ]
    await turns()
    return tasks


async def test_those_who_come_in_one_turn_or_during_a_write_go_together() -> None:
    runtime, writer = AsyncRuntime(), Writer()
    tasks = await started(runtime, writer, 1, 2)
    tasks += await started(runtime, writer, 3, 4, 5)
    writer.gate.set()
    assert await asyncio.gather(*tasks) == [10, 20, 30, 40, 50]
    assert writer.groups == [[1, 2], [3, 4, 5]]
    assert writer.late == []


async def test_nothing_is_left_behind_for_a_key() -> None:
    runtime, writer = AsyncRuntime(), Writer()
    writer.gate.set()
    await asyncio.gather(*await started(runtime, writer, 1, 2, 3))
    await turns()
    assert not runtime._groups._lines
    assert not runtime._groups._kept


async def test_a_write_runs_to_its_end_for_those_who_stay_and_the_others_are_told_late() -> None:
    runtime, writer = AsyncRuntime(), Writer()
    tasks = await started(runtime, writer, 1, 2, 3)
    tasks[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]
    writer.gate.set()
    assert await asyncio.gather(*tasks[1:]) == [20, 30]
    await turns()
    assert writer.groups == [[1, 2, 3]]
    assert writer.late == [(1, 10)]


async def test_one_that_is_cancelled_as_its_answer_comes_is_told_late() -> None:
    runtime, writer = AsyncRuntime(), Writer()
    (task,) = await started(runtime, writer, 1)
    writer.gate.set()
    while not writer.late:
        task.cancel()
        await asyncio.sleep(0)
    assert writer.late == [(1, 10)]
    assert task.cancelled()


async def test_one_that_leaves_before_its_group_begins_is_never_written() -> None:
    runtime, writer = AsyncRuntime(), Writer()
    tasks = await started(runtime, writer, 1)
    tasks += await started(runtime, writer, 2, 3)
    tasks[1].cancel()
    await turns()
    writer.gate.set()
    assert [await tasks[0], await tasks[2]] == [10, 30]
    await turns()
    assert writer.groups == [[1], [3]]
    assert writer.late == []


async def test_the_error_of_a_write_is_that_of_its_whole_group_alone() -> None:
    runtime, writer, broken = AsyncRuntime(), Writer(), Broken()
    tasks = await started(runtime, broken, 1, 2)
    broken.gate.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(each) for each in found] == [ConnectionError] * 2
    writer.gate.set()
    assert await runtime.combined("key", 9, writer.write, seconds=5) == 90


async def test_a_member_raises_the_error_that_is_its_answer() -> None:
    runtime, writer = AsyncRuntime(), Writer()
    writer.answers[2] = ConnectionError("only this one")
    writer.gate.set()
    found = await asyncio.gather(*await started(runtime, writer, 1, 2, 3), return_exceptions=True)
    assert found[0::2] == [10, 30]
    assert isinstance(found[1], ConnectionError)


async def test_one_that_goes_again_goes_first_in_the_next_group() -> None:
    runtime, writer = AsyncRuntime(), Writer()
    writer.answers.update({1: AGAIN, 3: AGAIN})
    tasks = await started(runtime, writer, 1, 2, 3)
    tasks += await started(runtime, writer, 4)
    writer.gate.set()
    assert await asyncio.gather(*tasks) == [10, 20, 30, 40]
    assert writer.groups == [[1, 2, 3], [1, 3, 4]]


async def test_one_that_has_left_does_not_go_again() -> None:
    runtime, writer = AsyncRuntime(), Writer()
    writer.answers[1] = AGAIN
    tasks = await started(runtime, writer, 1, 2)
    tasks[0].cancel()
    await turns()
    writer.gate.set()
    assert await tasks[1] == 20
    await turns()
    assert writer.groups == [[1, 2]]


async def test_waiting_counts_against_the_deadline_of_the_member() -> None:
    runtime, writer = AsyncRuntime(), Writer()
    (first,) = await started(runtime, writer, 1)
    with pytest.raises(TimeoutError):
        await runtime.combined("key", 2, writer.write, seconds=0.01)
    writer.gate.set()
    assert await first == 10
    assert writer.groups == [[1]]


async def test_a_deadline_in_the_middle_of_a_write_is_told_late() -> None:
    runtime, writer = AsyncRuntime(), Writer()
    (task,) = await started(runtime, writer, 1, seconds=0.01)
    with pytest.raises(TimeoutError):
        await task
    writer.gate.set()
    await turns()
    assert writer.late == [(1, 10)]


async def test_a_second_write_begins_beside_one_that_is_stuck() -> None:
    runtime, stuck = AsyncRuntime(), Writer()
    tasks = await started(runtime, stuck, 1)
    tasks += await started(runtime, stuck, 2)
    gate, stuck.gate = stuck.gate, asyncio.Event()
    stuck.gate.set()
    assert await tasks[1] == 20
    assert not tasks[0].done()
    tasks += await started(runtime, stuck, 3)
    assert await tasks[2] == 30
    gate.set()
    assert await tasks[0] == 10
    await turns()
    assert not runtime._groups._lines


async def test_so_many_writes_go_side_by_side_each_of_at_most_so_many() -> None:
    runtime, writer = AsyncRuntime(), Writer()
    tasks = await started(runtime, writer, 1, width=2, most=2)
    tasks += await started(runtime, writer, 2, width=2, most=2)
    tasks += await started(runtime, writer, 3, 4, 5, width=2, most=2)
    assert writer.groups == [[1], [2]]
    writer.gate.set()
    assert await asyncio.gather(*tasks) == [10, 20, 30, 40, 50]
    assert writer.groups == [[1], [2], [3, 4], [5]]


async def test_keys_do_not_wait_for_each_other() -> None:
    runtime, slow, quick = AsyncRuntime(), Writer(), Writer()
    (task,) = await started(runtime, slow, 1)
    quick.gate.set()
    assert await runtime.combined("other", 2, quick.write, seconds=5) == 20
    slow.gate.set()
    assert await task == 10


def test_event_loops_do_not_wait_for_each_other() -> None:
    runtime = AsyncRuntime()

    async def ask() -> None:
        writer = Writer()
        writer.gate.set()
        assert await runtime.combined("key", 2, writer.write, seconds=5) == 20

    asyncio.run(ask())
    asyncio.run(ask())


async def test_a_shielded_caller_for_whom_nobody_else_waits_writes_without_a_task() -> None:
    runtime, writer = AsyncRuntime(), Writer()
    writer.gate.set()
    before = asyncio.all_tasks()
    seen: list[set[asyncio.Task[Any]]] = []

    async def write(members: Sequence[int]) -> list[Any]:
        seen.append(asyncio.all_tasks() - before)
        return await writer.write(members)

    assert await runtime.combined("key", 1, write, seconds=5, is_shielded=True) == 10
    assert seen == [set()]
    assert not runtime._groups._lines


async def test_shielded_callers_of_one_turn_go_together_and_those_behind_a_lone_write_after_it() -> None:
    runtime, writer = AsyncRuntime(), Writer()
    tasks = await started(runtime, writer, 1, is_shielded=True)
    tasks += await started(runtime, writer, 2, 3, is_shielded=True)
    assert writer.groups == [[1]]
    writer.gate.set()
    assert await asyncio.gather(*tasks) == [10, 20, 30]
    tasks = await started(runtime, writer, 4, 5, 6, is_shielded=True)
    assert await asyncio.gather(*tasks) == [40, 50, 60]
    assert writer.groups == [[1], [2, 3], [4, 5, 6]]
    assert not runtime._groups._lines


async def test_a_lone_write_that_goes_again_or_fails_is_told_as_any_other() -> None:
    runtime, writer = AsyncRuntime(), Writer()
    writer.gate.set()
    writer.answers[1] = AGAIN
    assert await runtime.combined("key", 1, writer.write, seconds=5, is_shielded=True) == 10
    writer.answers[2] = ConnectionError("no store")
    with pytest.raises(ConnectionError):
        await runtime.combined("key", 2, writer.write, seconds=5, is_shielded=True)
    assert writer.groups == [[1], [1], [2]]
    assert not runtime._groups._lines


async def test_a_lone_write_whose_caller_is_cancelled_all_the_same_lets_the_others_go_on() -> None:
    runtime, writer = AsyncRuntime(), Writer()
    tasks = await started(runtime, writer, 1, 2, is_shielded=True)
    tasks[0].cancel()
    await turns()
    writer.gate.set()
    assert await tasks[1] == 20
    assert not runtime._groups._lines
