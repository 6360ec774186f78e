"""What a process asks before its first charges: where the namespace was known once, it is looked up with the limits."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.dynamodb.tables import fresh_name
from tests.dynamodb.test_cost import Bill, billed
from tests.patience import PatientRuntime
from zae_limiter import (
    IncompatibleSchemaError,
    Limit,
    NamespaceNotFoundError,
    RateLimiter,
    Repository,
    SyncRepository,
)
from zae_limiter.schema import SCHEMA_VERSION
from zae_limiter.testing import TurnableClock

RPM = Limit.per_minute("rpm", 10)


@pytest.fixture
def setup(dynamodb_endpoint: str) -> Any:
    made = SyncRepository(fresh_name(), timeout=20.0)
    made.create_table()
    made.set_system_defaults([RPM])
    made.register_namespace("tenant")
    yield made
    made.delete_table()
    made.close()


@pytest.fixture
async def limiter(setup: SyncRepository, clock: TurnableClock) -> AsyncIterator[RateLimiter]:
    """A limiter over a repository that nobody has opened."""
    runtime = PatientRuntime(clock)
    repository = Repository(setup.table_name, clock=clock, runtime=runtime, timeout=20.0)
    made = RateLimiter(repository, clock=clock, runtime=runtime, timeout=20.0)
    yield made
    await made.close()


@pytest.fixture
def bill(limiter: RateLimiter) -> Bill:
    return billed(limiter.repository)


async def calls_of_a_charge(limiter: RateLimiter, bill: Bill) -> list[str]:
    bill.reset()
    async with limiter.acquire("someone", "api", 1):
        pass
    return bill.calls


async def test_what_a_first_charge_has_read_is_remembered_for_the_next(limiter: RateLimiter, bill: Bill) -> None:
    assert await calls_of_a_charge(limiter, bill) == ["BatchGetItem", "BatchGetItem", "UpdateItem"]
    assert await calls_of_a_charge(limiter, bill) == ["UpdateItem"]


async def test_many_that_come_first_at_once_share_the_look_at_the_namespace(limiter: RateLimiter, bill: Bill) -> None:
    async def charge(number: int) -> None:
        async with limiter.acquire(f"user-{number}", "api", 1):
            pass

    await asyncio.gather(*(charge(number) for number in range(50)))
    # Two fly at once, each with what 25 wait for: the namespace first, then the limits.
    assert bill.calls.count("BatchGetItem") == 4


async def test_a_charge_after_the_lifetime_of_the_configuration_reads_once(
    limiter: RateLimiter, bill: Bill, clock: TurnableClock
) -> None:
    await calls_of_a_charge(limiter, bill)
    clock.turn(90)
    assert await calls_of_a_charge(limiter, bill) == ["BatchGetItem", "UpdateItem"]
    assert bill.read == 3 * 0.5


async def test_what_is_owed_late_is_one_call(limiter: RateLimiter, bill: Bill, clock: TurnableClock) -> None:
    async with limiter.acquire("someone", "api", 1) as lease:
        clock.turn(90)
        bill.reset()
        await lease.adjust(rpm=1)
    assert bill.calls == ["UpdateItem"]


async def test_whether_the_table_may_be_used_is_looked_up_again_all_the_same(
    limiter: RateLimiter, setup: SyncRepository, clock: TurnableClock
) -> None:
    repository: Any = limiter.repository
    await repository.resolve("someone", "api")
    setup.set_version_record("2.0.0")
    clock.turn(90)
    with pytest.raises(IncompatibleSchemaError):
        await repository.resolve("someone", "api")
    setup.set_version_record(SCHEMA_VERSION)
    await repository.resolve("someone", "api")


async def test_a_namespace_that_was_made_anew_is_found_with_its_own_limits(
    limiter: RateLimiter, setup: SyncRepository, clock: TurnableClock
) -> None:
    repository: Any = await limiter.repository.namespace("tenant")
    await repository.set_system_defaults([Limit.per_minute("old", 5)])
    await repository.resolve("someone", "api")
    setup.delete_namespace("tenant")
    clock.turn(90)
    with pytest.raises(NamespaceNotFoundError):
        await repository.resolve("someone", "api")
    setup.register_namespace("tenant")
    with setup.namespace("tenant") as tenant:
        tenant.set_system_defaults([Limit.per_minute("new", 7)])
    found = await repository.resolve("someone", "api")
    assert [limit.name for limit in found.chain[0].limits] == ["new"]
