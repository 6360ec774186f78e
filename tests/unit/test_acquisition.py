"""What a limiter remembers of charges, and the lease that is the current one."""

import asyncio
from typing import Any

import pytest

from zae_limiter import RateLimiter, ValidationError, current_lease
from zae_limiter.testing import memory_limiter, sync_memory_limiter

LIMITS = "10/minute"


def begin(limiter: RateLimiter, entity_id: str = "someone", consume: Any = 1, limits: Any = LIMITS) -> Any:
    return limiter.acquire(entity_id, "api", consume, limits)


async def test_a_bool_is_no_amount_although_it_equals_one_that_was_charged() -> None:
    limiter = memory_limiter()
    async with begin(limiter):
        pass
    with pytest.raises(ValidationError):
        await begin(limiter, consume=True).__aenter__()


@pytest.mark.parametrize("later", [-100, True, 0.5])
async def test_amounts_that_become_wrong_while_a_charge_waits_are_refused(later: Any) -> None:
    limiter = memory_limiter()
    amounts: dict[str, Any] = {"rpm": 10}
    async with begin(limiter, consume=amounts):
        pass
    asyncio.get_running_loop().call_soon(amounts.update, {"rpm": later})
    with pytest.raises(ValidationError):
        await limiter.acquire("someone", "api", amounts, LIMITS, max_wait=100).__aenter__()


async def test_what_is_remembered_of_charges_is_bounded() -> None:
    limiter = memory_limiter()
    for number in range(10_050):
        async with begin(limiter, f"user-{number}"):
            pass
    assert len(limiter._acquirer._made) <= 10_000
    assert len(limiter._acquirer._names) <= 10_000
    assert await limiter.available("user-0", "api", LIMITS) == {"rpm": 9}


async def test_the_current_lease_is_that_of_the_innermost_block() -> None:
    limiter = memory_limiter()
    async with begin(limiter) as outer:
        async with begin(limiter) as inner:
            assert current_lease() is inner
        assert current_lease() is outer
    with pytest.raises(RuntimeError, match="no lease is open"):
        current_lease()


async def test_blocks_that_end_in_the_order_they_began_leave_no_ended_lease_as_the_current_one() -> None:
    limiter = memory_limiter()
    first, second = begin(limiter), begin(limiter)
    await first.__aenter__()
    lease = await second.__aenter__()
    await first.__aexit__(None, None, None)
    assert current_lease() is lease
    await second.__aexit__(None, None, None)
    with pytest.raises(RuntimeError, match="no lease is open"):
        current_lease()


async def test_a_block_that_ends_in_another_context_is_not_the_current_one_any_more() -> None:
    limiter = memory_limiter()
    block = begin(limiter)

    async def entered() -> None:
        await block.__aenter__()

    await asyncio.create_task(entered())
    await block.__aexit__(None, None, None)
    with pytest.raises(RuntimeError, match="no lease is open"):
        current_lease()


async def test_a_block_that_was_not_entered_cannot_end() -> None:
    with pytest.raises(RuntimeError, match="was not entered"):
        await begin(memory_limiter()).__aexit__(None, None, None)


def test_the_blocking_face_has_a_current_lease_too() -> None:
    with sync_memory_limiter() as limiter:
        with limiter.acquire("someone", "api", 1, LIMITS) as lease:
            assert current_lease().statuses == lease.statuses
        with pytest.raises(RuntimeError, match="no lease is open"):
            current_lease()


async def test_the_asynchronous_block_says_how_it_is_entered() -> None:
    limiter = memory_limiter()
    with pytest.raises(TypeError, match="use 'async with"), begin(limiter):
        raise AssertionError
    with pytest.raises(TypeError, match="use 'async with"):
        await begin(limiter)
    assert await limiter.available("someone", "api", LIMITS) == {"rpm": 10}


async def test_the_blocking_block_says_how_it_is_entered() -> None:
    limiter = sync_memory_limiter()
    block: Any = limiter.acquire("someone", "api", 1, LIMITS)
    with pytest.raises(TypeError, match="use 'with"):
        async with block:
            raise AssertionError
    with pytest.raises(TypeError, match="use 'with"):
        await block
    assert limiter.available("someone", "api", LIMITS) == {"rpm": 10}
