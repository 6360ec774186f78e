"""The service's own failures, as answers on the wire: throttled, broken, credentials over; and the circuit breaker."""

from collections.abc import Sequence
from typing import Any

import pytest

from tests.dynamodb.behind_proxy import Open, Shop
from tests.dynamodb.proxy import Fault, Instead
from zae_limiter import RateLimiterUnavailable, RateLimitExceeded
from zae_limiter.testing import TurnableClock

THROTTLED = [
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingException",
]
BROKEN = [
    Instead("InternalServerError", 500),
    Instead("InternalServerError", 500, is_carried_out=True),
    Instead("ServiceUnavailable", 503),
    Instead("ServiceUnavailable", 503, is_carried_out=True),
]
OF_A_KEY = {"ThrottlingReasons": [{"reason": "TableWriteKeyRangeThroughputExceeded", "resource": "arn"}]}
OF_THE_TABLE = {"ThrottlingReasons": [{"reason": "TableWriteMaxOnDemandThroughputExceeded", "resource": "arn"}]}


@pytest.fixture
async def shop(opened: Open, clock: TurnableClock) -> Shop:
    """Its waits turn the clock, and its deadline is by that clock: a busy machine is never late."""
    made = opened(clock=clock, charge_timeout=1.0, connect_timeout=20.0, read_timeout=20.0)
    await made.warm("someone", "another")
    return made


async def failures(shop: Shop, *entities: str) -> list[str]:
    """How charges fail: the kind of the cause."""
    found: list[str] = []
    for entity in entities:
        with pytest.raises(RateLimiterUnavailable) as caught:
            await shop.charge(entity)
        found.append(type(caught.value.cause).__name__)
    return found


@pytest.mark.parametrize("code", THROTTLED)
async def test_a_throttled_charge_is_repeated_while_time_is_left_and_charged_once(shop: Shop, code: str) -> None:
    shop.proxy.next.extend([Instead(code), Instead(code, more=OF_THE_TABLE)])
    await shop.charge()
    assert shop.used() == 2
    assert [each.status for each in shop.proxy.writes()] == [200]


@pytest.mark.parametrize("code", THROTTLED)
async def test_a_credit_that_is_throttled_is_given_when_there_is_room(shop: Shop, code: str) -> None:
    async with shop.limiter.acquire("someone", "api", 5) as lease:
        await lease.release(rpd=2)
        shop.proxy.next.extend([Instead(code)] * 3)
    assert shop.used() == 1 + 3


@pytest.mark.parametrize("code", THROTTLED)
async def test_a_table_that_throttles_past_the_deadline_is_an_outage(shop: Shop, code: str) -> None:
    shop.proxy.always = Instead(code, more=OF_THE_TABLE)
    with pytest.raises(RateLimiterUnavailable, match=f"throttled by AWS.*{code}"):
        await shop.charge()
    assert (await shop.charge(on_unavailable="allow")).degraded
    assert shop.used() == 1


@pytest.mark.parametrize("action", ["block", "allow"])
async def test_a_key_that_is_throttled_past_the_deadline_is_a_refusal_in_both_modes(shop: Shop, action: str) -> None:
    shop.proxy.always = Instead(THROTTLED[0], more=OF_A_KEY)
    for _ in range(3):
        for entity in ("someone", "another"):
            with pytest.raises(RateLimitExceeded) as caught:
                await shop.charge(entity, on_unavailable=action)
            assert 1.0 <= caught.value.retry_after_seconds <= 1.002
    # However long that lasts, the breaker stays closed: whoever floods a key must not switch limiting off for all.
    shop.proxy.heal()
    await shop.charge("another")


@pytest.mark.parametrize("answer", BROKEN)
async def test_a_server_that_fails_once_charges_once(shop: Shop, answer: Instead) -> None:
    shop.proxy.next.extend([answer, answer])
    await shop.charge()
    assert shop.used() == 2


