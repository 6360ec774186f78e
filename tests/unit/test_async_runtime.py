"""Waiting on an event loop: side by side, shielded, left behind, and together with others."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from zae_limiter.runtimes import AsyncRuntime


async def answer(value: int) -> int:
    await asyncio.sleep(0)
    return value


async def failure() -> int:
    await asyncio.sleep(0)
    raise ValueError("as the test wanted")


async def turns(number: int = 5) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_steps_run_side_by_side_and_an_error_is_an_outcome() -> None:
    first, second, third = await AsyncRuntime().together([answer(1), failure(), answer(3)], until=lambda _: True)
    assert (first.value, third.value) == (1, 3)
    assert isinstance(second.error, ValueError)


async def test_within_ends_a_step_that_takes_too_long() -> None:
    with pytest.raises(TimeoutError):
        await AsyncRuntime().within(0.01, asyncio.Event().wait())
    assert await AsyncRuntime().within(5, answer(3)) == 3


async def test_a_shielded_step_ends_before_the_cancellation_leaves() -> None:
    gate, ended = asyncio.Event(), []

    async def step() -> None:
        await gate.wait()
        ended.append("step")

    async def caller() -> None:
        try:
            await AsyncRuntime().shielded(step())
        finally:
            ended.append("caller")

    task = asyncio.create_task(caller())
    await turns()
    task.cancel()
    await turns()
    task.cancel()
    await turns()
    assert ended == []
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["step", "caller"]


async def test_a_shielded_error_is_raised() -> None:
    with pytest.raises(ValueError, match="wanted"):
        await AsyncRuntime().shielded(failure())


async def test_an_abandoned_step_hands_its_late_result_on() -> None:
    gate, late = asyncio.Event(), []

    async def step() -> int:
        await gate.wait()
        return 7

    async def take(value: int) -> None:
        late.append(value)

    task = asyncio.create_task(AsyncRuntime().abandonable(step(), take))
    await turns()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert late == []
    gate.set()
    await turns()
    assert late == [7]


async def test_a_step_that_nobody_abandons_is_not_handed_on() -> None:
    late: list[int] = []

    async def take(value: int) -> None:
        late.append(value)

    assert await AsyncRuntime().abandonable(answer(5), take) == 5
    await turns()
    assert late == []


async def test_an_abandoned_step_that_fails_is_forgotten() -> None:
    late: list[int] = []

    async def take(value: int) -> None:
        late.append(value)

    task = asyncio.create_task(AsyncRuntime().abandonable(failure(), take))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await turns()
    assert late == []


class Writer:
    """Writes groups when the gate is open, and notes them."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.groups: list[list[int]] = []
        self.fails = False

    async def write(self, members: Sequence[int]) -> list[int]:
        self.groups.append(list(members))
        await self.gate.wait()
        if self.fails:
            raise ConnectionError("no store")
        return [member * 10 for member in members]


async def started(runtime: AsyncRuntime, writer: Writer, members: Sequence[int]) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(runtime.combined("key", member, writer.write, seconds=5)) for member in members]
    await turns()
    return tasks


async def test_those_who_come_during_a_write_go_together_in_the_next() -> None:
    writer = Writer()
    tasks = await started(AsyncRuntime(), writer, [1, 2, 3, 4])
    writer.gate.set()
    assert await asyncio.gather(*tasks) == [10, 20, 30, 40]
    assert writer.groups == [[1], [2, 3, 4]]


async def test_nothing_is_left_behind_for_a_key() -> None:
    runtime, writer = AsyncRuntime(), Writer()
    writer.gate.set()
    await asyncio.gather(*await started(runtime, writer, [1, 2, 3]))
    assert not runtime._waiting


async def test_followers_of_a_leader_that_was_cancelled_are_written_by_the_next() -> None:
    writer = Writer()
    tasks = await started(AsyncRuntime(), writer, [1, 2, 3])
    tasks[0].cancel()
    await turns()
    writer.gate.set()
    assert await asyncio.gather(*tasks[1:]) == [20, 30]
    assert writer.groups == [[1], [2, 3]]


async def test_the_group_of_a_leader_that_was_cancelled_is_written_again_without_it() -> None:
    runtime, writer = AsyncRuntime(), Writer()
    tasks = await started(runtime, writer, [1, 2, 3, 4])
    first, writer.gate = writer.gate, asyncio.Event()
    first.set()
    await tasks[0]
    await turns()
    assert writer.groups == [[1], [2, 3, 4]]
    tasks[1].cancel()
    await turns()
    writer.gate.set()
    assert await asyncio.gather(*tasks[2:]) == [30, 40]
    assert writer.groups[2:] == [[3, 4]]
    assert not runtime._waiting


async def test_the_error_of_a_write_is_that_of_its_whole_group_alone() -> None:
    runtime, writer = AsyncRuntime(), Writer()
    tasks = await started(runtime, writer, [1, 2, 3])
    writer.fails = True
    writer.gate.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(each) for each in found] == [ConnectionError] * 3
    assert writer.groups == [[1], [2, 3]]
    writer.fails = False
    assert await runtime.combined("key", 9, writer.write, seconds=5) == 90


async def test_waiting_counts_against_the_deadline_of_the_member() -> None:
    runtime, writer = AsyncRuntime(), Writer()
    leader = (await started(runtime, writer, [1]))[0]
    with pytest.raises(TimeoutError):
        await runtime.combined("key", 2, writer.write, seconds=0.01)
    writer.gate.set()
    assert await leader == 10
    assert writer.groups == [[1]]
    assert not runtime._waiting


async def test_keys_do_not_wait_for_each_other() -> None:
    runtime, slow, quick = AsyncRuntime(), Writer(), Writer()
    task = (await started(runtime, slow, [1]))[0]
    quick.gate.set()
    assert await runtime.combined("other", 2, quick.write, seconds=5) == 20
    slow.gate.set()
    assert await task == 10


async def test_a_blocking_call_does_not_hold_up_the_others() -> None:
    gate = threading.Event()
    task = asyncio.create_task(AsyncRuntime().in_thread(lambda: gate.wait(5)))
    await turns()
    assert not task.done()
    gate.set()
    assert await task
