"""Many at once in one process: charges of one bucket share a write, those of several a batch."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.dynamodb.processes import (
    Process,
    Table,
    lost_answer,
    lost_request,
    no_connection,
    statements_fail,
    throttled_key,
)
from zae_limiter import Limit
from zae_limiter.aws_errors import AccessDenied, UnknownOutcome
from zae_limiter.blocking import run
from zae_limiter.models import Debit, Granted, Refused
from zae_limiter.testing import TurnableClock

RPM = Limit.per_minute("rpm", 10)
HUNDRED = Limit.per_minute("rpm", 100)


@pytest.fixture
def process(table: Table, clock: TurnableClock) -> Process:
    return Process(table, clock, waits=True)


async def turns(number: int = 12) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def asked(process: Process, number: int, *limits: Limit, **amounts: Any) -> list[bool]:
    found = await asyncio.gather(*(process.ask(*limits, seconds=20, **amounts) for _ in range(number)))
    return [isinstance(each, Granted) for each in found]


def used(table: Table, name: str = "rpm", entity_id: str = "someone") -> int:
    item = table.item(entity_id)
    assert item is not None
    return int(item[f"u.{name}"]["N"])


async def test_charges_of_one_bucket_share_a_write(process: Process, table: Table) -> None:
    assert await asked(process, 100, HUNDRED) == [True] * 100
    assert process.calls == ["UpdateItem"]
    assert used(table) == 100


async def test_exactly_the_burst_is_granted_in_order_and_the_others_are_refused_without_a_call(
    process: Process, table: Table
) -> None:
    assert await asked(process, 200, RPM) == [True] * 10 + [False] * 190
    assert process.calls == ["UpdateItem"]
    assert used(table) == 10


async def test_one_that_does_not_fit_is_passed_over_and_later_ones_that_fit_go_along(
    process: Process, table: Table
) -> None:
    assert await process.is_granted(RPM, rpm=2)
    amounts = (5, 4, 2, 1)
    found = await asyncio.gather(*(process.ask(RPM, rpm=amount, seconds=20) for amount in amounts))
    assert [isinstance(each, Granted) for each in found] == [True, False, True, True]
    assert used(table) == 10
    assert len(process.calls) == 2


async def test_those_who_wait_through_a_write_are_judged_by_what_it_brings_back(
    process: Process, table: Table, clock: TurnableClock
) -> None:
    process.wire.gate = asyncio.Event()
    first = asyncio.create_task(process.ask(RPM, rpm=10, seconds=20))
    await turns()
    others = [asyncio.create_task(process.ask(RPM, seconds=20)) for _ in range(50)]
    await turns()
    process.wire.gate.set()
    assert isinstance(await first, Granted)
    assert [type(await each) for each in others] == [Refused] * 50
    assert process.calls == ["UpdateItem"]


async def test_a_failed_write_too_brings_back_what_the_others_are_judged_by(
    process: Process, table: Table, clock: TurnableClock
) -> None:
    other = Process(table, clock)
    assert await other.is_granted(RPM, rpm=10)
    assert await asked(process, 50, RPM) == [False] * 50
    assert process.calls == ["UpdateItem"]


async def test_only_charges_with_the_same_rate_and_burst_share_a_write(process: Process, table: Table) -> None:
    wide = Limit.per_minute("rpm", 10, burst=30)
    found = await asyncio.gather(*(process.ask(limit, seconds=20) for limit in (RPM, wide, RPM, wide)))
    assert all(isinstance(each, Granted) for each in found)
    assert len(process.calls) == 2
    assert used(table) == 4


async def test_charges_of_different_limits_of_a_bucket_share_a_write(process: Process, table: Table) -> None:
    tph = Limit.per_hour("tph", 70)
    found = await asyncio.gather(
        process.ask(RPM, seconds=20),
        process.ask(tph, tph=3, seconds=20),
        process.ask(RPM, tph, rpm=1, tph=2, seconds=20),
    )
    assert all(isinstance(each, Granted) for each in found)
    assert process.calls == ["UpdateItem"]
    assert (used(table, "rpm"), used(table, "tph")) == (2, 5)


async def test_a_group_whose_answer_was_lost_keeps_its_members_and_its_mark(process: Process, table: Table) -> None:
    process.wire.next.append(lost_answer)
    assert await asked(process, 20, HUNDRED) == [True] * 20
    first, second = process.wire.sent
    assert first["ExpressionAttributeValues"][":w"] == second["ExpressionAttributeValues"][":w"]
    assert used(table) == 20


async def test_a_known_failure_cuts_anew_under_a_new_mark(process: Process, table: Table, clock: TurnableClock) -> None:
    other = Process(table, clock)
    assert await other.is_granted(RPM, rpm=7)
    process.wire.next.append(lost_request)
    assert await asked(process, 10, RPM) == [True] * 3 + [False] * 7
    marks = [each["ExpressionAttributeValues"][":w"]["S"] for each in process.wire.sent]
    assert marks[0] == marks[1]
    assert marks[1] != marks[2]
    assert used(table) == 10


async def test_an_unknown_outcome_is_that_of_each_member(process: Process) -> None:
    process.wire.next.extend([lost_request] * 3)
    found = await asyncio.gather(*(process.ask(RPM, seconds=20) for _ in range(5)), return_exceptions=True)
    assert [type(each) for each in found] == [UnknownOutcome] * 5
    assert len(process.calls) == 3


async def test_what_is_surely_not_written_takes_those_along_who_came_meanwhile(process: Process, table: Table) -> None:
    process.wire.gate = asyncio.Event()
    process.wire.next.append(no_connection)
    tasks = [asyncio.create_task(process.ask(HUNDRED, seconds=20))]
    await turns()
    tasks += [asyncio.create_task(process.ask(HUNDRED, seconds=20)) for _ in range(5)]
    await turns()
    process.wire.gate.set()
    await asyncio.gather(*tasks)
    assert len(process.calls) == 2
    assert used(table) == 6


async def test_the_amounts_of_a_member_that_was_cancelled_are_credited_when_the_answer_comes(
    process: Process, table: Table
) -> None:
    process.wire.gate = asyncio.Event()
    tasks = [asyncio.create_task(process.ask(HUNDRED, rpm=number, seconds=20)) for number in (1, 2, 4)]
    await turns()
    tasks[1].cancel()
    await turns()
    process.wire.gate.set()
    await asyncio.gather(tasks[0], tasks[2])
    await turns(40)
    assert used(table) == 5
    assert table.stored("someone").image["rpm"].full_at == process.clock.now_ns() + 5 * 600_000_000


async def test_flooding_a_small_bucket_costs_hardly_a_call(process: Process, clock: TurnableClock) -> None:
    asks, granted = 0, 0
    for _ in range(60):
        found = await asked(process, 50, RPM)
        asks += len(found)
        granted += sum(found)
        clock.turn(1)
    assert granted == 10 + 9
    assert len(process.calls) / asks <= 0.025


async def warm(process: Process, number: int, *limits: Limit) -> list[str]:
    names = [f"e{index}" for index in range(number)]
    for name in names:
        assert await process.is_granted(*limits, entity_id=name)
    process.wire.clear()
    return names


async def charged(process: Process, names: Sequence[str], *limits: Limit) -> list[Any]:
    return await asyncio.gather(
        *(process.ask(*limits, entity_id=name, seconds=20) for name in names), return_exceptions=True
    )


async def test_charges_of_several_buckets_travel_in_batches(process: Process, table: Table) -> None:
    names = await warm(process, 60, RPM)
    found = await charged(process, names, RPM)
    assert [type(each) for each in found] == [Granted] * 60
    assert process.calls == ["BatchExecuteStatement"] * 3
    assert [used(table, entity_id=name) for name in names] == [2] * 60


async def test_a_few_flights_go_side_by_side_and_what_waits_for_both_goes_together(
    process: Process, table: Table
) -> None:
    names = await warm(process, 4, RPM)
    process.wire.gate = asyncio.Event()
    tasks = []
    for name in names[:2]:
        tasks.append(asyncio.create_task(charged(process, [name], RPM)))
        await turns()
    # Nobody waits for company while a flight is free.
    assert process.calls[:2] == ["UpdateItem"] * 2
    tasks.append(asyncio.create_task(charged(process, names[2:], RPM)))
    await turns()
    process.wire.gate.set()
    await asyncio.gather(*tasks)
    assert process.calls[2:] == ["BatchExecuteStatement"]
    assert [used(table, entity_id=name) for name in names] == [2] * 4


async def test_each_statement_has_its_own_outcome_and_image(
    process: Process, table: Table, clock: TurnableClock
) -> None:
    names = await warm(process, 4, RPM)
    other = Process(table, clock)
    assert await other.is_granted(RPM, entity_id=names[1], rpm=9)
    table.delete(names[2])
    found = await charged(process, names, RPM)
    assert [type(each) for each in found] == [Granted, Refused, Granted, Granted]
    assert used(table, entity_id=names[2]) == 1
    # The batch, and the one that was gone: it is made anew alone.
    assert process.calls == ["BatchExecuteStatement", "UpdateItem"]


async def test_what_partiql_cannot_say_is_an_update_of_its_own(process: Process, table: Table) -> None:
    names = await warm(process, 3, RPM)
    tph = Limit.per_hour("tph", 70)
    found = await asyncio.gather(
        process.ask(RPM, tph, entity_id=names[0], rpm=1, tph=1, seconds=20),
        process.ask(RPM, entity_id=names[1], seconds=20),
        process.ask(RPM, entity_id=names[2], seconds=20),
        process.ask(RPM, entity_id="cold", seconds=20),
    )
    assert all(isinstance(each, Granted) for each in found)
    assert sorted(process.calls) == ["BatchExecuteStatement", "UpdateItem", "UpdateItem"]


@pytest.mark.parametrize("code", ["ValidationError", "ThrottlingError"])
async def test_a_statement_that_is_invalid_or_throttled_goes_once_more_alone(
    process: Process, table: Table, code: str
) -> None:
    names = await warm(process, 3, RPM)
    process.wire.next.append(statements_fail(code))
    found = await charged(process, names, RPM)
    assert [type(each) for each in found] == [Granted] * 3
    assert process.calls == ["BatchExecuteStatement", *["UpdateItem"] * 3]


async def test_a_statement_that_was_throttled_learns_alone_whether_it_is_the_key(process: Process) -> None:
    names = await warm(process, 2, RPM)
    process.wire.next.append(statements_fail("ThrottlingError"))
    process.wire.next.extend([throttled_key] * 2_000)
    found = await charged(process, names, RPM)
    assert [(type(each), each.wait_ns) for each in found] == [(Refused, 1_000_000_000)] * 2


async def test_a_statement_whose_outcome_is_unknown_is_repeated_under_its_mark(process: Process, table: Table) -> None:
    names = await warm(process, 3, RPM)
    process.wire.next.append(statements_fail("InternalServerError"))
    found = await charged(process, names, RPM)
    assert [type(each) for each in found] == [Granted] * 3
    assert [used(table, entity_id=name) for name in names] == [2] * 3
    assert process.calls[0] == "BatchExecuteStatement"


async def test_a_batch_whose_answer_was_lost_is_charged_once(process: Process, table: Table) -> None:
    names = await warm(process, 5, RPM)
    process.wire.next.append(lost_answer)
    found = await charged(process, names, RPM)
    assert [type(each) for each in found] == [Granted] * 5
    assert [used(table, entity_id=name) for name in names] == [2] * 5


async def test_where_the_role_may_not_batch_each_charge_is_a_call_and_one_line_says_so(
    process: Process, table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    def denied(operation: str, parameters: Any) -> None:
        raise AccessDenied("table", "access denied, as the test wanted")

    names = await warm(process, 3, RPM)
    process.wire.next.append(denied)
    for _ in range(2):
        found = await charged(process, names, RPM)
        assert [type(each) for each in found] == [Granted] * 3
    assert process.calls == ["BatchExecuteStatement", *["UpdateItem"] * 6]
    assert caplog.text.count("dynamodb:PartiQLUpdate") == 1


async def test_carry_overs_and_credits_travel_in_batches_too(process: Process, table: Table) -> None:
    names = await warm(process, 3, RPM)
    found = await charged(process, names, HUNDRED)
    assert [type(each) for each in found] == [Granted] * 3
    assert process.calls == ["BatchExecuteStatement"]
    assert {table.stored(name).image["rpm"].rate for name in names} == {HUNDRED.rate}
    # Six seconds of one token at ten a minute are one at a hundred: 600 ms, and one more.
    assert {table.stored(name).image["rpm"].full_at for name in names} == {process.clock.now_ns() + 1_200_000_000}


async def test_a_credit_beside_a_debit_of_the_same_bucket_goes_with_the_next_batch(
    process: Process, table: Table
) -> None:
    names = await warm(process, 3, RPM)
    found = await asyncio.gather(
        *(process.ask(RPM, entity_id=name, seconds=20) for name in names),
        *(process.settle(RPM, entity_id=name, rpm=-1) for name in names),
    )
    assert [type(each) for each in found[:3]] == [Granted] * 3
    assert found[3:] == [None] * 3
    assert [used(table, entity_id=name) for name in names] == [1] * 3
    assert all(len(set(map(str, sent["Statements"]))) == len(sent["Statements"]) for sent in process.wire.sent)


async def test_a_second_write_of_a_bucket_may_begin_beside_one_that_is_stuck(process: Process, table: Table) -> None:
    stuck = process.wire.gate = asyncio.Event()
    first = asyncio.create_task(process.ask(HUNDRED, seconds=20))
    await turns()
    process.wire.gate = None
    assert isinstance(await process.ask(HUNDRED, seconds=20), Granted)
    assert not first.done()
    stuck.set()
    assert isinstance(await first, Granted)
    assert used(table) == 2


async def test_what_is_known_of_buckets_is_bounded(process: Process) -> None:
    memory = process.buckets._bucket_table.memory
    memory._most = 5
    for number in range(12):
        assert await process.is_granted(RPM, entity_id=f"e{number}")
    assert len(memory) == 5


def test_threads_of_one_bucket_share_writes_and_get_exactly_the_burst(table: Table, clock: TurnableClock) -> None:
    process = Process(table, clock)
    barrier = threading.Barrier(16)

    def take(_: int) -> int:
        barrier.wait(10)
        return sum(isinstance(run(process.ask(HUNDRED, seconds=20)), Granted) for _ in range(8))

    with ThreadPoolExecutor(16) as executor:
        assert sum(executor.map(take, range(16))) == 100
    assert len(process.calls) < 90
    assert used(table) == 100


def test_threads_of_several_buckets_travel_together(table: Table, clock: TurnableClock) -> None:
    process = Process(table, clock)
    names = [f"e{number}" for number in range(16)]
    for name in names:
        assert run(process.is_granted(HUNDRED, entity_id=name))
    process.wire.clear()
    barrier = threading.Barrier(16)

    def take(name: str) -> int:
        barrier.wait(10)
        return sum(run(process.is_granted(HUNDRED, entity_id=name)) for _ in range(6))

    with ThreadPoolExecutor(16) as executor:
        assert list(executor.map(take, names)) == [6] * 16
    assert "BatchExecuteStatement" in process.calls
    assert len(process.calls) < 60


async def test_a_debit_names_its_limits_even_where_nothing_is_taken(process: Process) -> None:
    debit = Debit("someone", "api", (RPM,), {"rpm": 0})
    assert isinstance(await process.debit(debit), Granted)
    assert isinstance(await process.debit(debit), Granted)
