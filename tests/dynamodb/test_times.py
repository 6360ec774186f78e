"""Which time a write is made by: its own, also where it is a repeat, and the latest of those who go together.

And that nothing is written for a charge whose deadline is over.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from tests.dynamodb.processes import Happens, Process, Table, lost_answer, lost_request, no_connection, throttled_key
from tests.dynamodb.virtual_time import VirtualClock, simulated
from zae_limiter import Limit
from zae_limiter.aws_errors import NotWritten
from zae_limiter.dynamodb.buckets import Buckets
from zae_limiter.models import Debit, Granted, Refused
from zae_limiter.runtimes import AsyncRuntime
from zae_limiter.testing import TurnableClock

RPM = Limit.per_minute("rpm", 10)
HUNDRED = Limit.per_minute("rpm", 100)
TOKEN_NS = 6_000_000_000


@pytest.fixture(params=[False, True], ids=["blocking", "async"])
def process(request: pytest.FixtureRequest, table: Table, clock: TurnableClock) -> Process:
    return Process(table, clock, waits=request.param)


def full_in(table: Table, clock: TurnableClock) -> int:
    return table.stored("someone").image["rpm"].full_at - clock.now_ns()


def late(clock: TurnableClock, happens: Happens, seconds: float = 0.5) -> Happens:
    """The same, after a while."""

    def waited(operation: str, parameters: Any) -> Any:
        clock.turn(seconds)
        return happens(operation, parameters)

    return waited


async def turns(number: int = 12) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


def nothing(operation: str, parameters: Any) -> None:
    """The request goes its way."""


@pytest.mark.parametrize("happens", [lost_request, no_connection])
async def test_a_repeat_charges_by_the_time_at_which_it_is_sent(
    process: Process, table: Table, clock: TurnableClock, happens: Happens
) -> None:
    """Decision 25: by the time of its first try it would take less than a whole token."""
    process.wire.next.append(late(clock, happens))
    assert await process.is_granted(RPM)
    assert process.calls == ["UpdateItem"] * 2
    assert full_in(table, clock) == TOKEN_NS


async def test_so_does_one_whose_guess_was_wrong(process: Process, table: Table, clock: TurnableClock) -> None:
    other = Process(table, clock)
    assert await other.is_granted(RPM)
    process.wire.next.append(late(clock, nothing))
    assert await process.is_granted(RPM)
    assert process.calls == ["UpdateItem"] * 2
    assert full_in(table, clock) == 2 * TOKEN_NS - 500_000_000
    process.wire.clear()
    clock.turn(60)
    assert await other.is_granted(RPM)
    clock.turn(6)
    process.wire.next.append(late(clock, nothing))
    assert await process.is_granted(RPM)
    assert full_in(table, clock) == TOKEN_NS


async def test_after_an_unknown_outcome_a_write_keeps_its_mark_whatever_becomes_of_its_repeats(
    process: Process, table: Table
) -> None:
    """Decision 25 again: only its time is new."""
    process.wire.next.extend([lost_answer, no_connection, throttled_key])
    assert await process.is_granted(RPM, rpm=10)
    assert len({sent["ExpressionAttributeValues"][":w"]["S"] for sent in process.wire.sent}) == 1
    assert len(process.calls) == 4
    item = table.item("someone")
    assert item is not None
    assert item["u.rpm"] == {"N": "10"}


@pytest.mark.parametrize("happens", [lost_request, no_connection])
async def test_a_repeat_owes_by_the_time_at_which_it_is_sent(
    process: Process, table: Table, clock: TurnableClock, happens: Happens
) -> None:
    process.wire.next.append(late(clock, happens))
    assert await process.settle(RPM, rpm=1) is None
    assert process.calls == ["UpdateItem"] * 2
    assert full_in(table, clock) == TOKEN_NS


async def test_those_who_go_together_are_charged_by_the_time_of_the_latest(table: Table, clock: TurnableClock) -> None:
    process = Process(table, clock, waits=True)

    async def later() -> Any:
        clock.turn(0.5)
        return await process.ask(HUNDRED, seconds=20)

    found = await asyncio.gather(process.ask(HUNDRED, seconds=20), later())
    assert [type(each) for each in found] == [Granted] * 2
    assert process.calls == ["UpdateItem"]
    assert full_in(table, clock) == 2 * TOKEN_NS // 10


async def test_a_charge_whose_deadline_passes_in_line_is_not_written(table: Table, clock: TurnableClock) -> None:
    process = Process(table, clock, waits=True)
    process.wire.gate = asyncio.Event()
    first = asyncio.create_task(process.ask(HUNDRED, seconds=20))
    await turns()
    second = asyncio.create_task(process.ask(HUNDRED, seconds=1))
    third = asyncio.create_task(process.ask(HUNDRED, rpm=2, seconds=20))
    await turns()
    clock.turn(1)
    process.wire.gate.set()
    assert isinstance(await first, Granted)
    assert isinstance(await third, Granted)
    with pytest.raises(TimeoutError, match="deadline was over"):
        await second
    assert len(process.calls) == 2
    item = table.item("someone")
    assert item is not None
    assert item["u.rpm"] == {"N": "3"}


async def test_a_charge_whose_deadline_passes_with_a_wrong_guess_is_not_written(
    process: Process, table: Table, clock: TurnableClock
) -> None:
    assert await Process(table, clock).is_granted(RPM)
    process.wire.next.append(late(clock, nothing, 1))
    with pytest.raises(TimeoutError, match="until the deadline was over"):
        await process.ask(RPM)
    assert process.calls == ["UpdateItem"]
    item = table.item("someone")
    assert item is not None
    assert item["u.rpm"] == {"N": "1"}


async def test_a_try_that_the_deadline_would_cut_off_is_not_begun(process: Process, clock: TurnableClock) -> None:
    """It would leave unknown what is surely not written so far."""
    process.wire.next.append(late(clock, no_connection, 0.985))
    with pytest.raises(NotWritten, match="no connection"):
        await process.ask(RPM)
    assert process.calls == ["UpdateItem"]


class Stuck:
    """A client whose first request is throttled for its key, and whose next one is never answered."""

    def __init__(self) -> None:
        self.asked = 0

    async def once(self, operation: str, parameters: Mapping[str, Any], *, seconds: float) -> Mapping[str, Any]:
        self.asked += 1
        if self.asked == 1:
            throttled_key(operation, parameters)
        await asyncio.Event().wait()
        return {}

    async def call(self, operation: str, parameters: Mapping[str, Any], *, deadline_ns: int) -> Mapping[str, Any]:
        raise NotImplementedError


def test_a_throttled_key_is_a_refusal_too_where_the_deadline_passes_without_an_answer() -> None:
    async def asked(client: Stuck) -> Any:
        clock = VirtualClock()
        buckets = Buckets(
            client,
            "table",
            _namespace,
            clock=clock,
            runtime=AsyncRuntime(),
            renew=lambda *_: None,
            known_namespace=lambda: "ns",
        )
        debit = Debit("someone", "api", (RPM,), {"rpm": 1})
        deadline_ns = clock.monotonic_ns() + 1_000_000_000
        return await buckets.debit([debit], now_ns=clock.now_ns(), deadline_ns=deadline_ns)

    client = Stuck()
    found = simulated(asked(client))
    assert isinstance(found, Refused)
    assert (found.wait_ns, client.asked) == (1_000_000_000, 2)


async def _namespace() -> str:
    return "ns"
