"""Waiting on an event loop: side by side, shielded, left behind, and together with others."""

import asyncio
import threading

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


async def test_a_blocking_call_does_not_hold_up_the_others() -> None:
    gate = threading.Event()
    task = asyncio.create_task(AsyncRuntime().in_thread(lambda: gate.wait(5)))
    await turns()
    assert not task.done()
    gate.set()
    assert await task
