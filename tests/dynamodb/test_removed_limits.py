"""A limit that is configured no longer leaves a busy bucket with a write that finds it full; its burst stays spent."""

import asyncio
from typing import Any

import pytest

from tests.dynamodb.processes import Process, Table
from zae_limiter import Limit
from zae_limiter.debits import debits_of
from zae_limiter.models import Charge, Debit, EffectiveLimits, Granted, Refused, Resolution
from zae_limiter.testing import TurnableClock

RPM = Limit.per_minute("rpm", 10)
TPH = Limit.per_hour("tph", 60)
OLD = [Limit.per_minute(f"old{number}", 5) for number in range(6)]
HOUR = 3_600.0


@pytest.fixture(params=[False, True], ids=["blocking", "async"])
def process(request: pytest.FixtureRequest, table: Table, clock: TurnableClock) -> Process:
    return Process(table, clock, waits=request.param)


def stored(*limits: Limit, entity_id: str = "someone", **amounts: int) -> Debit:
    """A charge under the limits that are configured."""
    found = amounts or {limits[0].name: 1}
    return Debit(entity_id, "api", limits, found, is_stored=True)


def names(table: Table, entity_id: str = "someone") -> set[str]:
    """The limits of which anything is left in the record."""
    item = table.item(entity_id) or {}
    return {name[2:] for name in item if name[:2] in ("f.", "r.", "u.")}


async def test_a_limit_that_is_configured_no_longer_is_dropped_with_a_charge_once_it_is_long_full(
    process: Process, table: Table, clock: TurnableClock
) -> None:
    await process.debit(stored(RPM, TPH, rpm=1, tph=60))
    process.wire.clear()
    for seconds in (1.0, HOUR, HOUR - 2):
        clock.turn(seconds)
        assert isinstance(await process.debit(stored(RPM)), Granted)
        assert names(table) == {"rpm", "tph"}
    clock.turn(2)
    found = await process.debit(stored(RPM))
    assert isinstance(found, Granted)
    assert names(table) == {"rpm"} == set(found.images[0])
    # It went along with a charge: no call and no unit of its own.
    assert process.calls == ["UpdateItem"] * 4
    assert (process.wire.units, process.wire.index_units) == (4.0, 0.0)


async def test_it_is_not_dropped_while_it_is_owed(process: Process, table: Table, clock: TurnableClock) -> None:
    await process.debit(stored(RPM, TPH, rpm=1, tph=60))
    await process.settle(RPM, TPH, tph=600)
    clock.turn(10 * HOUR)
    assert isinstance(await process.debit(stored(RPM)), Granted)
    assert names(table) == {"rpm", "tph"}
    assert isinstance(await process.debit(stored(RPM, TPH, rpm=1, tph=1)), Refused)


async def test_callers_that_alternate_never_get_its_burst_again(
    process: Process, table: Table, clock: TurnableClock
) -> None:
    """Where it was dropped at once, those who still know it would find it full at each turn."""
    granted = 0
    for _ in range(200):
        granted += isinstance(await process.debit(stored(RPM, TPH, rpm=0, tph=10)), Granted)
        await process.debit(stored(RPM, rpm=0))
        clock.turn(60)
    assert granted <= (60 + 200) // 10


async def test_a_charge_that_brings_its_own_limits_drops_none(
    process: Process, table: Table, clock: TurnableClock
) -> None:
    await process.debit(stored(RPM, TPH, rpm=1, tph=1))
    clock.turn(3 * HOUR)
    assert isinstance(await process.debit(stored(RPM)._replace(is_stored=False)), Granted)
    assert names(table) == {"rpm", "tph"}


async def test_one_that_another_process_has_charged_since_stays(
    process: Process, table: Table, clock: TurnableClock
) -> None:
    other = Process(table, clock)
    await process.debit(stored(RPM, TPH, rpm=1, tph=1))
    clock.turn(3 * HOUR)
    assert isinstance(await other.debit(stored(RPM, TPH, rpm=1, tph=60)), Granted)
    process.wire.clear()
    assert isinstance(await process.debit(stored(RPM)), Granted)
    assert process.calls == ["UpdateItem"] * 2
    assert not await other.is_granted(RPM, TPH, tph=2)
    assert names(table) == {"rpm", "tph"}


async def test_many_are_dropped_a_few_at_a_time(process: Process, table: Table, clock: TurnableClock) -> None:
    amounts = {limit.name: 1 for limit in (RPM, *OLD)}
    await process.debit(stored(RPM, *OLD)._replace(amounts=amounts))
    clock.turn(2 * HOUR)
    left = []
    for _ in range(3):
        assert isinstance(await process.debit(stored(RPM)), Granted)
        left.append(len(names(table)))
    assert left == [3, 1, 1]


async def test_statements_of_a_batch_drop_them_too(table: Table, clock: TurnableClock) -> None:
    process = Process(table, clock, waits=True)
    entities = ("a", "b", "c")
    for entity_id in entities:
        await process.debit(stored(RPM, TPH, rpm=1, tph=1, entity_id=entity_id))
    clock.turn(3 * HOUR)
    process.wire.clear()
    found = await asyncio.gather(
        *(process.debit(stored(RPM, entity_id=entity_id), seconds=20) for entity_id in entities)
    )
    assert [type(each) for each in found] == [Granted] * 3
    assert process.calls == ["BatchExecuteStatement"]
    assert [names(table, entity_id) for entity_id in entities] == [{"rpm"}] * 3


async def test_a_limit_that_was_dropped_begins_full_when_it_is_configured_again(
    process: Process, table: Table, clock: TurnableClock
) -> None:
    await process.debit(stored(RPM, TPH, rpm=1, tph=60))
    clock.turn(2 * HOUR + 1)
    await process.debit(stored(RPM))
    assert names(table) == {"rpm"}
    assert isinstance(await process.debit(stored(RPM, TPH, rpm=1, tph=60)), Granted)
    assert isinstance(await process.debit(stored(RPM, TPH, rpm=1, tph=1)), Refused)


def test_only_a_charge_without_limits_of_its_own_speaks_for_the_configuration() -> None:
    levels = (EffectiveLimits("child", (RPM,), "resource"), EffectiveLimits("parent", (TPH,), "entity"))
    chain = Resolution(levels, None)
    own: Any = Charge("child", "api", {"rpm": 1, "tph": 1}, [RPM])
    assert [debit.is_stored for debit in debits_of(own, chain)] == [False, True]
    assert [debit.is_stored for debit in debits_of(own._replace(limits=None), chain)] == [True, True]
