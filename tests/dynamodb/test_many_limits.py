"""Charges and settles of one bucket by limits of their own: each fits an expression, all of them together do not."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from tests.dynamodb.processes import Process, Table
from zae_limiter import Limit
from zae_limiter.models import MOST_LIMITS, Change, Granted
from zae_limiter.testing import TurnableClock

SETS = [[Limit.per_minute(f"of-{number}-{place}", 10) for place in range(5)] for number in range(20)]


@pytest.fixture
def process(table: Table, clock: TurnableClock) -> Process:
    return Process(table, clock, waits=True)


def one_of_each(limits: Sequence[Limit]) -> dict[str, Any]:
    return {limit.name: 1 for limit in limits}


def most_written(process: Process) -> int:
    """How many limits the largest write named."""
    return max(
        len([name for name in each["ExpressionAttributeNames"] if name[:2] == "#f"]) for each in process.wire.sent
    )


async def test_charges_by_limits_of_their_own_share_a_write_as_far_as_its_expression_goes(
    process: Process, table: Table
) -> None:
    found = await asyncio.gather(*(process.ask(*own, seconds=20, **one_of_each(own)) for own in SETS))
    assert all(isinstance(each, Granted) for each in found)
    assert most_written(process) == MOST_LIMITS
    assert len(table.stored("someone").image) == 100


async def test_what_they_owe_and_give_back_does_so_too(process: Process, table: Table) -> None:
    for own in SETS:
        assert await process.is_granted(*own, **one_of_each(own))
    process.wire.clear()
    changes = [
        Change("someone", "api", tuple(own), {limit.name: sign for limit in own}, {})
        for own, sign in zip(SETS, [1, -1] * 10, strict=True)
    ]
    now_ns, deadline_ns = process.clock.now_ns(), process.deadline_ns(20)
    found = await process.buckets.settle(changes, now_ns=now_ns, deadline_ns=deadline_ns)
    assert found == [None] * 20
    assert most_written(process) == MOST_LIMITS
    item = table.item("someone")
    assert item is not None
    assert {int(item[f"u.{own[0].name}"]["N"]) for own in SETS[::2]} == {2}
    assert {int(item[f"u.{own[0].name}"]["N"]) for own in SETS[1::2]} == {0}
