"""A loop that has stood still takes the answer that came meanwhile; one that has not keeps its time."""

import asyncio
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from zae_limiter.alarm import GRACE_SECONDS, STOOD_STILL_SECONDS, Alarm
from zae_limiter.aws import AsyncClient, Connection
from zae_limiter.runtimes import AsyncRuntime
from zae_limiter.system_clock import SystemClock


class Halting(asyncio.SelectorEventLoop):
    """A loop for which time passes at once: while it waits, and when a test has it stand still."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = 0.0

    def time(self) -> float:
        return self.ahead

    def stand_still(self, seconds: float) -> None:
        self.ahead += seconds


@pytest.fixture
def loop() -> Any:
    with asyncio.Runner(loop_factory=Halting) as runner:
        yield runner


async def answered_meanwhile(turns: int = 10) -> str:
    """A step whose loop stands still for two seconds, with its answer there but a few turns away."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Halting)
    loop.stand_still(2)
    for _ in range(turns):
        await asyncio.sleep(0)
    return "answer"


def test_an_answer_that_came_while_the_loop_stood_still_is_taken(loop: asyncio.Runner) -> None:
    assert loop.run(AsyncRuntime().within(1, answered_meanwhile())) == "answer"


def test_so_it_is_for_those_who_go_together(loop: asyncio.Runner) -> None:
    async def write(members: Sequence[int]) -> list[str]:
        return [await answered_meanwhile() for _ in members]

    assert loop.run(AsyncRuntime().combined("key", 1, write, seconds=1)) == "answer"


class Paused:
    """A client of AWS whose answer is there when its process comes back."""

    meta = SimpleNamespace(config=SimpleNamespace(retries={"total_max_attempts": 1}))

    async def get_item(self, **_: object) -> dict[str, str]:
        return {"Item": await answered_meanwhile()}


def test_so_it_is_for_a_request_to_aws(loop: asyncio.Runner) -> None:
    runtime = AsyncRuntime()
    client = AsyncClient("dynamodb", "my-app", Connection(client=Paused()), clock=SystemClock(), runtime=runtime)
    assert loop.run(client.once("GetItem", {}, seconds=1)) == {"Item": "answer"}


@pytest.mark.parametrize(
    ("late", "rung_at"),
    [(0.0, 1.0), (STOOD_STILL_SECONDS / 2, 1.0 + STOOD_STILL_SECONDS / 2), (2.0, 3.0 + GRACE_SECONDS)],
)
def test_it_rings_once_in_time_or_after_the_grace(loop: asyncio.Runner, late: float, rung_at: float) -> None:
    async def ring() -> list[float]:
        running = asyncio.get_running_loop()
        assert isinstance(running, Halting)
        rung: list[float] = []
        Alarm(running, 1, lambda: rung.append(running.time()))
        running.stand_still(1 + late)
        for _ in range(4):
            await asyncio.sleep(0)
        if not rung:
            running.stand_still(GRACE_SECONDS)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        return rung

    assert loop.run(ring()) == [pytest.approx(rung_at)]


@pytest.mark.parametrize("stood_still", [0.0, 5.0])
def test_a_step_without_an_answer_ends_all_the_same(loop: asyncio.Runner, stood_still: float) -> None:
    async def nothing() -> None:
        running = asyncio.get_running_loop()
        assert isinstance(running, Halting)
        running.stand_still(stood_still)
        while True:
            running.stand_still(0.01)
            await asyncio.sleep(0)

    with pytest.raises(TimeoutError):
        loop.run(AsyncRuntime().within(1, nothing()))


@pytest.mark.parametrize("seconds", [0, -1])
def test_no_time_left_is_no_time(loop: asyncio.Runner, seconds: float) -> None:
    async def soon(ring: Callable[[], None]) -> None:
        Alarm(asyncio.get_running_loop(), seconds, ring)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    rung: list[int] = []
    loop.run(soon(lambda: rung.append(1)))
    assert rung == [1]