@pytest.mark.parametrize("answer", BROKEN)
async def test_a_server_that_fails_is_asked_three_times_and_then_is_down(shop: Shop, answer: Instead) -> None:
    shop.proxy.always = answer
    arrived = shop.proxy.arrived
    assert await failures(shop, "someone") != []
    assert shop.proxy.arrived - arrived == 3
    # What a failure has carried out stays charged, once; nobody is granted it.
    assert shop.used() == (2 if answer.is_carried_out else 1)


@pytest.mark.parametrize("answer", BROKEN)
async def test_a_credit_whose_answer_is_a_failure_is_not_given_again(shop: Shop, answer: Instead) -> None:
    async with shop.limiter.acquire("someone", "api", 5) as lease:
        await lease.release(rpd=2)
        arrived = shop.proxy.arrived
        shop.proxy.next.extend([answer])
    assert shop.proxy.arrived - arrived == 1
    assert shop.used() == 1 + (3 if answer.is_carried_out else 5)


@pytest.mark.parametrize("code", ["ExpiredTokenException", "ExpiredToken", "UnrecognizedClientException"])
async def test_credentials_that_are_over_are_told_and_not_tried_again(shop: Shop, code: str) -> None:
    shop.proxy.always = Instead(code)
    arrived = shop.proxy.arrived
    with pytest.raises(RateLimiterUnavailable, match="the AWS credentials are"):
        await shop.charge()
    assert shop.proxy.arrived - arrived == 1
    assert (await shop.charge(on_unavailable="allow")).degraded
    shop.proxy.heal()
    await shop.charge()
    assert shop.used() == 2


@pytest.mark.parametrize("code", [*THROTTLED, "InternalServerError"])
async def test_a_batch_that_is_turned_away_whole_is_repeated(shop: Shop, code: str) -> None:
    await shop.limiter.create_entity("parent")
    await shop.limiter.create_entity("child", parent_id="parent", cascade=True)
    # With room for eight such charges both levels travel in one batch.
    await shop.warm("child")
    shop.proxy.next.extend([Instead(code, 500 if code == "InternalServerError" else 400)])
    await shop.charge("child")
    assert (shop.used("child"), shop.used("parent")) == (2, 2)


OUTAGES: Sequence[Any] = [
    "down",
    Fault.CUT_BEFORE,
    Fault.CUT_AFTER,
    Instead("InternalServerError", 500),
    Instead(THROTTLED[2]),
]


@pytest.mark.parametrize("outage", OUTAGES, ids=str)
async def test_the_breaker_opens_in_an_outage_probes_each_second_and_closes_after_it(
    shop: Shop, clock: TurnableClock, outage: Any
) -> None:
    if outage == "down":
        shop.proxy.down()
    else:
        shop.proxy.always = outage
    await failures(shop, "someone", "another", "someone", "another", "someone")
    arrived, begun = shop.proxy.arrived, clock.monotonic_ns()
    for _ in range(20):
        with pytest.raises(RateLimiterUnavailable, match="the store is down; it is asked again every second"):
            await shop.charge("another")
        assert (await shop.charge("someone", on_unavailable="allow")).degraded
    assert shop.proxy.arrived == arrived, "nothing is sent while it is open"
    assert clock.monotonic_ns() == begun, "nobody waits while it is open"
    clock.turn(1.001)
    await failures(shop, "another")
    with pytest.raises(RateLimiterUnavailable, match="asked again every second"):
        await shop.charge("another")
    if outage == "down":
        shop.proxy.up()
    shop.proxy.heal()
    clock.turn(1.001)
    for entity in ("someone", "another", "someone"):
        await shop.charge(entity)


async def test_settles_are_still_tried_while_the_breaker_is_open(shop: Shop) -> None:
    async with shop.limiter.acquire("someone", "api", 5) as lease:
        shop.proxy.always = Fault.CUT_BEFORE
        await failures(shop, "someone", "another", "someone", "another", "someone")
        shop.proxy.heal()
        with pytest.raises(RateLimiterUnavailable, match="asked again every second"):
            await shop.charge("another")
        await lease.release(rpd=2)
    assert shop.used() == 1 + 3
