"""A bucket remembers the rate it is measured in: what a changed rate does to a live bucket."""

from typing import Any

import pytest

from tests.dynamodb.processes import Process, Table, status
from zae_limiter import Limit
from zae_limiter.models import Debit, Granted, Refused, Stale
from zae_limiter.testing import TurnableClock

TEN = Limit.per_minute("rpm", 10)
TWENTY = Limit.per_minute("rpm", 20)
HOURLY = Limit.per_hour("tph", 70)
RESERVED = Limit.per_minute("other", 5)


@pytest.fixture
def process(table: Table, clock: TurnableClock) -> Process:
    return Process(table, clock)


@pytest.fixture
def other(table: Table, clock: TurnableClock) -> Process:
    return Process(table, clock)


async def test_a_balance_is_carried_over_in_tokens(process: Process, table: Table) -> None:
    assert await process.is_granted(TEN, rpm=6)
    found = await process.ask(TWENTY)
    # Six of ten were taken; of twenty they are six too, and one more.
    assert status(found, TWENTY).available == 13
    stored = table.stored("someone")
    assert stored.image["rpm"].rate == TWENTY.rate
    assert stored.carried_at == process.clock.now_ns()


async def test_the_configuration_is_read_again_before_a_carry_over_at_most_once_a_second(
    process: Process, clock: TurnableClock
) -> None:
    assert await process.is_granted(TEN)
    debit = Debit("someone", "api", (TWENTY,), {"rpm": 1}, is_stored=True)
    assert isinstance(await process.debit(debit), Stale)
    assert process.renewed == [("someone", "api")]
    assert isinstance(await process.debit(debit), Granted)
    back = Debit("someone", "api", (TEN,), {"rpm": 1}, is_stored=True)
    assert isinstance(await process.debit(back), Granted)
    clock.turn(1.1)
    assert isinstance(await process.debit(debit), Stale)
    assert len(process.renewed) == 2


async def test_a_process_that_learns_of_another_rate_by_a_failure_is_stale_too(
    process: Process, other: Process
) -> None:
    assert await process.is_granted(TEN)
    assert await other.is_granted(TWENTY)
    debit = Debit("someone", "api", (TEN,), {"rpm": 1}, is_stored=True)
    assert isinstance(await process.debit(debit), Stale)
    assert isinstance(await process.debit(Debit("someone", "api", (TWENTY,), {"rpm": 1})), Granted)


async def test_limits_that_a_charge_brings_say_nothing_of_the_configuration(process: Process, other: Process) -> None:
    for limits in (TEN, TWENTY, TEN):
        assert isinstance(await process.debit(Debit("someone", "api", (limits,), {"rpm": 1})), Granted)
    assert await other.is_granted(TWENTY)
    process.wire.clear()
    assert isinstance(await process.debit(Debit("someone", "api", (TEN,), {"rpm": 1})), Granted)
    assert len(process.calls) == 2
    assert process.renewed == other.renewed == []


async def test_two_rates_in_turn_admit_no_more_than_the_larger_burst_and_rate(
    process: Process, clock: TurnableClock
) -> None:
    granted = 0
    for _ in range(200):
        for limit in (TEN, TWENTY):
            while await process.is_granted(limit):
                granted += 1
        clock.turn(0.05)
    assert granted <= 20 + 20 / 60 * 10


async def test_writers_whose_clocks_differ_mint_nothing_at_each_change(table: Table, clock: TurnableClock) -> None:
    ahead = TurnableClock(clock.now_ns() + 900_000_000)
    first, second = Process(table, clock), Process(table, ahead)
    granted = 0
    for _ in range(200):
        for process, limit in ((first, TEN), (second, TWENTY)):
            while await process.is_granted(limit):
                granted += 1
        clock.turn(0.05)
        ahead.turn(0.05)
    assert granted <= 20 + 20 / 60 * (10 + 2 * 0.9)


async def test_the_time_of_the_last_carry_over_keeps_two_clocks_from_minting(
    table: Table, clock: TurnableClock
) -> None:
    slow, fast = Limit.per_minute("rpm", 10, 100), Limit.per_minute("rpm", 20, 100)
    ahead, behind = Process(table, TurnableClock(clock.now_ns() + 1_000_000_000)), Process(table, clock)
    found = [await each.is_granted(limit) for _ in range(60) for each, limit in ((ahead, slow), (behind, fast))]
    assert sum(found) <= 101


