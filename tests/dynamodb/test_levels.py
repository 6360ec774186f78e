"""All or nothing over limits and levels: together where there is room, else from the leaf up; given back on refusal."""

import asyncio
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.dynamodb.processes import (
    Happens,
    Process,
    Table,
    lost_answer,
    lost_request,
    no_connection,
    throttled_key,
    throttled_table,
)
from zae_limiter import Limit, RateLimiterUnavailable
from zae_limiter.aws_errors import UnknownOutcome
from zae_limiter.blocking import run
from zae_limiter.models import Debit, Granted, Refused, Stale
from zae_limiter.testing import TurnableClock, TurningRuntime

BIG = Limit.per_minute("rpm", 1_000)
SMALL = Limit.per_minute("rpm", 10)


@pytest.fixture(params=[False, True], ids=["blocking", "async"])
def process(request: pytest.FixtureRequest, table: Table, clock: TurnableClock) -> Process:
    return Process(table, clock, waits=request.param)


def chain(*limits: Limit, amount: int = 1) -> list[Debit]:
    return [Debit(f"level{index}", "api", (limit,), {"rpm": amount}, index == 0) for index, limit in enumerate(limits)]


async def turns(number: int = 20) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


def used(table: Table, level: int) -> int:
    item = table.item(f"level{level}")
    return 0 if item is None else int(item["u.rpm"]["N"])


async def test_eight_warm_levels_with_room_are_one_call(process: Process, table: Table) -> None:
    debits = chain(*[BIG] * 8)
    assert isinstance(await process.debit(*debits), Granted)
    assert process.calls == ["UpdateItem"] * 8
    process.wire.clear()
    found = await process.debit(*debits)
    assert isinstance(found, Granted)
    assert process.calls == ["BatchExecuteStatement"]
    assert process.wire.units == 8
    assert [used(table, level) for level in range(8)] == [2] * 8
    assert len(found.images) == 8


async def test_levels_without_room_for_eight_such_charges_go_from_the_leaf_up(process: Process) -> None:
    debits = chain(BIG, SMALL, BIG, amount=2)
    assert isinstance(await process.debit(*debits), Granted)
    process.wire.clear()
    assert isinstance(await process.debit(*debits), Granted)
    assert process.calls == ["UpdateItem"] * 3


async def test_the_first_refusal_stops_and_what_was_granted_is_given_back(
    process: Process, table: Table, clock: TurnableClock
) -> None:
    other = Process(table, clock)
    assert await other.is_granted(SMALL, entity_id="level1", rpm=10)
    found = await process.debit(*chain(BIG, SMALL, BIG))
    assert isinstance(found, Refused)
    assert [used(table, level) for level in range(3)] == [0, 10, 0]
    assert found.images[0]["rpm"].full_at <= found.now_ns
    assert found.images[1]["rpm"].full_at == found.now_ns + SMALL.fill_ns
    assert process.calls == ["UpdateItem"] * 3


async def test_a_level_that_refuses_among_those_that_go_together_gives_the_others_back(
    process: Process, table: Table, clock: TurnableClock
) -> None:
    debits = chain(BIG, SMALL, BIG)
    assert isinstance(await process.debit(*debits), Granted)
    other = Process(table, clock)
    assert await other.is_granted(SMALL, entity_id="level1", rpm=9)
    process.wire.clear()
    found = await process.debit(*debits)
    assert isinstance(found, Refused)
    assert process.calls == ["BatchExecuteStatement"] * 2
    assert [used(table, level) for level in range(3)] == [1, 10, 1]
    assert [image["rpm"].full_at - found.now_ns for image in found.images] == [60_000_000, 60_000_000_000, 60_000_000]


async def test_known_refusals_of_every_level_are_asked_before_anything_is_written(
    process: Process, table: Table
) -> None:
    debits = chain(BIG, BIG, SMALL)
    for _ in range(10):
        assert isinstance(await process.debit(*debits), Granted)
    process.wire.clear()
    for _ in range(5):
        found = await process.debit(*debits)
        assert isinstance(found, Refused)
        assert found.images[2]["rpm"].full_at == found.now_ns + SMALL.fill_ns
    assert process.calls == []


async def test_a_level_whose_outcome_is_unknown_is_not_given_back(process: Process, table: Table) -> None:
    process.wire.next.extend([None, lost_request, lost_request, lost_request])
    with pytest.raises(UnknownOutcome):
        await process.debit(*chain(BIG, BIG, BIG))
    assert [used(table, level) for level in range(3)] == [0, 0, 0]
    assert process.calls == ["UpdateItem"] * 5


async def test_what_was_granted_is_given_back_before_an_error_leaves(process: Process, table: Table) -> None:
    process.wire.next.append(None)
    process.wire.next.extend([no_connection] * 40)

    with pytest.raises(Exception, match="no connection"):
        await process.debit(*chain(BIG, BIG))
    process.wire.next.clear()
    # The wire is down for the credit too, so it may not land; what counts is that it was sent.
    given_back = [sent for sent in process.wire.sent if "#level0#" in str(sent) and "'-1'" in str(sent)]
    assert given_back


@pytest.mark.parametrize("happens", [no_connection, throttled_table, lost_request])
async def test_a_parent_that_cannot_be_asked_leaves_its_child_its_tokens(
    process: Process, table: Table, happens: Happens
) -> None:
    """W13: a store that failed at the parent kept what it had taken from the child."""

    def at_the_parent(operation: str, parameters: Mapping[str, Any]) -> Any:
        return happens(operation, parameters) if "#level1#" in str(parameters) else None

    process.wire.next.extend([at_the_parent] * 100)
    for _ in range(3):
        with pytest.raises(RateLimiterUnavailable):
            await process.debit(*chain(BIG, BIG))
    assert [used(table, level) for level in range(2)] == [0, 0]


