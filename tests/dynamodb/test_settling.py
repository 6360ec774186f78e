"""What leases owe and give back: measured in the stored rate, never creating by a credit, given once."""

import pytest

from tests.dynamodb.processes import Happens, Process, Table, lost_answer, lost_request, no_connection, throttled_key
from tests.dynamodb.test_charging import StuckMarks
from zae_limiter import Limit
from zae_limiter.models import Change
from zae_limiter.testing import TurnableClock

RPM = Limit.per_minute("rpm", 10)
TPH = Limit.per_hour("tph", 70)


@pytest.fixture
def process(table: Table, clock: TurnableClock) -> Process:
    return Process(table, clock)


def used(table: Table, name: str, entity_id: str = "someone") -> int:
    item = table.item(entity_id)
    assert item is not None
    return int(item[f"u.{name}"]["N"])


async def test_a_credit_never_creates_a_bucket(process: Process, table: Table) -> None:
    assert await process.is_granted(RPM)
    table.delete("someone")
    assert await process.settle(RPM, rpm=-1) is None
    assert table.item("someone") is None
    assert await process.settle(RPM, entity_id="nobody", rpm=-1) is None
    assert table.item("nobody") is None


async def test_a_credit_for_a_limit_that_is_gone_gives_nothing(process: Process, table: Table) -> None:
    assert await process.is_granted(RPM)
    assert await process.settle(RPM, TPH, tph=-5) is None
    assert set(table.stored("someone").image) == {"rpm"}


async def test_a_change_of_nothing_writes_nothing(process: Process, table: Table) -> None:
    changes = [
        Change(entity, "api", (RPM,), deltas, {})
        for entity, deltas in (("none", {}), ("some", {"rpm": 3}), ("zero", {"rpm": 0}))
    ]
    for settled in (changes, [changes[0], changes[2]]):
        now_ns, deadline_ns = process.clock.now_ns(), process.deadline_ns()
        found = await process.buckets.settle(settled, now_ns=now_ns, deadline_ns=deadline_ns)
        assert found == [None] * len(settled)
    assert process.calls == ["UpdateItem"]
    assert (table.item("none"), table.item("zero"), used(table, "rpm", "some")) == (None, None, 3)


async def test_work_that_was_done_is_owed_where_the_bucket_is_gone(process: Process, table: Table) -> None:
    assert await process.is_granted(RPM)
    table.delete("someone")
    assert await process.settle(RPM, rpm=25) is None
    image = table.stored("someone").image
    assert image["rpm"].full_at == process.clock.now_ns() + 150_000_000_000
    assert used(table, "rpm") == 25


async def test_both_signs_are_one_write(process: Process, table: Table) -> None:
    assert await process.is_granted(RPM, TPH, rpm=2, tph=10)
    process.wire.clear()
    assert await process.settle(RPM, TPH, rpm=-1, tph=30) is None
    assert process.calls == ["UpdateItem"]
    assert (used(table, "rpm"), used(table, "tph")) == (1, 40)


async def test_a_credit_whose_outcome_is_unknown_is_never_repeated(process: Process, table: Table) -> None:
    assert await process.is_granted(RPM, rpm=5)
    for lost in (lost_answer, lost_request):
        process.wire.clear()
        process.wire.next.append(lost)
        assert await process.settle(RPM, rpm=-1) is not None
        assert process.calls == ["UpdateItem"]
    assert used(table, "rpm") == 4


async def test_an_adjust_whose_answer_was_lost_is_repeated_under_its_mark(process: Process, table: Table) -> None:
    assert await process.is_granted(RPM)
    process.wire.next.append(lost_answer)
    assert await process.settle(RPM, rpm=7) is None
    assert used(table, "rpm") == 8
    process.wire.next.append(lost_request)
    assert await process.settle(RPM, rpm=7) is None
    assert used(table, "rpm") == 15


async def test_an_own_mark_without_an_unknown_outcome_is_a_counter_that_has_come_round(
    process: Process, table: Table, clock: TurnableClock
) -> None:
    def slow(operation: str, parameters: object) -> None:
        clock.turn(0.3)

    process.buckets._bucket_table.marks = StuckMarks("aaaaaaaa", "aaaaaaaa", "aaaaaaab")  # type: ignore[assignment]
    assert await process.is_granted(RPM)
    process.wire.next.extend([slow] * 9)
    assert await process.settle(RPM, rpm=1) is None
    assert used(table, "rpm") == 2


async def test_a_settle_with_both_signs_repeats_only_what_it_takes(process: Process, table: Table) -> None:
    assert await process.is_granted(RPM, TPH, rpm=5, tph=10)
    process.wire.next.append(lost_request)
    failure = await process.settle(RPM, TPH, rpm=-3, tph=30)
    assert failure is not None
    assert (used(table, "rpm"), used(table, "tph")) == (5, 40)
    process.wire.next.append(lost_answer)
    assert await process.settle(RPM, TPH, rpm=-3, tph=30) is None
    assert (used(table, "rpm"), used(table, "tph")) == (2, 70)


async def test_an_adjust_is_repeated_twice_at_most(process: Process) -> None:
    process.wire.next.extend([lost_request] * 9)
    assert await process.settle(RPM, rpm=7) is not None
    assert process.calls == ["UpdateItem"] * 3


