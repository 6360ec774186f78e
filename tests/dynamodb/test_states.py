"""Buckets as they stand, found by the index or by their key, and made full again."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.conformance.conftest import opened
from zae_limiter import Limit, RateLimitExceeded, ValidationError
from zae_limiter.schema import config_key
from zae_limiter.testing import TurnableClock

LIMITS = [Limit.per_minute("rpm", 10), Limit.per_minute("tpm", 1_000, unit="tokens")]
RESOURCES = ["api", "gpt-4", "search"]
USERS = [f"user-{number}" for number in range(5)]


@pytest.fixture(params=["dynamodb", "dynamodb, blocking"])
async def limiter(request: pytest.FixtureRequest, clock: TurnableClock, tmp_path: Any) -> AsyncIterator[Any]:
    async with opened(request, clock, tmp_path, 1) as (made,):
        await made.set_system_defaults(LIMITS)
        for number, user in enumerate(USERS):
            for resource in RESOURCES:
                async with made.acquire(user, resource, {"rpm": number + 1, "tpm": 100}):
                    pass
        yield made


async def test_an_entitys_buckets_are_found_in_all_resources_or_in_one(limiter: Any) -> None:
    made = limiter.repository
    found = await made.get_buckets("user-2")
    assert [(state.resource, state.limit_name) for state in found] == [
        (resource, limit.name) for resource in RESOURCES for limit in LIMITS
    ]
    assert {state.tokens for state in found if state.limit_name == "rpm"} == {7}
    assert [state.tokens for state in await made.get_buckets("user-2", "api")] == [7, 900]
    assert await made.get_buckets("user-2", "unused") == []
    assert await made.get_buckets("user") == []
    state = await made.get_bucket("user-4", "gpt-4", "rpm")
    assert state.tokens == 5
    assert await made.get_bucket("user-4", "gpt-4", "nothing") is None
    assert await made.get_bucket("nobody", "gpt-4", "rpm") is None


async def test_several_buckets_are_read_together_and_those_that_are_not_there_left_out(limiter: Any) -> None:
    made = limiter.repository
    await made.create_entity("user-1")
    keys = [("user-1", "api"), ("user-1", "api"), ("nobody", "api"), ("user-3", "search")]
    found = await made.batch_get_buckets(keys)
    assert {key: state.tokens for key, state in found.items() if key[2] == "rpm"} == {
        ("user-1", "api", "rpm"): 8,
        ("user-3", "search", "rpm"): 6,
    }
    entity, buckets = await made.batch_get_entity_and_buckets("user-1", keys)
    assert (entity.id, buckets) == ("user-1", found)
    assert (await made.batch_get_entity_and_buckets("nobody", []))[0] is None


async def test_the_buckets_of_a_resource_are_added_up_to_its_capacity(limiter: Any) -> None:
    states = await limiter.repository.get_resource_buckets("gpt-4")
    assert [(state.entity_id, state.limit_name) for state in states] == [
        (user, limit.name) for user in USERS for limit in LIMITS
    ]
    assert len(await limiter.repository.get_resource_buckets("gpt-4", "tpm")) == 5
    assert await limiter.repository.get_resource_buckets("unused") == []
    capacity = await limiter.get_resource_capacity("gpt-4", "rpm")
    assert (capacity.total_capacity, capacity.total_available, capacity.utilization_pct) == (50, 35, 30.0)
    await limiter.create_entity("user-0", parent_id="acme")
    await limiter.create_entity("user-1")
    parents = await limiter.get_resource_capacity("gpt-4", "rpm", parents_only=True)
    assert [each.entity_id for each in parents.entities] == ["user-1"]


async def test_a_reset_fills_buckets_and_tells_so(limiter: Any) -> None:
    made = limiter.repository
    assert await made.reset_buckets("user-3", "api", "admin") == 1
    assert await limiter.available("user-3", "api") == {"rpm": 10, "tpm": 1_000}
    assert (await limiter.available("user-3", "search"))["rpm"] == 6
    # The bucket is known to be gone: the next charge is not judged by what was remembered.
    async with limiter.acquire("user-3", "api", {"rpm": 10}):
        pass
    assert await made.reset_buckets("user-3") == 3
    assert await made.reset_buckets("user-3") == 0
    events = await made.get_audit_events("user-3")
    assert [(event.action, event.resource, event.principal) for event in events] == [
        ("buckets_reset", None, None),
        ("buckets_reset", "api", "admin"),
    ]


@pytest.mark.parametrize("kind", ["dynamodb", "dynamodb, blocking"])
@pytest.mark.parametrize("resource", ["api", None])
async def test_a_reset_holds_in_its_process_when_another_came_first(
    kind: str, resource: str | None, request: pytest.FixtureRequest, clock: TurnableClock, tmp_path: Any
) -> None:
    request.param = kind
    async with opened(request, clock, tmp_path, 2) as (one, other):
        await one.set_system_defaults(LIMITS)
        async with one.acquire("user-1", "api", {"rpm": 10}):
            pass
        with pytest.raises(RateLimitExceeded):
            await one.acquire("user-1", "api", {"rpm": 1}).__aenter__()
        assert await other.repository.reset_buckets("user-1") == 1
        assert await one.repository.reset_buckets("user-1", resource) == 0
        async with one.acquire("user-1", "api", {"rpm": 1}):
            pass


async def test_a_reset_of_a_bucket_that_refuses_is_in_force_at_once(limiter: Any) -> None:
    async with limiter.acquire("user-4", "api", {"rpm": 5}):
        pass
    with pytest.raises(Exception, match="rpm"):
        await limiter.acquire("user-4", "api", {"rpm": 5}).__aenter__()
    await limiter.reset("user-4", "api")
    async with limiter.acquire("user-4", "api", {"rpm": 10}):
        pass


async def test_an_entity_that_was_deleted_is_charged_anew(limiter: Any) -> None:
    await limiter.create_entity("user-4")
    async with limiter.acquire("user-4", "api", {"rpm": 5}) as lease:
        await limiter.delete_entity("user-4")
        await lease.release(rpm=5)
    # The credit of the open lease found nothing, and left nothing.
    assert await limiter.repository.get_buckets("user-4") == []
    async with limiter.acquire("user-4", "api", {"rpm": 10}):
        pass


async def test_a_bucket_that_is_not_there_begins_full_and_one_that_is_stays_as_it_is(limiter: Any) -> None:
    made, rpm = limiter.repository, LIMITS[0]
    assert (await made.get_or_create_bucket("user-4", "api", rpm)).tokens == 5
    begun = await made.get_or_create_bucket("nobody", "api", Limit.per_minute("rpm", 10, burst=15))
    assert (begun.entity_id, begun.resource, begun.limit_name, begun.tokens) == ("nobody", "api", "rpm", 15)
    assert [state.limit_name for state in await made.get_buckets("nobody", "api")] == ["rpm"]
    # Another limit of a bucket that is there is added, and the others are left alone.
    extra = Limit.per_day("rpd", 7)
    assert (await made.get_or_create_bucket("user-4", "api", extra)).tokens == 7
    assert (await made.get_or_create_bucket("user-4", "api", rpm)).tokens == 5
    assert (await limiter.available("user-4", "api"))["rpm"] == 5


async def test_a_bucket_in_debt_is_told_so(limiter: Any) -> None:
    async with limiter.acquire("user-4", "api", {"rpm": 1}) as lease:
        await lease.adjust(rpm=10)
    assert (await limiter.repository.get_or_create_bucket("user-4", "api", LIMITS[0])).tokens == -6


async def test_levels_are_read_together_by_their_keys(limiter: Any) -> None:
    made, rpm = limiter.repository, LIMITS[0]
    await limiter.set_system_defaults([rpm], "allow")
    await limiter.set_limits("user-4", [rpm], "api")
    levels = [("", ""), ("user-4", "api"), ("user-4", "mail"), ("", "mail")]
    keys = [tuple(config_key(made.namespace_id, *level)) for level in levels]
    assert await made.batch_get_configs(keys) == {keys[0]: ([rpm], "allow"), keys[1]: ([rpm], None)}
    assert await made.batch_get_configs([]) == {}
    for wrong in (("other/SYSTEM", "#CONFIG"), (keys[0][0], "#META")):
        with pytest.raises(ValidationError, match="config_key in this namespace"):
            await made.batch_get_configs([wrong])