def test_threads_that_charge_cascades_do_not_wait_for_one_another(table: Table, clock: TurnableClock) -> None:
    """W50: a pool of two threads let one cascade through at a time."""
    process = Process(table, clock)
    barrier = threading.Barrier(8)

    def meets(operation: str, parameters: Mapping[str, Any]) -> None:
        barrier.wait(20)

    def charge(number: int) -> bool:
        debits = [Debit(f"{level}-{number}", "api", (BIG,), {"rpm": 1}, level == "leaf") for level in ("leaf", "root")]
        return isinstance(run(process.debit(*debits, seconds=60)), Granted)

    process.wire.next.extend([meets] * 16)
    with ThreadPoolExecutor(8) as executor:
        assert all(executor.map(charge, range(8)))


async def test_a_changed_rate_of_any_level_is_news(process: Process) -> None:
    assert isinstance(await process.debit(*chain(BIG, SMALL)), Granted)
    changed = [debit._replace(is_stored=True) for debit in chain(BIG, Limit.per_minute("rpm", 20))]
    assert isinstance(await process.debit(*changed), Stale)
    assert process.renewed == [("level1", "api")]
    assert isinstance(await process.debit(*changed), Granted)


async def test_a_batch_that_finds_a_wrong_guess_mends_it(process: Process, table: Table, clock: TurnableClock) -> None:
    debits = chain(BIG, BIG)
    assert isinstance(await process.debit(*debits), Granted)
    clock.turn(60)
    other = Process(table, clock)
    assert await other.is_granted(BIG, entity_id="level1")
    process.wire.clear()
    assert isinstance(await process.debit(*debits), Granted)
    assert process.calls == ["BatchExecuteStatement", "UpdateItem"]
    assert [used(table, level) for level in range(2)] == [2, 3]


@pytest.mark.parametrize("happens", [lost_request, lost_answer, no_connection])
async def test_levels_whose_batch_was_lost_are_charged_once(process: Process, table: Table, happens: Happens) -> None:
    debits = chain(BIG, BIG, BIG)
    assert isinstance(await process.debit(*debits), Granted)
    process.wire.clear()
    process.wire.next.append(happens)
    assert isinstance(await process.debit(*debits), Granted)
    assert [used(table, level) for level in range(3)] == [2] * 3
    assert process.calls[0] == "BatchExecuteStatement"


async def test_a_cascade_that_is_cancelled_between_its_levels_gives_back_those_that_were_granted(
    table: Table, clock: TurnableClock
) -> None:
    process = Process(table, clock, waits=True)
    written = asyncio.Event()

    async def hold() -> None:
        written.set()
        process.wire.gate = asyncio.Event()

    process.wire.afterwards = hold
    task = asyncio.create_task(process.debit(*chain(BIG, BIG), seconds=30))
    await written.wait()
    await turns()
    assert len(process.calls) == 2
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert process.wire.gate is not None
    process.wire.gate.set()
    await turns(60)
    assert process.calls[2:] == ["BatchExecuteStatement"]
    assert [used(table, level) for level in range(2)] == [0, 0]


async def test_a_cascade_that_is_cancelled_before_a_level_refuses_gives_back_those_that_were_granted(
    table: Table, clock: TurnableClock
) -> None:
    process = Process(table, clock, waits=True)
    assert await Process(table, clock).is_granted(SMALL, entity_id="level1", rpm=10)
    written = asyncio.Event()

    async def hold() -> None:
        written.set()
        process.wire.gate = asyncio.Event()

    process.wire.afterwards = hold
    task = asyncio.create_task(process.debit(*chain(BIG, SMALL), seconds=30))
    await written.wait()
    await turns()
    assert (len(process.calls), used(table, 0)) == (2, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert process.wire.gate is not None
    process.wire.gate.set()
    await turns(60)
    assert process.calls[2:] == ["UpdateItem"]
    assert [used(table, level) for level in range(2)] == [0, 10]


async def test_a_look_up_of_the_namespace_counts_against_the_deadline(table: Table, clock: TurnableClock) -> None:
    process = Process(table, clock, waits=True)
    never = asyncio.Event()

    async def look_up() -> str:
        await never.wait()
        return "ns"

    process.buckets._bucket_table.runtime = TurningRuntime(clock)
    process.buckets._known_namespace = str
    process.buckets._namespace = look_up
    with pytest.raises(TimeoutError):
        await process.debit(*chain(BIG), seconds=0.01)
    assert process.calls == []


async def test_a_level_without_room_is_waited_for_where_another_is_throttled(process: Process, table: Table) -> None:
    debits = chain(BIG, BIG)
    assert isinstance(await process.debit(*debits), Granted)
    other = Process(table, process.clock)
    assert await other.settle(BIG, entity_id="level1", rpm=1_100) is None

    def first_is_throttled(_: str, parameters: Mapping[str, Any]) -> Any:
        found = run(process.wire.through("BatchExecuteStatement", {"Statements": parameters["Statements"][1:]}))
        return {"Responses": [{"Error": {"Code": "ThrottlingError", "Message": ""}}, *found["Responses"]]}

    process.wire.next.extend([first_is_throttled, *[throttled_key] * 200])
    found = await process.debit(*debits)
    assert isinstance(found, Refused)
    assert found.wait_ns == 102 * 60_000_000
