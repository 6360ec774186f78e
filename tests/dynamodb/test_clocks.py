"""Processes whose clocks are wrong charge by the clock of their table, and tell by their own."""

import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import boto3
import pytest

from tests.conformance.faces import Awaited
from tests.dynamodb.processes import Process, Table, status
from tests.dynamodb.tables import fresh_name
from zae_limiter import Limit, RateLimiter, Repository, SyncRateLimiter, SyncRepository
from zae_limiter.dynamodb.stored import stored_bucket
from zae_limiter.dynamodb.table_clock import TableClock
from zae_limiter.models import Debit, Granted, Refused
from zae_limiter.schema import bucket_key
from zae_limiter.testing import TurnableClock

SECOND = 1_000_000_000
HOUR = 3_600 * SECOND
QUICK = Limit.per_second("rps", 10)
RPM = Limit.per_minute("rpm", 10)
DAILY = Limit.per_day("rpd", 10)


def answer_twice(heard: Callable[[str, int, int], None], now_ns: int, ahead_ns: int) -> None:
    """The table answers at the end of one of its seconds and at the beginning of the next: its clock is known."""
    whole_ns = now_ns // SECOND * SECOND
    second = (whole_ns + ahead_ns) // SECOND
    for date in (second - 1, second):
        heard(formatdate(date, usegmt=True), whole_ns, whole_ns)


def wrong(table: Table, clock: TurnableClock, ahead_ns: int, *, waits: bool = False) -> tuple[Process, TurnableClock]:
    """A process whose clock is ahead of the table's, which it has heard."""
    own, heard = TurnableClock(clock.now_ns() + ahead_ns), TableClock()
    answer_twice(heard.heard, own.now_ns(), -ahead_ns)
    assert heard.offset_ns == -ahead_ns
    return Process(table, own, waits=waits, table_clock=heard), own


@pytest.mark.parametrize("waits", [False, True], ids=["blocking", "async"])
@pytest.mark.parametrize("ahead", [10 * SECOND, -10 * SECOND])
async def test_a_process_whose_clock_is_wrong_shares_buckets_that_fill_in_a_moment(
    table: Table, clock: TurnableClock, ahead: int, *, waits: bool
) -> None:
    right, (other, own) = Process(table, clock), wrong(table, clock, ahead, waits=waits)
    found = [await each.is_granted(QUICK) for _ in range(10) for each in (right, other)]
    assert found == [True] * 10 + [False] * 10
    for each in (clock, own):
        each.turn(1.1)
    assert [await each.is_granted(QUICK, rps=5) for each in (other, right, other)] == [True, True, False]


@pytest.mark.parametrize("ahead", [HOUR, -HOUR])
async def test_what_it_is_told_is_by_its_own_clock(table: Table, clock: TurnableClock, ahead: int) -> None:
    process, own = wrong(table, clock, ahead)
    found = await process.ask(RPM, rpm=3)
    assert isinstance(found, Granted)
    assert found.now_ns == own.now_ns()
    assert status(found, RPM).available == 7
    assert table.stored("someone").image["rpm"].full_at == clock.now_ns() + 18 * SECOND
    for _ in range(2):
        # By the table, then by what is remembered.
        refused = await process.ask(RPM, rpm=8)
        assert isinstance(refused, Refused)
        assert refused.now_ns == own.now_ns()
        assert status(refused, RPM, amount=8).wait_ns == 6 * SECOND


@pytest.mark.parametrize("ahead", [HOUR, -HOUR])
async def test_it_settles_and_carries_over_by_the_clock_of_the_table(
    table: Table, clock: TurnableClock, ahead: int
) -> None:
    process, _ = wrong(table, clock, ahead)
    assert await process.settle(RPM, rpm=3) is None
    assert table.stored("someone").image["rpm"].full_at == clock.now_ns() + 18 * SECOND
    assert await process.settle(RPM, rpm=4) is None
    assert table.stored("someone").image["rpm"].full_at == clock.now_ns() + 42 * SECOND
    assert await process.is_granted(Limit.per_minute("rpm", 20))
    assert table.stored("someone").carried_at == clock.now_ns()


async def test_what_several_levels_give_back_is_by_the_clock_of_the_table(table: Table, clock: TurnableClock) -> None:
    process, _ = wrong(table, clock, HOUR)
    assert await Process(table, clock).is_granted(RPM, entity_id="parent", rpm=10)
    levels = [Debit("child", "api", (RPM,), {"rpm": 2}), Debit("parent", "api", (RPM,), {"rpm": 1}, False)]
    assert isinstance(await process.debit(*levels), Refused)
    assert table.stored("child").image["rpm"].full_at == clock.now_ns()


@pytest.mark.parametrize("face", ["async", "blocking"])
async def test_a_repository_hears_its_table_and_goes_by_it(dynamodb_endpoint: str, face: str) -> None:
    name = fresh_name()
    options: dict[str, Any] = {"endpoint_url": dynamodb_endpoint or None, "timeout": 30.0}
    core: Any
    limiter: Any
    if face == "async":
        core = Repository(name, **options)
        limiter = RateLimiter(core, timeout=30.0)
    else:
        twin = SyncRepository(name, **options)
        core, limiter = twin._core, Awaited(SyncRateLimiter(twin, timeout=30.0))
    await limiter.repository.create_table()
    await limiter.set_system_defaults([DAILY])
    await limiter.repository.open()
    answer_twice(core._client._heard, begun := time.time_ns(), HOUR)
    async with limiter.acquire("someone", "api", 1) as lease:
        assert [each.available for each in lease.statuses] == [9]
    ended = time.time_ns()
    raw = boto3.client("dynamodb", endpoint_url=dynamodb_endpoint or None)
    key = bucket_key(limiter.repository.namespace_id, "someone", "api")
    item = raw.get_item(TableName=name, Key={"PK": {"S": key.pk}, "SK": {"S": key.sk}}, ConsistentRead=True)["Item"]
    raw.close()
    charged_at = stored_bucket(item).image["rpd"].full_at - DAILY.fill_ns // 10
    # The answers of the table itself say otherwise meanwhile.
    answer_twice(core._client._heard, time.time_ns(), HOUR)
    left = await limiter.available("someone", "api")
    await limiter.repository.delete_table()
    await limiter.close()
    assert begun + HOUR <= charged_at <= ended + HOUR
    assert left == {"rpd": 9}
