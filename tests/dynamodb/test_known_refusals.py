"""What is refused once is refused without a call, for the same charge and larger ones, at every level of a cascade."""

import asyncio
from typing import Any

import pytest

from tests.dynamodb.processes import Process, Table, lost_answer, status
from zae_limiter import Limit
from zae_limiter.models import Debit, Granted, Refused
from zae_limiter.testing import TurnableClock

TEN = Limit.per_minute("rpm", 10)
MANY = Limit.per_minute("rpm", 1_000)


@pytest.fixture(params=[False, True], ids=["blocking", "async"])
def process(request: pytest.FixtureRequest, table: Table, clock: TurnableClock) -> Process:
    return Process(table, clock, waits=request.param)


@pytest.fixture
def other(table: Table, clock: TurnableClock) -> Process:
    return Process(table, clock)


async def refused(process: Process, *debits: Debit) -> int:
    """The calls that a refusal cost."""
    process.wire.clear()
    assert isinstance(await process.debit(*debits), Refused)
    return len(process.calls)


def of(entity_id: str, amount: int, limit: Limit = TEN) -> Debit:
    return Debit(entity_id, "api", (limit,), {"rpm": amount})


async def test_a_larger_charge_is_refused_without_a_call_and_a_smaller_one_that_fits_is_granted(
    process: Process, other: Process
) -> None:
    assert await other.is_granted(TEN, rpm=8)
    assert [await refused(process, of("someone", amount)) for amount in (3, 3, 4, 10)] == [1, 0, 0, 0]
    found = await process.ask(TEN, rpm=4)
    assert status(found, TEN, amount=4).wait_ns == 12_000_000_000
    process.wire.clear()
    assert isinstance(await process.ask(TEN, rpm=2), Granted)
    assert process.calls == ["UpdateItem"]


async def test_a_larger_charge_is_asked_of_the_table_again_after_a_second(
    process: Process, other: Process, clock: TurnableClock
) -> None:
    assert await other.is_granted(TEN, rpm=8)
    assert await refused(process, of("someone", 3)) == 1
    clock.turn(0.999)
    assert await refused(process, of("someone", 5)) == 0
    clock.turn(0.002)
    assert await refused(process, of("someone", 5)) == 1


async def test_a_charge_is_asked_of_the_table_as_soon_as_time_alone_may_have_made_room(
    process: Process, other: Process, clock: TurnableClock
) -> None:
    quick = Limit.per_second("rps", 10)
    assert await other.is_granted(quick, rps=10)
    debit = Debit("someone", "api", (quick,), {"rps": 3})
    assert await refused(process, debit) == 1
    clock.turn(0.299)
    assert await refused(process, debit) == 0
    larger = Debit("someone", "api", (quick,), {"rps": 4})
    clock.turn(0.001)
    assert await refused(process, larger) == 0
    assert isinstance(await process.debit(debit), Granted)


async def test_what_was_given_back_may_be_taken_at_once_though_no_answer_told_of_it(process: Process) -> None:
    assert await process.is_granted(TEN, rpm=10)
    assert await refused(process, of("someone", 1)) == 0
    process.wire.next.append(lost_answer)
    assert await process.settle(TEN, rpm=-10) is not None
    process.wire.clear()
    assert await process.is_granted(TEN, rpm=10)


async def test_what_a_debit_saw_beside_a_credit_refuses_nothing_after_both(table: Table, clock: TurnableClock) -> None:
    """Which of the two was written first is not known."""
    process = Process(table, clock, waits=True)
    assert await process.is_granted(TEN, rpm=10)
    clock.turn(1)
    held = process.wire.gate = asyncio.Event()
    credit = asyncio.create_task(process.settle(TEN, rpm=-10))
    for _ in range(12):
        await asyncio.sleep(0)
    assert len(process.calls) == 2
    process.wire.gate = None
    assert not await process.is_granted(TEN)
    held.set()
    assert await credit is None
    assert await process.is_granted(TEN, rpm=10)


def chain(child: str, amount: int, **limits: Limit) -> list[Debit]:
    levels = (child, "team", "company")
    return [of(level, amount, limits.get(level, MANY)) for level in levels]


@pytest.mark.parametrize("full", ["team", "company"])
async def test_a_level_that_is_known_to_be_full_refuses_all_below_it_without_a_call(
    process: Process, other: Process, table: Table, full: str
) -> None:
    limits: dict[str, Any] = {full: TEN}
    assert await other.is_granted(TEN, entity_id=full, rpm=9)
    assert await refused(process, *chain("alice", 2, **limits)) > 0
    before = [table.item(level) for level in ("alice", "bob", "team", "company")]
    # The same charge, a larger one, a sibling whose own bucket nobody has seen, and the level itself.
    assert await refused(process, *chain("alice", 2, **limits)) == 0
    assert await refused(process, *chain("alice", 5, **limits)) == 0
    assert await refused(process, *chain("bob", 2, **limits)) == 0
    assert await refused(process, *chain("bob", 9, **limits)) == 0
    assert await refused(process, of(full, 3)) == 0
    assert [table.item(level) for level in ("alice", "bob", "team", "company")] == before
    assert isinstance(await process.debit(*chain("bob", 1, **limits)), Granted)


async def test_a_level_that_a_leaf_has_filled_refuses_larger_charges_of_its_siblings_and_not_those_that_fit(
    process: Process, table: Table
) -> None:
    """Without any refusal before: the image of a grant is remembered as that of a refusal is."""
    assert isinstance(await process.debit(*chain("alice", 7, team=TEN)), Granted)
    assert await refused(process, *chain("bob", 4, team=TEN)) == 0
    assert isinstance(await process.debit(*chain("bob", 3, team=TEN)), Granted)
    assert table.stored("team").image["rpm"].full_at - process.clock.now_ns() == TEN.fill_ns
