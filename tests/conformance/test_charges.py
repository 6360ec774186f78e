"""Charges on every repository and both faces: what is granted, refused, and what callers get wrong."""

import enum
import math
from typing import Any

import pytest

from zae_limiter import Charge, Limit, RateLimitExceeded, ValidationError
from zae_limiter.testing import TurnableClock

RPM, TPM = Limit.per_minute("rpm", 10), Limit.per_minute("tpm", 1_000, unit="tokens")


async def take(limiter: Any, consume: Any = 1, **options: Any) -> Any:
    async with limiter.acquire(
        options.pop("entity_id", "someone"), options.pop("resource", "api"), consume, **options
    ) as lease:
        return lease.statuses


async def is_granted(limiter: Any, consume: Any = 1, **options: Any) -> bool:
    try:
        await take(limiter, consume, **options)
    except RateLimitExceeded:
        return False
    return True


async def test_exactly_the_burst_is_granted_at_one_instant_and_then_at_the_rate(
    limiter: Any, clock: TurnableClock
) -> None:
    assert sum([await is_granted(limiter, limits="10/minute") for _ in range(30)]) == 10
    clock.turn(12)
    assert sum([await is_granted(limiter, limits="10/minute") for _ in range(30)]) == 2


async def test_a_bucket_that_was_idle_holds_its_burst_and_no_more(limiter: Any, clock: TurnableClock) -> None:
    await take(limiter, limits="10/minute")
    clock.turn(3_600)
    assert sum([await is_granted(limiter, limits="10/minute") for _ in range(30)]) == 10


async def test_limits_given_with_a_charge_are_in_force_with_and_without_a_bucket(limiter: Any) -> None:
    """W1."""
    await limiter.set_system_defaults("1000/minute")
    await take(limiter)
    # The charge before has left a little less than ten.
    for entity_id, number in (("someone", 9), ("another", 10)):
        granted = [await is_granted(limiter, limits="10/minute", entity_id=entity_id) for _ in range(50)]
        assert sum(granted) == number


async def test_an_unknown_limit_is_told_and_nothing_is_written(limiter: Any) -> None:
    """W2."""
    await limiter.set_system_defaults([RPM, TPM])
    with pytest.raises(ValidationError, match="rpm, tpm"):
        await take(limiter, {"rpm": 1, "rmp": 1})
    assert await limiter.available("someone", "api") == {"rpm": 10, "tpm": 1_000}
    assert await limiter.repository.get_buckets("someone") == []


@pytest.mark.parametrize("amount", [-1, True, 1.0, "1", None])
async def test_an_amount_that_is_none_is_refused(limiter: Any, amount: Any) -> None:
    """W3."""
    for consume in (amount, {"rpm": amount}):
        with pytest.raises(ValidationError):
            await take(limiter, consume, limits=[RPM])
    assert await limiter.available("someone", "api", [RPM]) == {"rpm": 10}


async def test_a_limit_added_to_a_live_bucket_starts_full(limiter: Any) -> None:
    """W4."""
    await limiter.set_limits("someone", [RPM])
    await take(limiter, {"rpm": 10})
    await limiter.set_limits("someone", [RPM, Limit.per_day("rpd", 3)])
    assert await limiter.available("someone", "api") == {"rpm": 0, "rpd": 3}
    assert await is_granted(limiter, {"rpd": 3})
    assert not await is_granted(limiter, {"rpd": 1})


async def test_a_slow_limit_comes_back_beside_a_fast_one(limiter: Any, clock: TurnableClock) -> None:
    """W6."""
    limits = [Limit.per_day("slow", 10), Limit.per_second("fast", 1)]
    await take(limiter, {"slow": 10}, limits=limits)
    for _ in range(96):
        clock.turn(90)
        await take(limiter, {"fast": 1}, limits=limits)
    assert (await limiter.available("someone", "api", limits))["slow"] == 1


async def test_names_that_a_store_uses_itself_can_be_used(limiter: Any) -> None:
    """W5, W26."""
    limits = [Limit.per_minute(name, 2) for name in ("my-limit", "a.b", "ttl", "full_at", "select")]
    for resource in ("PK", "bucket", "openai/gpt-4"):
        await take(limiter, 2, limits=limits, resource=resource)
        with pytest.raises(RateLimitExceeded) as refused:
            await take(limiter, 1, limits=limits, resource=resource)
        assert len(refused.value.violations) == 5


async def test_a_changed_default_is_in_force_on_a_live_bucket_at_the_next_charge(limiter: Any) -> None:
    """W19, decision 9."""
    await limiter.set_resource_defaults("api", "5/minute")
    await take(limiter, 5)
    assert not await is_granted(limiter)
    await limiter.set_resource_defaults("api", "500/minute")
    assert await limiter.available("someone", "api") == {"rpm": 495}
    assert await is_granted(limiter, 495)
    assert not await is_granted(limiter)


