"""Faults for real: a proxy breaks the connection to the table, and what admission promises holds on both faces."""

import itertools
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import pytest

from tests.dynamodb.behind_proxy import TEN, Open, Shop, is_ours
from tests.dynamodb.proxy import CARRIED_OUT, SILENT, Fault, Served
from tests.patience import PATIENCE
from zae_limiter import Limit, RateLimiterUnavailable
from zae_limiter.testing import TurnableClock

CUTS = [fault for fault in Fault if fault not in SILENT]
FAULTS = pytest.mark.parametrize("faults", [CUTS, sorted(SILENT, key=str)], ids=["ends", "silence"])


def patience(faults: Sequence[Fault]) -> dict[str, Any]:
    """Time-outs of one try: short where only they end a fault, else so long that a busy machine never meets them.

    Deadlines are by a clock that only waits turn.
    """
    silence = 1.0 if faults[0] in SILENT else PATIENCE
    return {"connect_timeout": PATIENCE, "read_timeout": silence, "clock": TurnableClock()}


def added(served: Served) -> list[int]:
    """What an `UpdateItem` adds to its counters, below 0 for a credit."""
    values: Mapping[str, Mapping[str, str]] = served.asked.get("ExpressionAttributeValues", {})
    return sorted(int(value["N"]) for name, value in values.items() if name.startswith(":u"))


def mark(served: Served) -> str:
    found: str = served.asked["ExpressionAttributeValues"][":w"]["S"]
    return found


def written(shop: Shop) -> list[list[int]]:
    return [added(each) for each in shop.proxy.writes() if each.status == 200]


@FAULTS
async def test_a_charge_that_meets_a_fault_is_granted_and_charged_once(opened: Open, faults: Sequence[Fault]) -> None:
    shop = opened(**patience(faults))
    found: dict[Fault, Any] = {}
    for fault in faults:
        await shop.warm(fault.name)
        shop.proxy.next.append(fault)
        await shop.charge(fault.name, 3)
        writes = shop.proxy.writes()
        found[fault] = shop.used(fault.name), [each.status for each in writes], len({mark(each) for each in writes})
    # The repeat is recognised by its mark: its condition fails, and the image that comes back shows it.
    assert found == {fault: (1 + 3, [200, 400] if fault in CARRIED_OUT else [200], 1) for fault in faults}


@FAULTS
async def test_a_credit_that_meets_a_fault_is_never_given_twice(
    opened: Open, faults: Sequence[Fault], caplog: pytest.LogCaptureFixture
) -> None:
    shop = opened(**patience(faults))
    found: dict[Fault, Any] = {}
    for fault in faults:
        await shop.warm(fault.name)
        async with shop.limiter.acquire(fault.name, "api", 5) as lease:
            await lease.release(rpd=3)
            shop.proxy.next.append(fault)
        found[fault] = written(shop)[1:], shop.used(fault.name)
    assert found == {fault: ([[-3]], 3) if fault in CARRIED_OUT else ([], 6) for fault in faults}
    assert caplog.text.count("settle lost") == len(faults)


@FAULTS
async def test_a_roll_back_of_several_buckets_gives_each_back_once_at_most(
    opened: Open, faults: Sequence[Fault]
) -> None:
    shop = opened(**patience(faults))
    found: dict[Fault, Any] = {}
    for fault in faults:
        shop.adopt(fault.name, f"parent-of-{fault.name}")
        await shop.warm(fault.name)
        with pytest.raises(KeyError, match="the work failed"):
            await shop.fail(fault.name, before=partial(shop.proxy.next.extend, [fault, fault]))
        shop.proxy.next.clear()
        found[fault] = shop.used(fault.name), shop.used(f"parent-of-{fault.name}")
    assert found == {fault: (1, 1) if fault in CARRIED_OUT else (2, 2) for fault in faults}


