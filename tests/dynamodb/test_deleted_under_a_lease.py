"""An entity that is deleted while a lease of it is open: no stub is left, and nobody is locked out."""

from typing import Any

import pytest

from tests.patience import PatientRuntime
from zae_limiter import Limit, RateLimiter, RateLimitExceeded
from zae_limiter.testing import TurnableClock

RPM, TPH = Limit.per_minute("rpm", 10), Limit.per_hour("tph", 70, unit="tokens")


@pytest.fixture
async def limiter(repository: Any, clock: TurnableClock) -> RateLimiter:
    made = RateLimiter(repository, clock=clock, runtime=PatientRuntime(clock), timeout=30.0)
    await made.set_system_defaults([RPM, TPH])
    await made.create_entity("parent")
    await made.create_entity("user", parent_id="parent", cascade=True)
    return made


async def used(limiter: RateLimiter, entity_id: str) -> dict[str, int]:
    found = await limiter.available(entity_id, "api", limits=None)
    return {limit.name: limit.burst - found[limit.name] for limit in (RPM, TPH)}


async def test_what_it_gives_back_leaves_nothing_and_reaches_its_parent(limiter: RateLimiter) -> None:
    async with limiter.acquire("user", "api", {"rpm": 5, "tph": 20}) as lease:
        await limiter.delete_entity("user")
        await lease.release(rpm=5, tph=20)
    assert await limiter.repository.get_buckets("user") == []
    assert await used(limiter, "parent") == {"rpm": 0, "tph": 0}


async def test_a_roll_back_leaves_nothing_either(limiter: RateLimiter) -> None:
    block = limiter.acquire("user", "api", {"rpm": 5, "tph": 20})
    await block.__aenter__()
    await limiter.delete_entity("user")
    await block.__aexit__(ZeroDivisionError, ZeroDivisionError(), None)
    assert await limiter.repository.get_buckets("user") == []
    assert await used(limiter, "parent") == {"rpm": 0, "tph": 0}


async def test_work_that_was_done_is_owed_whole_and_in_time_paid(limiter: RateLimiter, clock: TurnableClock) -> None:
    async with limiter.acquire("user", "api", {"rpm": 1, "tph": 20}) as lease:
        await limiter.delete_entity("user")
        await lease.adjust(tph=60)
    assert await used(limiter, "user") == {"rpm": 0, "tph": 60}
    # What stands there is a bucket with everything that a charge needs, not a stub of it.
    async with limiter.acquire("user", "api", {"rpm": 10, "tph": 10}):
        pass
    with pytest.raises(RateLimitExceeded):
        await limiter.acquire("user", "api", {"rpm": 1}).__aenter__()
    clock.turn(3_600)
    async with limiter.acquire("user", "api", {"rpm": 10, "tph": 70}):
        pass
    await limiter.delete_entity("user")
    assert await limiter.repository.get_buckets("user") == []


async def test_a_further_debit_of_the_lease_charges_it_anew(limiter: RateLimiter, clock: TurnableClock) -> None:
    async with limiter.acquire("user", "api", {"rpm": 5, "tph": 20}) as lease:
        await limiter.delete_entity("user")
        await lease.consume(rpm=4)
        await lease.release(rpm=1)
    # What gives back of two debits is a nanosecond short.
    clock.turn_ns(1)
    assert (await used(limiter, "user"))["rpm"] == 3
    assert (await used(limiter, "parent"))["rpm"] == 8


async def test_what_another_process_remembers_of_it_writes_no_stub(
    limiter: RateLimiter, repository: Any, clock: TurnableClock
) -> None:
    other = RateLimiter(await repository.namespace("default"), clock=clock, runtime=PatientRuntime(clock), timeout=30.0)
    async with other.acquire("user", "api", {"rpm": 5, "tph": 20}):
        pass
    await limiter.delete_entity("user")
    async with other.acquire("user", "api", {"rpm": 5, "tph": 20}):
        pass
    assert await used(limiter, "user") == {"rpm": 5, "tph": 20}
    assert len(await limiter.repository.get_buckets("user")) == 2