async def test_a_refusal_tells_every_limit_as_it_stood_and_the_wait(limiter: Any, clock: TurnableClock) -> None:
    """W18."""
    await take(limiter, {"rpm": 9, "tpm": 10}, limits=[RPM, TPM])
    with pytest.raises(RateLimitExceeded) as caught:
        await take(limiter, {"rpm": 2, "tpm": 10}, limits=[RPM, TPM])
    rpm, tpm = caught.value.statuses
    assert (rpm.available, rpm.exceeded, rpm.wait_ns, rpm.deficit) == (1, True, 6_000_000_000, 1)
    assert (tpm.available, tpm.exceeded, tpm.requested) == (990, False, 10)
    assert await limiter.time_until_available("someone", "api", {"rpm": 2}, [RPM, TPM]) == 6.001
    clock.turn_ns(5_999_999_999)
    assert not await is_granted(limiter, {"rpm": 2, "tpm": 10}, limits=[RPM, TPM])
    clock.turn_ns(1)
    assert await is_granted(limiter, {"rpm": 2, "tpm": 10}, limits=[RPM, TPM])


async def test_more_than_the_burst_is_never_granted_and_no_wait_is_promised(limiter: Any) -> None:
    """W27, decision 4."""
    with pytest.raises(RateLimitExceeded) as caught:
        await take(limiter, 11, limits=[RPM])
    assert not caught.value.retryable
    assert caught.value.retry_after_header is None
    assert await limiter.time_until_available("someone", "api", {"rpm": 11}, [RPM]) == math.inf
    assert await limiter.repository.get_buckets("someone") == []


async def test_an_int_is_taken_of_limits_that_count_requests(limiter: Any) -> None:
    """Decision 1."""
    statuses = await take(limiter, 3, limits=[RPM, TPM])
    assert [(status.limit_name, status.available) for status in statuses] == [("rpm", 7), ("tpm", 1_000)]


async def test_zero_tokens_ask_for_room(limiter: Any, clock: TurnableClock) -> None:
    async with limiter.acquire("someone", "api", {"tpm": 0}, limits=[TPM]) as lease:
        await lease.adjust(tpm=1_100)
    assert not await is_granted(limiter, {"tpm": 0}, limits=[TPM])
    clock.turn(6)
    assert await is_granted(limiter, {"tpm": 0}, limits=[TPM])


async def test_empty_limits_limit_nothing_and_check_no_names(limiter: Any) -> None:
    """Decision 6."""
    async with limiter.acquire("a b#", "\n", {"x": 5}, limits=[]) as lease:
        assert lease.statuses == []


async def test_an_empty_charge_takes_nothing(limiter: Any) -> None:
    """Decision 6."""
    async with limiter.acquire("someone", "api", {}) as lease:
        assert lease.statuses == []
    assert await limiter.repository.get_buckets("someone") == []