@FAULTS
async def test_of_a_settle_with_both_signs_only_what_it_takes_is_repeated(
    opened: Open, faults: Sequence[Fault]
) -> None:
    shop = opened(**patience(faults))
    found: dict[Fault, Any] = {}
    for fault in faults:
        await shop.warm(fault.name, limits=(TEN, Limit.per_day("other", 100)))
        async with shop.limiter.acquire(fault.name, "api", {"rpd": 5, "other": 5}) as lease:
            await lease.adjust(rpd=-2, other=7)
            shop.proxy.next.append(fault)
        found[fault] = written(shop)[1:], shop.used(fault.name)
    assert found == {fault: ([[-2, 7]], 4) if fault in CARRIED_OUT else ([[7]], 6) for fault in faults}


async def test_no_fault_lets_more_in_than_the_burst(opened: Open) -> None:
    shop = opened(**patience(CUTS))
    await shop.warm("someone")
    shop.proxy.next.extend(itertools.islice(itertools.cycle([*CUTS, None]), 60))
    found = await shop.many(["someone"] * 60)
    granted = sum(not isinstance(each, Exception) for each in found)
    assert all(is_ours(each) for each in found if isinstance(each, Exception))
    shop.proxy.heal()
    found = await shop.many(["someone"] * 20)
    granted += sum(not isinstance(each, Exception) for each in found)
    # What nobody was granted may have been charged all the same; never the other way round.
    assert 1 + granted <= shop.used() == 10


async def test_no_fault_lets_more_into_any_of_several_buckets_that_travel_together(opened: Open) -> None:
    names = [f"user-{number}" for number in range(8)]
    shop = opened(**patience(CUTS))
    await shop.warm(*names)
    shop.proxy.next.extend(itertools.islice(itertools.cycle([*CUTS, None, None]), 60))
    asked = names * 14
    found = await shop.many(asked)
    shop.proxy.heal()
    assert "BatchExecuteStatement" in {each.operation for each in shop.proxy.served}
    assert all(is_ours(each) for each in found if isinstance(each, Exception))
    for name in names:
        granted = [each for who, each in zip(asked, found, strict=True) if who == name]
        assert sum(not isinstance(each, Exception) for each in granted) + 1 <= shop.used(name) <= 10


DEADLINE: Final = 0.5
_FOR_AN_OUTAGE: Final = {"timeout": DEADLINE, "charge_timeout": DEADLINE}


async def blocked_and_let_pass(shop: Shop, entity: str) -> list[bool]:
    """Whether a charge is refused, and another let pass, each in time."""
    shop.renew()
    begun = time.monotonic()
    with pytest.raises(RateLimiterUnavailable):
        await shop.charge(entity, on_unavailable="block", limits=[TEN])
    blocked = time.monotonic()
    lease = await shop.charge(entity, on_unavailable="allow", limits=[TEN])
    passed = time.monotonic()
    return [lease.degraded, blocked - begun < 5 * DEADLINE, passed - blocked < 5 * DEADLINE]


@FAULTS
async def test_an_outage_blocks_or_lets_pass_within_five_times_the_deadline(
    opened: Open, faults: Sequence[Fault]
) -> None:
    shop = opened(**_FOR_AN_OUTAGE)
    await shop.warm_in_peace("someone")
    found: dict[Fault, Any] = {}
    for fault in faults:
        shop.proxy.always = fault
        found[fault] = await blocked_and_let_pass(shop, "someone")
        shop.proxy.heal()
    assert found == {fault: [True, True, True] for fault in faults}


@pytest.mark.parametrize("fault", [Fault.CUT_BEFORE, Fault.BLACKHOLE_BEFORE, Fault.STALL_ANSWER])
async def test_so_does_one_that_begins_with_the_configuration(opened: Open, fault: Fault) -> None:
    shop = opened(**_FOR_AN_OUTAGE)
    await shop.warm_in_peace("someone")
    shop.proxy.spares_reads, shop.proxy.always = False, fault
    assert await blocked_and_let_pass(shop, "another") == [True, True, True]


async def test_so_does_a_server_that_is_not_there(opened: Open) -> None:
    shop = opened(**_FOR_AN_OUTAGE)
    await shop.warm_in_peace("someone")
    shop.proxy.down()
    assert await blocked_and_let_pass(shop, "someone") == [True, True, True]
    shop.proxy.up()
    await shop.charge("someone", timeout=30.0)
