"""One charge, one write: guesses, marks, refusals that are known, what a later time to live does."""

import math
from typing import Any

import pytest

from tests.dynamodb.processes import (
    Process,
    Table,
    lost_answer,
    lost_request,
    no_connection,
    status,
    throttled_key,
    throttled_table,
)
from zae_limiter import Limit
from zae_limiter.aws_errors import Throttled, UnknownOutcome
from zae_limiter.models import Granted, Refused, Stale
from zae_limiter.schema import bucket_key
from zae_limiter.testing import TurnableClock

RPM = Limit.per_minute("rpm", 10)
TPH = Limit.per_hour("tph", 70)
DAILY = Limit.per_day("rpd", 1)


@pytest.fixture
def process(table: Table, clock: TurnableClock) -> Process:
    return Process(table, clock)


@pytest.fixture
def other(table: Table, clock: TurnableClock) -> Process:
    return Process(table, clock)


async def test_a_lone_process_charges_with_one_write_each(process: Process, clock: TurnableClock) -> None:
    for _ in range(30):
        assert await process.is_granted(RPM, TPH, rpm=1, tph=2)
        clock.turn(7)
    assert process.calls == ["UpdateItem"] * 30


async def test_the_burst_and_no_more_is_granted_at_one_instant(process: Process, other: Process) -> None:
    found = [await each.is_granted(RPM) for _ in range(10) for each in (process, other)]
    assert found == [True] * 10 + [False] * 10


async def test_an_image_after_a_charge_shows_it(process: Process) -> None:
    found = await process.ask(RPM, TPH, rpm=3, tph=7)
    assert (status(found, RPM).available, status(found, TPH).available) == (7, 63)


async def test_a_guess_that_is_wrong_costs_one_call_more(process: Process, other: Process) -> None:
    assert await process.is_granted(RPM)
    assert await other.is_granted(RPM)
    assert other.calls == ["UpdateItem"] * 2
    found = await process.ask(RPM)
    assert process.calls == ["UpdateItem"] * 2
    assert status(found, RPM).available == 7


async def test_the_branch_that_fitted_most_often_is_guessed_where_images_mislead(
    process: Process, other: Process, clock: TurnableClock
) -> None:
    # When this process comes, the bucket is never as it left it.
    for _ in range(60):
        assert await process.is_granted(RPM)
        clock.turn(11)
        assert await other.is_granted(RPM)
        clock.turn(1)
    process.wire.clear()
    other.wire.clear()
    for _ in range(10):
        assert await process.is_granted(RPM)
        clock.turn(11)
        assert await other.is_granted(RPM)
        clock.turn(1)
    assert len(process.calls) == 10


async def test_a_refusal_is_told_exactly_and_costs_one_call_then_none(
    process: Process, other: Process, clock: TurnableClock
) -> None:
    assert await other.is_granted(RPM, rpm=9)
    clock.turn_ns(1_234_567)
    found = await process.ask(RPM, rpm=3)
    assert isinstance(found, Refused)
    # The first guess was wrong; its image refuses.
    assert process.calls == ["UpdateItem"]
    told = status(found, RPM, amount=3)
    assert (told.available, told.wait_ns) == (1, 12_000_000_000 - 1_234_567)
    for amount in (2, 3, 10):
        assert not await process.is_granted(RPM, rpm=amount)
    assert process.calls == ["UpdateItem"]
    assert await process.is_granted(RPM, rpm=1)
    clock.turn_ns(told.wait_ns)
    assert await process.is_granted(RPM, rpm=2)


async def test_a_known_refusal_lasts_a_second_from_when_its_write_was_sent_and_use_does_not_renew_it(
    process: Process, table: Table, clock: TurnableClock
) -> None:
    assert await process.is_granted(DAILY)
    assert not await process.is_granted(DAILY)
    table.delete("someone")
    for _ in range(4):
        clock.turn(0.24)
        assert not await process.is_granted(DAILY)
    assert len(process.calls) == 1
    clock.turn(0.05)
    assert await process.is_granted(DAILY)


async def test_what_this_process_gives_back_can_be_taken_at_once(process: Process) -> None:
    assert await process.is_granted(DAILY)
    assert not await process.is_granted(DAILY)
    assert await process.settle(DAILY, rpd=-1) is None
    assert await process.is_granted(DAILY)


async def test_an_answer_from_before_a_credit_refuses_nothing_after_it(process: Process) -> None:
    assert await process.is_granted(DAILY)
    known = process.known()
    generation, image = known.generation, known.stored
    assert await process.settle(DAILY, rpd=-1) is None
    # The answer of a debit that was sent before the credit comes late.
    known.show(image, generation, process.clock.monotonic_ns())
    assert await process.is_granted(DAILY)


async def test_known_refusals_are_judged_with_the_burst_of_each_charge(process: Process) -> None:
    wide = Limit.per_minute("rpm", 10, burst=15)
    assert await process.is_granted(RPM, rpm=10)
    assert not await process.is_granted(RPM)
    assert await process.is_granted(wide, rpm=5)
    assert not await process.is_granted(wide)
    assert len(process.calls) == 2