async def test_a_carry_over_is_conditioned_on_all_that_it_rests_on(
    process: Process, other: Process, table: Table
) -> None:
    assert await process.is_granted(TEN, rpm=5)
    # Another carries over and takes in between.
    assert await other.is_granted(TWENTY, rpm=5)
    assert await other.is_granted(TWENTY, rpm=9)
    found = [await process.is_granted(TWENTY) for _ in range(3)]
    assert found == [True, False, False]


async def test_a_carry_over_that_would_not_fit_is_not_sent(process: Process, other: Process) -> None:
    assert await process.is_granted(TEN, rpm=9)
    process.clock.turn(1.5)
    process.wire.clear()
    assert not await process.is_granted(TWENTY, rpm=20)
    for sent in process.wire.sent:
        assert "#a = :A" not in sent["UpdateExpression"] or ":u0" in sent["ExpressionAttributeValues"]
    assert await other.is_granted(TWENTY, rpm=10)


async def test_a_refusal_in_a_faster_rate_is_carried_over_once_and_its_wait_holds(
    process: Process, table: Table, clock: TurnableClock
) -> None:
    assert await process.is_granted(TEN, rpm=10)
    assert await process.settle(TEN, rpm=15) is None
    process.wire.clear()
    found = await process.ask(TWENTY)
    assert isinstance(found, Refused)
    assert table.stored("someone").image["rpm"].rate == TWENTY.rate
    calls = len(process.calls)
    again = await process.ask(TWENTY)
    assert len(process.calls) == calls
    wait_ns = status(again, TWENTY).wait_ns
    assert wait_ns == 18_000_000_000
    clock.turn_ns(wait_ns - 1)
    assert not await process.is_granted(TWENTY)
    clock.turn_ns(1)
    clock.turn(1.1)
    assert await process.is_granted(TWENTY)


async def test_a_refusal_in_a_slower_rate_writes_nothing_and_its_wait_holds(
    process: Process, table: Table, clock: TurnableClock
) -> None:
    assert await process.is_granted(TWENTY, rpm=20)
    before = table.item("someone")
    found = await process.ask(TEN)
    assert isinstance(found, Refused)
    assert table.item("someone") == before
    # Ten tokens are above the new burst; they and one more come back in the old rate.
    wait_ns = status(found, TEN).wait_ns
    assert wait_ns == 33_000_000_000
    clock.turn_ns(wait_ns)
    assert await process.is_granted(TEN)


async def test_a_change_of_the_burst_alone_costs_nothing(process: Process) -> None:
    wide = Limit.per_minute("rpm", 10, burst=15)
    for limit in (TEN, wide, TEN, wide):
        assert await process.is_granted(limit)
    assert process.calls == ["UpdateItem"] * 4
    assert process.renewed == []


async def test_a_limit_that_is_added_to_a_live_bucket_starts_full(process: Process) -> None:
    assert await process.is_granted(TEN, rpm=10)
    found = await process.ask(TEN, HOURLY, tph=70)
    assert isinstance(found, Granted)
    assert status(found, HOURLY).available == 0


async def test_only_the_limits_that_changed_are_carried_over(process: Process, table: Table) -> None:
    assert await process.is_granted(TEN, HOURLY, rpm=1, tph=1)
    assert await process.is_granted(TWENTY, HOURLY, rpm=1, tph=1)
    image = table.stored("someone").image
    assert image["tph"].full_at == process.clock.now_ns() + 2 * (3_600_000_000_000 // 70)
    assert image["rpm"].full_at == process.clock.now_ns() + 6_000_000_000


async def test_credits_and_adjusts_are_measured_in_the_stored_rate(
    process: Process, other: Process, table: Table
) -> None:
    assert await process.is_granted(TEN, rpm=6)
    assert await other.is_granted(TWENTY, rpm=1)
    before = table.stored("someone").image["rpm"]
    assert await process.settle(TEN, rpm=-4) is None
    after = table.stored("someone").image["rpm"]
    assert after.rate == TWENTY.rate
    assert before.full_at - after.full_at == 4 * 3_000_000_000
    assert await process.settle(TEN, rpm=4) is None
    assert table.stored("someone").image["rpm"] == before


async def test_a_rate_that_changes_between_the_look_and_the_credit_is_measured_again(
    process: Process, other: Process, table: Table
) -> None:
    assert await process.is_granted(TEN, rpm=6)

    async def change() -> Any:
        assert await other.is_granted(TWENTY, rpm=1)

    await change()
    process.wire.clear()
    assert await process.settle(TEN, rpm=-2) is None
    assert process.calls == ["UpdateItem"] * 2
    item = table.item("someone")
    assert item is not None
    assert item["u.rpm"] == {"N": "5"}
