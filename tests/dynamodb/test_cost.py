"""What each operation costs on both faces, as DynamoDB tells it: calls, write units of table and indexes, reads.

A figure that changes here changes in the docs and in what users pay.
"""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest

from tests.conformance.faces import Awaited
from tests.dynamodb.losing import put_in_front
from tests.dynamodb.tables import fresh_name
from tests.patience import PatientBlockingRuntime, PatientRuntime
from zae_limiter import Charge, Limit, RateLimiter, RateLimitExceeded, Repository, SyncRateLimiter, SyncRepository
from zae_limiter.testing import TurnableClock

LIMITS = [Limit.per_minute("rpm", 1_000), Limit.per_hour("tph", 70_000, unit="tokens")]
TEN = [Limit.per_hour(f"limit{number:07}", 1_000 + number) for number in range(10)]
WRITES = {"UpdateItem", "BatchExecuteStatement"}


class Bill:
    """A client's port in front of a repository's own: adds up what its calls cost."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.reset()

    def reset(self) -> None:
        self.calls: list[str] = []
        self.written = self.index_written = self.read = 0.0

    async def open(self) -> None:
        await self._client.open()

    async def close(self) -> None:
        await self._client.close()

    async def once(self, operation: str, parameters: Mapping[str, Any], *, seconds: float) -> Mapping[str, Any]:
        self.calls.append(operation)
        asked = {**parameters, "ReturnConsumedCapacity": "INDEXES"}
        answer = await self._client.once(operation, asked, seconds=seconds)
        return self._added(operation, answer, parameters.get("Statements", ()))

    async def call(self, operation: str, parameters: Mapping[str, Any], *, deadline_ns: int) -> Mapping[str, Any]:
        self.calls.append(operation)
        told = operation in {"GetItem", "BatchGetItem", "Query", "TransactWriteItems", "TransactGetItems"}
        asked = {**parameters, "ReturnConsumedCapacity": "INDEXES"} if told else parameters
        return self._added(operation, await self._client.call(operation, asked, deadline_ns=deadline_ns))

    def _added(
        self, operation: str, answer: Mapping[str, Any], statements: Sequence[Mapping[str, Any]] = ()
    ) -> Mapping[str, Any]:
        if operation == "BatchExecuteStatement":
            # DynamoDB Local tells no cost of PartiQL: each statement that was written is one small record, and the
            # index is written where its keys are.
            self.written += sum("Error" not in each for each in answer["Responses"])
            self.index_written += sum(re.search(r"SET \"LS?\"", each["Statement"]) is not None for each in statements)
        found = answer.get("ConsumedCapacity") or []
        for each in [found] if isinstance(found, dict) else found:
            if operation in WRITES:
                self.written += each["Table"]["CapacityUnits"]
                self.index_written += sum(
                    index["CapacityUnits"] for index in each.get("GlobalSecondaryIndexes", {}).values()
                )
            else:
                self.read += each["CapacityUnits"]
        return answer

    def told(self) -> tuple[list[str], float, float, float]:
        return self.calls, self.written, self.index_written, self.read


def billed(core: Any) -> Bill:
    """Let every chapter of a repository send through a bill."""
    bill = Bill(core._client)
    put_in_front(core, bill)
    return bill


@pytest.fixture(params=["async", "blocking"])
async def shop(
    request: pytest.FixtureRequest, dynamodb_endpoint: str, clock: TurnableClock
) -> AsyncIterator[tuple[Any, Bill]]:
    name = fresh_name()
    limiter: Any
    if request.param == "async":
        runtime = PatientRuntime(clock)
        repository = Repository(name, clock=clock, runtime=runtime, timeout=30.0)
        bill = billed(repository)
        limiter = RateLimiter(repository, clock=clock, runtime=runtime, timeout=30.0)
    else:
        blocking = PatientBlockingRuntime(clock)
        twin = SyncRepository(name, clock=clock, runtime=blocking, timeout=30.0)
        bill = billed(twin._core)
        limiter = Awaited(SyncRateLimiter(twin, clock=clock, runtime=blocking, timeout=30.0))
    await limiter.repository.create_table()
    await limiter.repository.open()
    yield limiter, bill
    await limiter.repository.delete_table()
    await limiter.close()


async def charged(limiter: Any, entity_id: str, consume: Any, limits: Any = None, **adjusts: int) -> None:
    async with limiter.acquire(entity_id, "api", consume, limits) as lease:
        if adjusts:
            await lease.adjust(**adjusts)


@pytest.mark.parametrize("count", [1, 10])
async def test_a_warm_charge_is_one_call_and_one_unit_whatever_the_number_of_limits(
    shop: tuple[Any, Bill], clock: TurnableClock, count: int
) -> None:
    """W29, W30, W32; what writes no index (W31)."""
    limiter, bill = shop
    limits = TEN[:count]
    await limiter.set_system_defaults(limits)
    await charged(limiter, "e" * 24, {limit.name: 1 for limit in limits})
    # Soon after the last charge, when some limits are full again, and when all are.
    for seconds in (0.01, 0.01, 3.59, 20.0, 0.01):
        clock.turn(seconds)
        bill.reset()
        await charged(limiter, "e" * 24, {limit.name: 1 for limit in limits})
        assert bill.told() == (["UpdateItem"], 1.0, 0.0, 0.0)


async def test_the_first_write_of_a_bucket_costs_one_unit_on_the_index_that_lists_it(shop: tuple[Any, Bill]) -> None:
    limiter, bill = shop
    await limiter.set_system_defaults(LIMITS)
    await charged(limiter, "someone", 1)
    bill.reset()
    await charged(limiter, "another", 1)
    assert bill.calls[-1] == "UpdateItem"
    assert (bill.written, bill.index_written) == (1.0, 1.0)


async def test_the_first_charge_of_a_process_has_at_most_one_call_before_its_write(shop: tuple[Any, Bill]) -> None:
    """W33: at most three calls with the one that opens the repository."""
    limiter, bill = shop
    await limiter.set_system_defaults(LIMITS)
    await limiter.repository.invalidate_config_cache()
    bill.reset()
    await charged(limiter, "newcomer", 1)
    assert bill.calls == ["BatchGetItem", "UpdateItem"]
    assert (bill.written, bill.index_written) == (1.0, 1.0)


async def test_the_first_charge_after_a_repository_was_closed_looks_at_the_table_once(shop: tuple[Any, Bill]) -> None:
    """W33; `test_unopened.py` has the first of a process that has seen the table never."""
    limiter, bill = shop
    await limiter.set_system_defaults(LIMITS)
    await limiter.repository.close()
    bill.reset()
    await charged(limiter, "newcomer", 1)
    assert bill.calls == ["BatchGetItem", "UpdateItem"]
    assert (bill.written, bill.index_written) == (1.0, 1.0)


async def test_what_needs_no_store_costs_nothing(shop: tuple[Any, Bill]) -> None:
    """Decisions 5 and 6, and an amount that can never be granted."""
    limiter, bill = shop
    await limiter.set_system_defaults(LIMITS)
    await charged(limiter, "someone", 1)
    await limiter.repository.resolve("another", "api")
    bill.reset()
    await charged(limiter, "someone", {})
    await charged(limiter, "someone", 1, [])
    with pytest.raises(RateLimitExceeded) as refused:
        await charged(limiter, "another", {"rpm": 1_001})
    assert not refused.value.retryable
    assert bill.told() == ([], 0.0, 0.0, 0.0)
    async with limiter.acquire("someone", "api", 1) as lease:
        bill.reset()
        assert [each.available for each in lease.statuses] == [998, 70_000]
        assert bill.calls == []


@pytest.mark.parametrize("levels", [2, 8])
async def test_a_warm_cascade_with_room_is_one_batch_and_a_unit_a_level(shop: tuple[Any, Bill], levels: int) -> None:
    limiter, bill = shop
    await limiter.set_system_defaults(LIMITS)
    await limiter.create_entity("level0")
    for level in range(1, levels):
        await limiter.create_entity(f"level{level}", parent_id=f"level{level - 1}", cascade=True)
    await charged(limiter, f"level{levels - 1}", {"rpm": 1})
    bill.reset()
    await charged(limiter, f"level{levels - 1}", {"rpm": 1})
    assert bill.told() == (["BatchExecuteStatement"], float(levels), 0.0, 0.0)


async def test_a_cascade_without_room_is_at_most_a_call_a_level(shop: tuple[Any, Bill]) -> None:
    limiter, bill = shop
    await limiter.set_system_defaults([Limit.per_minute("rpm", 10)])
    await limiter.create_entity("parent")
    await limiter.create_entity("child", parent_id="parent", cascade=True)
    await charged(limiter, "child", {"rpm": 2})
    for _ in range(4):
        bill.reset()
        await charged(limiter, "child", {"rpm": 2})
        assert bill.told() == (["UpdateItem"] * 2, 2.0, 0.0, 0.0)


async def test_two_rules_that_are_charged_together_are_one_call(shop: tuple[Any, Bill]) -> None:
    limiter, bill = shop
    await limiter.set_system_defaults(LIMITS)
    charges = [Charge("someone", "api", 1), Charge("someone", "mail", 1)]
    for _ in range(2):
        bill.reset()
        async with limiter.acquire_all(charges):
            pass
    assert bill.told() == (["BatchExecuteStatement"], 2.0, 0.0, 0.0)


async def test_a_refusal_is_one_call_and_the_same_or_a_larger_one_is_none_within_a_second(
    shop: tuple[Any, Bill], clock: TurnableClock
) -> None:
    """W29."""
    limiter, bill = shop
    limits = [Limit.per_day("rpd", 5)]
    await charged(limiter, "someone", 3, limits)
    clock.turn(1.5)
    for _ in range(2):
        bill.reset()
        for amount in (3, 3, 4, 5, 3):
            with pytest.raises(RateLimitExceeded):
                await charged(limiter, "someone", amount, limits)
        # A condition that fails is billed as a write, though nothing tells so here.
        assert bill.told() == (["UpdateItem"], 0.0, 0.0, 0.0)
        clock.turn(1)


async def test_a_lease_that_was_not_adjusted_costs_nothing_at_its_end(shop: tuple[Any, Bill]) -> None:
    limiter, bill = shop
    await limiter.set_system_defaults(LIMITS)
    async with limiter.acquire("someone", "api", 1):
        bill.reset()
    assert bill.told() == ([], 0.0, 0.0, 0.0)


@pytest.mark.parametrize("levels", [2, 3])
async def test_a_lease_that_was_adjusted_on_several_buckets_is_one_call_at_its_end(
    shop: tuple[Any, Bill], levels: int
) -> None:
    limiter, bill = shop
    await limiter.set_system_defaults(LIMITS)
    for level in range(levels):
        above = f"level{level - 1}" if level else None
        await limiter.create_entity(f"level{level}", parent_id=above, cascade=level > 0)
    for tokens in (7, -3):
        async with limiter.acquire(f"level{levels - 1}", "api", {"rpm": 1, "tph": 5}) as lease:
            bill.reset()
            await lease.adjust(tph=tokens)
            assert bill.calls == []
        assert bill.told() == (["BatchExecuteStatement"], float(levels), 0.0, 0.0)


async def test_a_lease_that_was_adjusted_on_one_bucket_is_one_call_at_its_end(shop: tuple[Any, Bill]) -> None:
    limiter, bill = shop
    await limiter.set_system_defaults(LIMITS)
    async with limiter.acquire("someone", "api", {"rpm": 1, "tph": 5}) as lease:
        await lease.release(tph=2)
        bill.reset()
    assert bill.told() == (["UpdateItem"], 1.0, 0.0, 0.0)


def size(item: Mapping[str, Any]) -> int:
    """The size of a record by DynamoDB's rule: names and text in UTF-8, of numbers two digits a byte and two more."""
    total = 0
    for name, value in item.items():
        ((kind, told),) = value.items()
        total += len(name.encode()) + (len(told.encode()) if kind == "S" else (len(told.rstrip("0")) + 1) // 2 + 2)
    return total


async def test_a_record_of_ten_limits_is_under_a_kilobyte(shop: tuple[Any, Bill]) -> None:
    limiter, bill = shop
    entity_id, resource = "e" * 24, "r" * 24
    odd = [Limit.custom(f"limit{number:07}", 9_999_937, 7_919 + number, 86_399) for number in range(10)]
    consume = {limit.name: 999_983 for limit in odd}
    for limits in (odd, odd):
        async with limiter.acquire(entity_id, resource, consume, limits):
            pass
    answer = await bill._client.call(
        "Scan",
        {"TableName": limiter.repository.table_name},
        deadline_ns=2**62,
    )
    (item,) = [each for each in answer["Items"] if each["SK"]["S"] == "#BUCKET"]
    assert size(item) < 1_024