async def test_an_answer_that_was_lost_is_recognised_by_its_mark_and_charged_once(
    process: Process, table: Table
) -> None:
    process.wire.next.append(lost_answer)
    found = await process.ask(DAILY)
    assert isinstance(found, Granted)
    assert process.calls == ["UpdateItem"] * 2
    assert status(found, DAILY).available == 0
    item = table.item("someone")
    assert item is not None
    assert item["u.rpd"] == {"N": "1"}


async def test_where_another_wrote_in_between_a_repeat_without_room_is_refused(
    process: Process, other: Process
) -> None:
    two = Limit.per_day("rpd", 2)
    process.wire.next.append(lost_answer)
    process.wire.afterwards = lambda: other.is_granted(two)
    assert not await process.is_granted(two)
    assert process.calls == ["UpdateItem"] * 2


async def test_where_another_wrote_in_between_a_repeat_with_room_is_charged_again(
    process: Process, other: Process, table: Table
) -> None:
    process.wire.next.append(lost_answer)
    process.wire.afterwards = lambda: other.is_granted(RPM)
    assert await process.is_granted(RPM)
    item = table.item("someone")
    assert item is not None
    assert item["u.rpm"] == {"N": "3"}


async def test_a_debit_is_repeated_twice_at_most(process: Process) -> None:
    process.wire.next.extend([lost_request] * 9)
    with pytest.raises(UnknownOutcome):
        await process.ask(RPM)
    assert process.calls == ["UpdateItem"] * 3


async def test_what_is_surely_not_written_is_repeated_while_time_is_left(
    process: Process, clock: TurnableClock
) -> None:
    process.wire.next.extend([no_connection, throttled_table, no_connection, throttled_key])
    assert await process.is_granted(RPM)
    assert process.calls == ["UpdateItem"] * 5
    begun = clock.monotonic_ns()
    process.wire.next.extend([no_connection] * 1_000)
    with pytest.raises(Exception, match="no connection"):
        await process.ask(RPM)
    assert clock.monotonic_ns() - begun <= 1_000_000_000


async def test_a_throttled_key_is_a_refusal_with_a_wait_of_a_second(process: Process) -> None:
    process.wire.next.extend([throttled_key] * 1_000)
    found = await process.ask(RPM)
    assert isinstance(found, Refused)
    assert found.wait_ns == 1_000_000_000


async def test_a_throttled_key_is_that_too_where_the_deadline_cuts_the_last_try_off(
    process: Process, clock: TurnableClock
) -> None:
    def late(operation: str, parameters: Any) -> None:
        clock.turn(2)
        lost_request(operation, parameters)

    process.wire.next.extend([throttled_key, late])
    found = await process.ask(RPM)
    assert isinstance(found, Refused)
    assert found.wait_ns == 1_000_000_000


async def test_a_throttled_table_is_an_outage(process: Process) -> None:
    process.wire.next.extend([throttled_table] * 1_000)
    with pytest.raises(Throttled):
        await process.ask(RPM)


class StuckMarks:
    """A counter that has come round."""

    def __init__(self, *marks: str) -> None:
        self._marks = list(marks)

    def next(self) -> str:
        return self._marks.pop(0)


async def test_an_own_mark_without_an_unknown_outcome_is_a_counter_that_has_come_round(
    process: Process, table: Table
) -> None:
    process.buckets._bucket_table.marks = StuckMarks("aaaaaaaa", "aaaaaaaa", "aaaaaaab")  # type: ignore[assignment]
    assert await process.is_granted(RPM)
    assert await process.is_granted(RPM)
    item = table.item("someone")
    assert item is not None
    assert (item["u.rpm"], item["w"]) == ({"N": "2"}, {"S": "aaaaaaab"})


async def test_the_deadline_ends_a_race_and_nothing_is_granted_after_it(process: Process, clock: TurnableClock) -> None:
    def late(operation: str, parameters: Any) -> None:
        clock.turn(0.6)
        no_connection(operation, parameters)

    process.wire.next.extend([late, late, late])
    with pytest.raises(Exception, match="no connection"):
        await process.ask(RPM)
    assert len(process.calls) == 2


async def test_zero_asks_for_room_and_takes_none(process: Process, table: Table, clock: TurnableClock) -> None:
    assert await process.is_granted(RPM, TPH, rpm=1, tph=0)
    assert await process.settle(RPM, TPH, tph=80) is None
    assert not await process.is_granted(RPM, TPH, rpm=1, tph=0)
    clock.turn(600)
    assert await process.is_granted(RPM, TPH, rpm=1, tph=0)
    item = table.item("someone")
    assert item is not None
    assert item["u.tph"] == {"N": "80"}


async def test_a_later_time_to_live_is_kept(process: Process, other: Process, table: Table) -> None:
    monthly = Limit.custom("quota", 100, 100, 30 * 86_400)
    assert await process.is_granted(RPM)
    before = table.stored("someone").ttl
    assert await other.is_granted(monthly, quota=1)
    after = table.stored("someone").ttl
    assert after > before
    # This process saw the earlier one: the condition fails, and the write goes again with the later.
    process.wire.clear()
    assert await process.is_granted(RPM)
    assert len(process.calls) == 2
    assert table.stored("someone").ttl == after
    assert after % 3_600 == 0


