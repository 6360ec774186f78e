"""Leases on every repository and both faces: what is written when, and what a lease gives back."""

import asyncio
from typing import Any

import pytest

from zae_limiter import Charge, Limit, RateLimitExceeded, ValidationError
from zae_limiter.testing import TurnableClock

RPM, TPM = Limit.per_minute("rpm", 10), Limit.per_minute("tpm", 1_000, unit="tokens")
LIMITS = [RPM, TPM]


def begin(limiter: Any, consume: Any = None, **options: Any) -> Any:
    return limiter.acquire("someone", "api", consume or {"rpm": 1, "tpm": 100}, LIMITS, **options)


async def left(limiter: Any) -> dict[str, int]:
    found: dict[str, int] = await limiter.available("someone", "api", LIMITS)
    return found


async def test_a_charge_is_written_on_entry(limiter: Any) -> None:
    async with begin(limiter):
        assert await left(limiter) == {"rpm": 9, "tpm": 900}


async def test_an_adjust_is_written_at_the_end_and_shown_before(limiter: Any) -> None:
    """Decision 5."""
    async with begin(limiter) as lease:
        await lease.adjust(tpm=50)
        await lease.adjust(tpm=-20)
        assert lease.statuses[1].available == 870
        assert lease.consumed == {"rpm": 1, "tpm": 130}
        assert await left(limiter) == {"rpm": 9, "tpm": 900}
    assert await left(limiter) == {"rpm": 9, "tpm": 870}


async def test_a_release_gives_back_at_the_end(limiter: Any) -> None:
    async with begin(limiter) as lease:
        await lease.release(tpm=60)
    assert await left(limiter) == {"rpm": 9, "tpm": 960}


async def test_no_more_can_be_given_back_than_is_held(limiter: Any) -> None:
    """W3, decision 8."""
    async with begin(limiter) as lease:
        for wrong in (lease.release(tpm=101), lease.adjust(tpm=-101), lease.release(tpm=-1), lease.release(tpm=True)):
            with pytest.raises(ValidationError):
                await wrong
        await lease.release(tpm=100)
        with pytest.raises(ValidationError):
            await lease.release(tpm=1)
    assert await left(limiter) == {"rpm": 9, "tpm": 1_000}


async def test_an_unknown_limit_is_told(limiter: Any) -> None:
    """Decision 8."""
    async with begin(limiter) as lease:
        for call in (lease.adjust, lease.release, lease.consume):
            with pytest.raises(ValidationError):
                await call(nonsense=1)


async def test_an_adjust_of_more_than_a_hundred_years_is_refused(limiter: Any) -> None:
    async with begin(limiter) as lease:
        with pytest.raises(ValidationError, match="100 years"):
            await lease.adjust(tpm=10**14)


async def test_an_adjust_of_one_charge_by_more_than_a_hundred_years_is_refused(limiter: Any) -> None:
    charge = Charge("someone", "api", 1, [RPM])
    async with limiter.acquire_all([charge]) as lease:
        with pytest.raises(ValidationError, match="100 years"):
            await lease.adjust_charge(charge, rpm=10**20)
    assert await limiter.available("someone", "api", [RPM]) == {"rpm": 9}


async def test_a_lease_that_ends_after_its_store_was_closed_spoils_no_finished_work(limiter: Any) -> None:
    async with begin(limiter) as lease:
        await lease.adjust(rpm=1)
        await limiter.close()
    # A table can be asked again without ceremony.
    assert limiter.stats().settle_failed == (0 if limiter.repository.address.startswith("dynamodb:") else 1)
    await limiter.repository.open()

    async def fails() -> None:
        async with begin(limiter):
            await limiter.close()
            raise KeyError

    with pytest.raises(KeyError):
        await fails()
    await limiter.repository.open()


async def test_a_further_charge_is_checked_and_written_at_once(limiter: Any) -> None:
    """W11: two leases never take more than there is."""
    async with begin(limiter) as first, begin(limiter) as second:
        await first.consume(rpm=4)
        assert await left(limiter) == {"rpm": 4, "tpm": 800}
        with pytest.raises(RateLimitExceeded):
            await second.consume(rpm=5, tpm=1)
        assert await left(limiter) == {"rpm": 4, "tpm": 800}
        assert first.consumed == {"rpm": 5, "tpm": 100}
    assert await left(limiter) == {"rpm": 4, "tpm": 800}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, asyncio.CancelledError])