async def test_what_is_surely_not_written_is_repeated_credits_too(process: Process, table: Table) -> None:
    assert await process.is_granted(RPM, rpm=5)
    process.wire.next.extend([no_connection, throttled_key, no_connection])
    assert await process.settle(RPM, rpm=-2) is None
    assert used(table, "rpm") == 3


async def test_a_settle_ends_with_its_deadline(process: Process, clock: TurnableClock) -> None:
    begun = clock.monotonic_ns()
    process.wire.next.extend([no_connection] * 1_000)
    assert await process.settle(RPM, rpm=7) is not None
    assert clock.monotonic_ns() - begun <= 1_000_000_000


async def test_a_credit_of_several_debits_gives_back_no_more_than_they_took(process: Process, table: Table) -> None:
    third = Limit.custom("x", 7, 7, 60)
    for _ in range(5):
        assert await process.is_granted(third)
    change = Change("someone", "api", (third,), {"x": -5}, {"x": 5})
    now_ns = process.clock.now_ns()
    assert await process.buckets.settle([change], now_ns=now_ns, deadline_ns=process.deadline_ns()) == [None]
    assert table.stored("someone").image["x"].full_at >= now_ns


async def test_the_wrong_guess_of_an_adjust_is_mended(process: Process, table: Table, clock: TurnableClock) -> None:
    other = Process(table, clock)
    assert await other.is_granted(RPM, rpm=5)
    assert await process.settle(RPM, rpm=3) is None
    assert used(table, "rpm") == 8
    assert process.calls == ["UpdateItem"] * 2


async def test_several_buckets_settle_in_one_call_each_on_its_own(table: Table, clock: TurnableClock) -> None:
    for waits in (False, True):
        process = Process(table, clock, waits=waits)
        names = [f"{waits}{number}" for number in range(4)]
        for name in names:
            assert await process.is_granted(RPM, TPH, entity_id=name, rpm=5, tph=5)
        table.delete(names[1])
        process.wire.clear()
        changes = [Change(name, "api", (RPM, TPH), {"rpm": -1, "tph": 4}, {"rpm": 1}) for name in names[:1] + names[2:]]
        changes.append(Change(names[1], "api", (RPM, TPH), {"rpm": -1}, {"rpm": 1}))
        found = await process.buckets.settle(changes, now_ns=clock.now_ns(), deadline_ns=process.deadline_ns())
        assert list(found) == [None] * 4
        assert process.calls == ["BatchExecuteStatement"]
        assert [used(table, "tph", name) for name in (names[0], names[2], names[3])] == [9, 9, 9]
        assert table.item(names[1]) is None


@pytest.mark.parametrize("waits", [False, True], ids=["blocking", "async"])
@pytest.mark.parametrize("happens", [lost_request, lost_answer, no_connection])
async def test_what_several_buckets_owe_is_written_once_whatever_happens_to_the_batch(
    happens: Happens, table: Table, clock: TurnableClock, *, waits: bool
) -> None:
    process = Process(table, clock, waits=waits)
    names = ["first", "second", "third"]
    for name in names:
        assert await process.is_granted(RPM, entity_id=name)
    process.wire.clear()
    process.wire.next.append(happens)
    changes = [Change(name, "api", (RPM,), {"rpm": 4}, {"rpm": 1}) for name in names]
    found = await process.buckets.settle(changes, now_ns=clock.now_ns(), deadline_ns=process.deadline_ns())
    assert list(found) == [None] * 3
    assert [used(table, "rpm", name) for name in names] == [5] * 3


async def test_a_record_outlives_debts_that_did_not_know_of_each_other(table: Table, clock: TurnableClock) -> None:
    first, second = Process(table, clock), Process(table, clock)
    assert await first.is_granted(RPM)
    assert await second.is_granted(RPM)
    fifteen_days = 10 * 60 * 24 * 15
    assert await second.settle(RPM, rpm=fifteen_days) is None
    first.wire.clear()
    # By the image that this one has, its own debt is all there is.
    assert await first.settle(RPM, rpm=fifteen_days) is None
    stored = table.stored("someone")
    assert stored.image["rpm"].full_at > clock.now_ns() + 30 * 86_400 * 10**9
    assert stored.ttl * 10**9 >= stored.image["rpm"].full_at + 86_400 * 10**9
    assert first.calls == ["UpdateItem"] * 2


async def test_a_lifetime_that_was_not_raised_is_raised_by_the_next_charge(table: Table, clock: TurnableClock) -> None:
    first, second = Process(table, clock), Process(table, clock)
    for process in (first, second):
        assert await process.is_granted(RPM, TPH, rpm=1, tph=1)
    fifteen_days = 70 * 24 * 15
    assert await second.settle(RPM, TPH, tph=fifteen_days) is None
    first.wire.next.extend([None, lost_request])
    assert await first.settle(RPM, TPH, tph=fifteen_days) is None
    stored = table.stored("someone")
    assert stored.ttl * 10**9 < stored.image["tph"].full_at
    assert await first.is_granted(RPM, TPH, rpm=1)
    assert table.stored("someone").ttl * 10**9 >= stored.image["tph"].full_at + 86_400 * 10**9