async def test_no_limits_at_any_level_are_told(limiter: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        await take(limiter)
    assert caught.value.field == "limits"


@pytest.mark.parametrize("wrong", ["a\n", "a#b", "", "a\0", "a" * 300])
async def test_a_wrong_name_is_refused_at_every_entry(limiter: Any, wrong: str) -> None:
    """W25."""
    calls = [
        take(limiter, entity_id=wrong, limits=[RPM]),
        take(limiter, resource=wrong, limits=[RPM]),
        limiter.available(wrong, "api", [RPM]),
        limiter.available("someone", wrong, [RPM]),
        limiter.time_until_available(wrong, "api", {"rpm": 1}, [RPM]),
        limiter.set_limits(wrong, [RPM]),
        limiter.set_limits("someone", [RPM], wrong),
        limiter.get_limits(wrong),
        limiter.delete_limits(wrong),
        limiter.set_resource_defaults(wrong, [RPM]),
        limiter.get_resource_defaults(wrong),
        limiter.create_entity(wrong),
        limiter.delete_entity(wrong),
        limiter.reset(wrong),
        limiter.repository.get_buckets(wrong),
        limiter.repository.register_namespace(wrong),
    ]
    for call in calls:
        with pytest.raises(ValidationError):
            await call


async def test_a_wrong_principal_changes_nothing(limiter: Any) -> None:
    """W25: it is checked before the change."""
    with pytest.raises(ValidationError):
        await limiter.create_entity("someone", principal="a\n")
    assert await limiter.get_entity("someone") is None
    with pytest.raises(ValidationError):
        await limiter.set_limits("someone", [RPM], principal="a\n")
    assert await limiter.get_limits("someone") == []


async def test_several_charges_are_all_granted_or_none(limiter: Any) -> None:
    """Decision 2."""
    charges = [Charge("someone", "api", 6, [RPM]), Charge("someone", "mail", 6, [RPM])]
    async with limiter.acquire_all(charges) as lease:
        assert [(status.resource, status.available) for status in lease.statuses] == [("api", 4), ("mail", 4)]
    await take(limiter, 2, limits=[RPM], resource="mail")
    with pytest.raises(RateLimitExceeded) as caught:
        async with limiter.acquire_all([Charge("someone", "api", 3, [RPM]), Charge("someone", "mail", 3, [RPM])]):
            pass
    assert [status.resource for status in caught.value.violations] == ["mail"]
    assert await limiter.available("someone", "api", [RPM]) == {"rpm": 4}


async def test_charges_that_meet_in_one_bucket_are_added(limiter: Any) -> None:
    both = [Charge("someone", "api", 6, [RPM]), Charge("someone", "api", 6, [RPM])]
    with pytest.raises(RateLimitExceeded):
        await limiter.acquire_all(both).__aenter__()
    async with limiter.acquire_all([both[0], both[0]._replace(consume=4)]):
        pass
    assert await limiter.available("someone", "api", [RPM]) == {"rpm": 0}


async def test_charges_from_an_iterator_are_all_charged(limiter: Any) -> None:
    async with limiter.acquire_all(Charge("someone", resource, 6, [RPM]) for resource in ("api", "mail")):
        assert await limiter.available("someone", "api", [RPM]) == {"rpm": 4}
    with pytest.raises(RateLimitExceeded):
        await limiter.acquire_all(iter([Charge("someone", "mail", 6, [RPM])])).__aenter__()


class Named(str, enum.Enum):  # noqa: UP042 - whose format is not its value, other than that of a StrEnum
    SOMEONE = "someone"
    API = "api"


async def test_a_member_of_an_enum_that_is_a_text_is_that_text(limiter: Any) -> None:
    await limiter.set_resource_defaults(Named.API, [RPM])
    await take(limiter, 4)
    async with limiter.acquire_all([Charge(Named.SOMEONE, Named.API, 1), Charge("other", Named.API, 1)]) as lease:
        assert [status.available for status in lease.statuses] == [5, 9]
    assert await limiter.available("someone", "api") == {"rpm": 5}
    assert len(await limiter.get_audit_events("$RESOURCE:api")) == 1


async def test_a_charge_waits_for_room_and_never_past_its_time(limiter: Any, clock: TurnableClock) -> None:
    """Decision 3."""
    await take(limiter, 10, limits=[RPM])
    before = clock.monotonic_ns()
    await take(limiter, limits=[RPM], max_wait=30)
    waited = clock.monotonic_ns() - before
    assert 6_000_000_000 <= waited <= 30_000_000_000
    await take(limiter, (await limiter.available("someone", "api", [RPM]))["rpm"], limits=[RPM])
    before = clock.monotonic_ns()
    with pytest.raises(RateLimitExceeded):
        await take(limiter, 5, limits=[RPM], max_wait=10)
    assert clock.monotonic_ns() == before


async def test_a_reset_bucket_is_full(limiter: Any) -> None:
    """Decision 7."""
    await limiter.set_system_defaults([RPM])
    await take(limiter, 10)
    await take(limiter, 10, resource="mail")
    await limiter.reset("someone", "api")
    assert await limiter.available("someone", "api") == {"rpm": 10}
    assert await limiter.available("someone", "mail") == {"rpm": 0}


async def test_a_clock_that_steps_back_grants_nothing_extra(limiter: Any, clock: TurnableClock) -> None:
    """W47: the clock is a port."""
    await take(limiter, 10, limits=[RPM])
    clock.step(-3_600)
    assert not await is_granted(limiter, limits=[RPM])
    clock.step(3_600 + 6)
    assert await is_granted(limiter, limits=[RPM])
    assert not await is_granted(limiter, limits=[RPM])


async def test_two_rates_in_turn_mint_nothing(limiter: Any, clock: TurnableClock) -> None:
    granted = 0
    for step in range(200):
        clock.turn_ns(50_000_000)
        granted += await is_granted(limiter, limits=("10/minute", "20/minute")[step % 2])
    assert granted <= 20 + 20 * 10 / 60 + 1


async def test_a_limit_that_callers_drop_in_turn_does_not_come_back_full(limiter: Any) -> None:
    rpd = Limit.per_day("rpd", 3)
    for _ in range(3):
        await take(limiter, {"rpd": 1}, limits=[RPM, rpd])
        await take(limiter, {"rpm": 1}, limits=[RPM])
    assert not await is_granted(limiter, {"rpd": 1}, limits=[RPM, rpd])


async def test_a_bucket_keeps_its_tokens_when_its_rate_changes_and_the_charge_fits(limiter: Any) -> None:
    await take(limiter, 50, limits=[Limit.per_minute("rpm", 100)])
    slower = [Limit.custom("rpm", 100, 10, 60)]
    await take(limiter, 1, limits=slower)
    assert await limiter.available("someone", "api", slower) == {"rpm": 49}


async def test_a_lowered_limit_locks_nobody_out_when_others_are_charged(limiter: Any) -> None:
    requests = Limit.per_minute("rpm", 100)
    await take(limiter, {"tpm": 600}, limits=[requests, Limit.per_minute("tpm", 600)])
    lowered = [requests, Limit.per_day("tpm", 6)]
    await take(limiter, {"rpm": 1}, limits=lowered)
    # 595 tokens come back at ten a second, not at six a day.
    assert await limiter.time_until_available("someone", "api", {"tpm": 1}, lowered) == pytest.approx(59.5, abs=0.01)