async def test_a_record_outlives_the_time_in_which_its_slowest_limit_fills_and_a_day(
    process: Process, table: Table, clock: TurnableClock
) -> None:
    assert await process.is_granted(RPM, TPH)
    least = clock.now_ns() // 10**9 + 3_600 + 86_400
    assert least <= table.stored("someone").ttl <= least + 3_600


async def test_the_lifetime_is_scaled_and_with_zero_there_is_none(table: Table, clock: TurnableClock) -> None:
    assert await Process(table, clock, ttl_multiplier=7).is_granted(TPH, entity_id="long")
    least = clock.now_ns() // 10**9 + 7 * 3_600 + 86_400
    assert least <= table.stored("long").ttl <= least + 3_600
    assert await Process(table, clock, ttl_multiplier=0).is_granted(TPH, entity_id="ever")
    assert table.stored("ever").ttl == 0


async def test_a_record_in_debt_lives_until_that_is_paid(process: Process, table: Table, clock: TurnableClock) -> None:
    assert await process.settle(RPM, rpm=10 * 60 * 24 * 30) is None
    stored = table.stored("someone")
    assert stored.ttl * 10**9 >= stored.image["rpm"].full_at + 86_400 * 10**9
    # Another process that did not know the debt, in the branch for a bucket that is not full.
    assert await process.settle(RPM, rpm=10 * 60 * 24 * 30) is None
    stored = table.stored("someone")
    assert stored.ttl * 10**9 >= stored.image["rpm"].full_at + 86_400 * 10**9


async def test_index_keys_stand_only_in_writes_that_may_create(process: Process) -> None:
    assert await process.is_granted(RPM)
    assert await process.is_granted(RPM)
    first, second = process.wire.sent
    assert ":L" in first["ExpressionAttributeValues"]
    assert ":L" not in second["ExpressionAttributeValues"]


async def test_a_bucket_that_was_deleted_is_full_and_listed_again(process: Process, table: Table) -> None:
    assert await process.is_granted(RPM, rpm=2)
    table.delete("someone")
    found = await process.ask(RPM)
    assert status(found, RPM).available == 9
    item = table.item("someone")
    assert item is not None
    assert item["L"]["S"].startswith("ns/LIST#")
    assert item["LS"] == {"S": "BUCKET#someone#api#"}


async def test_a_reset_is_known_at_once(process: Process, table: Table) -> None:
    assert await process.is_granted(RPM, rpm=10)
    assert not await process.is_granted(RPM)
    table.delete("someone")
    process.buckets._forget_buckets([bucket_key("ns", "someone", "api")])
    assert await process.is_granted(RPM)


async def test_limits_that_are_no_longer_configured_are_left_alone(process: Process, table: Table) -> None:
    assert await process.is_granted(RPM, TPH, rpm=1, tph=60)
    assert await process.is_granted(RPM)
    assert set(table.stored("someone").image) == {"rpm", "tph"}
    assert not await process.is_granted(RPM, TPH, tph=11)


async def test_a_process_whose_clock_is_behind_still_shares_the_bucket(table: Table, clock: TurnableClock) -> None:
    ahead = TurnableClock(clock.now_ns() + 1_000_000_000)
    first, second = Process(table, ahead), Process(table, clock)
    assert await first.is_granted(RPM)
    found = [await second.is_granted(RPM) for _ in range(12)]
    assert sum(found) == 8


async def test_a_clock_far_ahead_is_told_once(
    table: Table, clock: TurnableClock, caplog: pytest.LogCaptureFixture
) -> None:
    process = Process(table, clock)
    await Process(table, TurnableClock(clock.now_ns() + 3 * 86_400 * 10**9)).ask(RPM)
    for _ in range(3):
        assert not await process.is_granted(RPM)
        clock.turn(2)
    assert caplog.text.count("more than a day late") == 1


async def test_ten_limits_are_one_write(process: Process) -> None:
    limits = [Limit.per_hour(f"limit{number}", 100 + number) for number in range(10)]
    amounts: Any = {limit.name: 3 for limit in limits}
    assert await process.is_granted(*limits, **amounts)
    assert await process.is_granted(*limits, **amounts)
    assert process.calls == ["UpdateItem"] * 2


async def test_thirty_limits_with_long_names_are_one_write(process: Process) -> None:
    limits = [Limit.per_hour(f"{'n' * 60}{number}", 100) for number in range(30)]
    amounts: Any = {limit.name: 3 for limit in limits}
    assert await process.is_granted(*limits, **amounts)
    assert await process.is_granted(*limits, **amounts)
    assert process.calls == ["UpdateItem"] * 2


async def test_nothing_is_stale_where_rates_are_as_expected(process: Process) -> None:
    found = await process.ask(RPM)
    assert not isinstance(found, Stale)
    assert process.renewed == []
    assert not math.isinf(status(found, RPM).retry_after_seconds)
