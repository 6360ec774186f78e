"""When a changed limit is in force in a process that did not change it."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.conftest import opened
from tests.dynamodb.losing import put_in_front
from zae_limiter import Limit, RateLimiterUnavailable, RateLimitExceeded, SyncRepository, ValidationError
from zae_limiter.aws_errors import UnknownOutcome
from zae_limiter.testing import TurnableClock


@pytest.fixture(params=["dynamodb", "dynamodb, blocking"])
async def two(request: pytest.FixtureRequest, clock: TurnableClock, tmp_path: Path) -> AsyncIterator[tuple[Any, Any]]:
    async with opened(request, clock, tmp_path, 2) as (first, second):
        yield first, second


async def take(limiter: Any, amount: int = 1) -> None:
    async with limiter.acquire("someone", "api", amount):
        pass


async def test_it_is_in_force_as_soon_as_anybody_has_carried_the_bucket_over(two: tuple[Any, Any]) -> None:
    """W19, decision 9."""
    first, second = two
    await first.set_system_defaults("50/minute")
    await take(second, 2)
    await first.set_system_defaults("3/minute")
    await take(first)
    with pytest.raises(RateLimitExceeded) as caught:
        await take(second, 3)
    assert caught.value.violations[0].limit.capacity == 3


async def test_else_it_is_within_the_lifetime_of_the_cache(two: tuple[Any, Any], clock: TurnableClock) -> None:
    """W19, decision 9: limits, a burst raised, a parent set, the first limits at all."""
    first, second = two
    with pytest.raises(ValidationError):
        await take(second)
    await first.set_system_defaults("5/minute")
    clock.turn(60)
    await take(second, 5)
    await first.set_system_defaults("50/minute")
    with pytest.raises(RateLimitExceeded):
        await take(second, 6)
    clock.turn(60)
    await take(second, 40)
    await first.create_entity("someone", parent_id="parent", cascade=True)
    clock.turn(60)
    await take(second, 3)
    assert await first.available("parent", "api") == {"rpm": 47}


async def test_it_is_in_force_at_once_in_the_process_that_made_it(two: tuple[Any, Any]) -> None:
    """Decision 9."""
    first, _ = two
    await first.set_system_defaults("5/minute")
    await take(first, 5)
    await first.set_limits("someone", "50/minute", "api")
    await take(first, 40)
    await first.delete_limits("someone", "api")
    with pytest.raises(RateLimitExceeded):
        await take(first, 1)


class Unanswered:
    """A client's port whose changes are carried out, and never answered."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def once(self, operation: str, parameters: Mapping[str, Any], *, seconds: float) -> Any:
        return await self._client.once(operation, parameters, seconds=seconds)

    async def call(self, operation: str, parameters: Mapping[str, Any], *, deadline_ns: int) -> Any:
        found = await self._client.call(operation, parameters, deadline_ns=deadline_ns)
        if operation == "TransactWriteItems":
            raise UnknownOutcome("the answer was lost, as the test wanted", stack_name="table")
        return found

    async def close(self) -> None:
        await self._client.close()


def test_a_change_that_was_made_though_its_answer_was_lost_is_in_force_at_once(shaky: SyncRepository) -> None:
    shaky.set_system_defaults([Limit.per_minute("rpm", 5)])
    shaky.resolve("someone", "api")
    client = shaky._core._client
    put_in_front(shaky._core, Unanswered(client))
    with pytest.raises(RateLimiterUnavailable):
        shaky.set_system_defaults([Limit.per_minute("rpm", 3)])
    assert shaky.resolve("someone", "api").chain[0].limits[0].capacity == 3
    put_in_front(shaky._core, client)