async def test_whatever_ends_the_block_gives_all_back(
    limiter: Any, clock: TurnableClock, error: type[BaseException]
) -> None:
    """W16."""

    async def work() -> None:
        async with begin(limiter) as lease:
            await lease.consume(rpm=3)
            await lease.adjust(tpm=500)
            raise error

    with pytest.raises(error):
        await work()
    # A credit for several debits is less by 1 ns for each beyond the first, so that it never is more than they took.
    clock.turn_ns(1)
    assert await left(limiter) == {"rpm": 10, "tpm": 1_000}


async def test_a_charge_that_is_kept_stays_and_settles(limiter: Any) -> None:
    async def work() -> None:
        async with begin(limiter, on_exception="keep") as lease:
            await lease.adjust(tpm=10)
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - the test's own
        await work()
    assert await left(limiter) == {"rpm": 9, "tpm": 890}


async def test_a_lease_that_has_ended_cannot_be_used(limiter: Any) -> None:
    """Decision 8."""
    async with begin(limiter) as lease:
        pass
    for call in (lease.consume(rpm=1), lease.adjust(rpm=1), lease.release(rpm=1)):
        with pytest.raises(RuntimeError, match="ended"):
            await call
    assert await left(limiter) == {"rpm": 9, "tpm": 900}


async def test_work_may_put_a_bucket_into_debt_which_time_repays(limiter: Any, clock: TurnableClock) -> None:
    async with begin(limiter) as lease:
        await lease.adjust(tpm=1_900)
    assert (await left(limiter))["tpm"] == -1_000
    with pytest.raises(RateLimitExceeded):
        await begin(limiter, {"tpm": 1}).__aenter__()
    clock.turn(60)
    assert (await left(limiter))["tpm"] == 0


async def test_work_is_owed_although_the_bucket_has_gone(limiter: Any) -> None:
    """W10: what was deleted in the middle of a lease comes back whole, or not at all."""
    async with begin(limiter) as lease:
        await lease.adjust(tpm=300, rpm=-1)
        await limiter.reset("someone")
    assert await left(limiter) == {"rpm": 10, "tpm": 700}


async def test_a_credit_creates_no_bucket(limiter: Any) -> None:
    """W10."""
    async with begin(limiter) as lease:
        await lease.release(tpm=100)
        await limiter.reset("someone")
    await limiter.set_system_defaults(LIMITS)
    assert await limiter.repository.get_buckets("someone") == []
    assert await left(limiter) == {"rpm": 10, "tpm": 1_000}


async def test_a_roll_back_of_several_debits_mints_nothing(limiter: Any) -> None:
    limits = [Limit.per_minute("x", 7)]

    async def work() -> None:
        async with limiter.acquire("someone", "api", {"x": 1}, limits) as lease:
            for _ in range(3):
                await lease.consume(x=1)
            raise ValueError

    async with limiter.acquire("someone", "api", {"x": 2}, limits):
        (before,) = await limiter.repository.read([("someone", "api")])
        for _ in range(50):
            with pytest.raises(ValueError):  # noqa: PT011 - the test's own
                await work()
        (after,) = await limiter.repository.read([("someone", "api")])
    assert 0 <= after["x"].full_at - before["x"].full_at <= 50 * 3


async def test_a_limit_that_changed_meanwhile_is_measured_in_the_stored_rate(limiter: Any) -> None:
    await limiter.set_limits("someone", [RPM])
    async with limiter.acquire("someone", "api", {"rpm": 5}) as lease:
        await limiter.set_limits("someone", [Limit.per_minute("rpm", 100)])
        async with limiter.acquire("someone", "api", {"rpm": 1}):
            pass
        await lease.release(rpm=5)
    assert await limiter.available("someone", "api") == {"rpm": 99}


async def test_a_limit_may_be_named_self(limiter: Any) -> None:
    limits = [Limit.per_minute("self", 5)]
    async with limiter.acquire("someone", "api", {"self": 1}, limits) as lease:
        await lease.consume(self=1)
        await lease.adjust(self=1)
    assert await limiter.available("someone", "api", limits) == {"self": 2}
