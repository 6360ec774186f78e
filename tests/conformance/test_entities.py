"""Entities, cascades and stored limits on every repository and both faces."""

from typing import Any

import pytest

from tests.conformance.conftest import Aggregated
from tests.conformance.faces import STORES
from zae_limiter import (
    Charge,
    EntityExistsError,
    EntityNotFoundError,
    Limit,
    NamespaceNotFoundError,
    RateLimitExceeded,
    ValidationError,
)
from zae_limiter.debits import debits_of
from zae_limiter.models import Stale
from zae_limiter.testing import TurnableClock

RPM = Limit.per_minute("rpm", 10)
# A table's configuration has no version: there a bucket of another rate tells that it has changed.
COUNT_CHANGES = [name for name, store in STORES.items() if not store.needs_table]


async def take(limiter: Any, entity_id: str, consume: Any = 1, **options: Any) -> Any:
    async with limiter.acquire(entity_id, "api", consume, **options) as lease:
        return lease.statuses


async def family(limiter: Any, levels: int = 2) -> list[str]:
    """Entities in a row, the last one charged at all of them."""
    names = [f"level-{number}" for number in range(levels)]
    for number, name in enumerate(names):
        await limiter.create_entity(name, parent_id=names[number - 1] if number else None, cascade=number > 0)
    return names


async def test_a_cascade_charges_every_level_up_to_eight(limiter: Any) -> None:
    await limiter.set_system_defaults([RPM])
    names = await family(limiter, 8)
    statuses = await take(limiter, names[-1], 3)
    assert [(status.entity_id, status.available) for status in statuses] == [(name, 7) for name in reversed(names)]
    with pytest.raises(ValidationError):
        await limiter.create_entity("ninth", parent_id=names[-1], cascade=True)


@pytest.mark.parametrize("metadata", [["plan"], "plan", 5, [], ""])
async def test_metadata_that_is_no_mapping_is_refused(limiter: Any, metadata: Any) -> None:
    with pytest.raises(ValidationError, match="must be a dict of str to str"):
        await limiter.create_entity("user", metadata=metadata)


async def test_metadata_with_an_empty_key_is_refused(limiter: Any) -> None:
    await limiter.create_entity("user", metadata={"plan": ""})
    with pytest.raises(ValidationError, match="must not be empty"):
        await limiter.create_entity("other", metadata={"": "pro"})
    with pytest.raises(ValidationError, match="must not be empty"):
        await limiter.update_entity("user", metadata={"": "pro"})
    assert (await limiter.get_entity("user")).metadata == {"plan": ""}


async def test_a_parent_that_has_no_room_refuses_and_its_child_keeps_its_tokens(limiter: Any) -> None:
    """W13, W18."""
    parent, child = await family(limiter)
    await limiter.set_limits(child, [RPM])
    await limiter.set_limits(parent, [Limit.per_minute("rpm", 2)])
    await take(limiter, child, 2)
    for _ in range(2):
        with pytest.raises(RateLimitExceeded):
            await take(limiter, child)
    with pytest.raises(RateLimitExceeded) as caught:
        await take(limiter, child)
    assert [status.entity_id for status in caught.value.violations] == [parent]
    assert [status.entity_id for status in caught.value.passed] == [child]
    assert (await limiter.repository.get_buckets(child))[0].tokens == 8


async def test_available_is_the_least_over_the_levels(limiter: Any) -> None:
    """W28."""
    parent, child = await family(limiter)
    await limiter.set_limits(child, [RPM])
    await limiter.set_limits(parent, [Limit.per_minute("rpm", 4)])
    assert await limiter.available(child, "api") == {"rpm": 4}
    assert await limiter.time_until_available(child, "api", {"rpm": 4}) == 0.0


async def test_an_entity_that_is_created_late_cascades_from_then_on(limiter: Any) -> None:
    """W12."""
    await limiter.set_system_defaults([RPM])
    await take(limiter, "child")
    await limiter.create_entity("parent")
    await limiter.create_entity("child", parent_id="parent", cascade=True)
    await take(limiter, "child", 5)
    assert await limiter.available("parent", "api") == {"rpm": 5}
    await limiter.update_entity("child", cascade=False)
    await take(limiter, "child")
    assert await limiter.available("parent", "api") == {"rpm": 5}


async def test_limits_given_with_a_charge_are_the_leafs_alone(limiter: Any) -> None:
    """Decision 7."""
    parent, child = await family(limiter)
    await take(limiter, child, 5, limits=[RPM])
    assert await limiter.repository.get_buckets(parent) == []
    await limiter.set_limits(parent, [Limit.per_minute("rpm", 3)])
    with pytest.raises(RateLimitExceeded):
        await take(limiter, child, 4, limits=[RPM])


async def test_a_circle_of_parents_is_refused(limiter: Any) -> None:
    parent, child = await family(limiter)
    with pytest.raises(ValidationError):
        await limiter.update_entity(parent, parent_id=child)
    with pytest.raises(ValidationError):
        await limiter.create_entity("own", parent_id="own")


async def test_an_entity_lives_from_its_creation_to_its_deletion(limiter: Any) -> None:
    parent, child = await family(limiter)
    with pytest.raises(EntityExistsError):
        await limiter.create_entity(child)
    with pytest.raises(EntityNotFoundError):
        await limiter.update_entity("nobody", name="x")
    assert [entity.id for entity in await limiter.get_children(parent)] == [child]
    await limiter.set_limits(child, [RPM], "api")
    await take(limiter, child)
    assert await limiter.list_resources_with_entity_configs() == ["api"]
    await limiter.delete_entity(child)
    assert await limiter.get_entity(child) is None
    assert await limiter.repository.get_buckets(child) == []
    # W24: nothing is listed that is not there.
    assert await limiter.list_resources_with_entity_configs() == []
    assert await limiter.list_entities_with_custom_limits("api") == ([], None)


async def test_long_lists_come_in_pages_without_a_gap(limiter: Any) -> None:
    """W23."""
    names = [f"user-{number:03}" for number in range(25)]
    for name in names:
        await limiter.create_entity(name, parent_id="parent")
        await limiter.set_limits(name, [RPM], "api")
    found: list[str] = []
    cursor = None
    while True:
        page, cursor = await limiter.list_entities_with_custom_limits("api", 10, cursor)
        found += page
        if cursor is None:
            break
    assert found == names
    assert len(await limiter.get_children("parent")) == 25


async def test_the_nearest_level_wins_entirely(limiter: Any) -> None:
    await limiter.set_system_defaults("1/minute")
    assert await limiter.available("someone", "api") == {"rpm": 1}
    await limiter.set_resource_defaults("api", "2/minute")
    assert await limiter.available("someone", "api") == {"rpm": 2}
    await limiter.set_limits("someone", "3/minute")
    assert await limiter.available("someone", "api") == {"rpm": 3}
    await limiter.set_limits("someone", "4/hour", "api")
    assert await limiter.available("someone", "api") == {"rph": 4}
    await limiter.delete_limits("someone", "api")
    await limiter.delete_limits("someone")
    await limiter.delete_resource_defaults("api")
    assert await limiter.available("someone", "api") == {"rpm": 1}


async def test_system_defaults_are_replaced_whole(limiter: Any) -> None:
    """W51: an `on_unavailable` that is left out is cleared."""
    await limiter.set_system_defaults([RPM], "allow")
    assert await limiter.get_system_defaults() == ([RPM], "allow")
    assert await limiter.repository.resolve_on_unavailable() == "allow"
    await limiter.set_system_defaults([RPM])
    assert await limiter.get_system_defaults() == ([RPM], None)
    assert await limiter.repository.resolve_on_unavailable() == "block"


async def test_a_changed_limit_is_in_force_in_another_process_at_once(
    two_on_a_file: tuple[Any, Any],
) -> None:
    """W19, decision 9: over a connection and with a cache of its own."""
    first, second = two_on_a_file
    await first.set_system_defaults("5/minute")
    await take(second, "someone", 5)
    with pytest.raises(RateLimitExceeded):
        await take(second, "someone")
    await first.set_system_defaults("50/minute")
    await take(second, "someone", 45)
    await first.set_system_defaults("5/minute")
    with pytest.raises(RateLimitExceeded):
        await take(second, "someone")
    await first.create_entity("someone", parent_id="parent", cascade=True)
    await take(second, "other", 1)
    await first.set_system_defaults("500/minute")
    await take(second, "someone", 3)
    assert await first.available("parent", "api") == {"rpm": 497}


async def test_what_another_process_has_set_is_not_refused_by_what_is_remembered(
    two_on_a_file: tuple[Any, Any],
) -> None:
    """Decision 9: a burst raised, a limit added, and the first limits at all."""
    first, second = two_on_a_file
    with pytest.raises(ValidationError):
        await take(second, "someone")
    await first.set_system_defaults("5/minute")
    await take(second, "someone")
    await first.set_system_defaults("50/minute; 5/hour")
    await take(second, "someone", {"rpm": 40})
    await take(second, "someone", {"rph": 5})


async def test_a_lowered_limit_is_in_force_in_another_process_although_the_charge_would_fit(
    two_on_a_file: tuple[Any, Any],
) -> None:
    """Decision 9."""
    first, second = two_on_a_file
    await first.set_system_defaults("50/minute")
    await take(second, "someone", 2)
    await first.set_system_defaults("3/minute")
    await take(second, "someone")
    with pytest.raises(RateLimitExceeded):
        await take(second, "someone")


async def test_charges_that_go_together_go_by_one_configuration(two_on_a_file: tuple[Any, Any]) -> None:
    """What is remembered of one charge is older than what the next one makes the process read."""
    first, second = two_on_a_file
    await first.set_system_defaults("50/minute")
    await take(second, "someone")
    await first.set_system_defaults("3/minute")
    both = [Charge("someone", "api", 3), Charge("someone", "mail", 3)]
    with pytest.raises(RateLimitExceeded) as caught:
        await second.acquire_all(both).__aenter__()
    assert [each.limit.capacity for each in caught.value.statuses] == [3, 3]
    assert await second.repository.get_buckets("someone", "mail") == []
    await first.set_system_defaults("4/minute")
    # In one bucket, too, where two versions of its limits would contradict each other.
    lease = await second.acquire_all([*both, both[0]._replace(consume=0)]).__aenter__()
    assert [each.limit.capacity for each in lease.statuses] == [4, 4]


@pytest.mark.parametrize("limiter", COUNT_CHANGES, indirect=True)
async def test_a_debit_of_an_older_configuration_is_to_be_resolved_again(limiter: Any) -> None:
    await limiter.set_system_defaults("50/minute")
    found = await limiter.repository.resolve("someone", "api")
    assert found.version
    (debit,) = debits_of(Charge("someone", "api", 4), found)
    await limiter.set_system_defaults("3/minute")
    assert (await limiter.repository.resolve("someone", "mail")).version > found.version
    now = {"now_ns": limiter.clock.now_ns(), "deadline_ns": limiter.clock.monotonic_ns() + 10**9}
    assert isinstance(await limiter.repository.debit([debit], **now), Stale)
    assert await limiter.repository.get_buckets("someone") == []


async def test_what_is_available_is_told_by_the_limits_that_another_process_has_set(
    two_on_a_file: tuple[Any, Any],
) -> None:
    first, second = two_on_a_file
    with pytest.raises(ValidationError):
        await second.available("someone", "api")
    await first.set_system_defaults("5/minute")
    assert await second.available("someone", "api") == {"rpm": 5}
    await first.set_system_defaults("7/minute")
    assert await second.available("someone", "api") == {"rpm": 7}
    await first.set_system_defaults("9/minute")
    assert await second.time_until_available("someone", "api", {"rpm": 9}) == 0.0
    await first.set_system_defaults("11/minute")
    assert (await second.repository.resolve_limits("someone", "api"))[0] == [Limit.per_minute("rpm", 11)]


async def test_the_first_look_at_a_changed_configuration_is_remembered(limiter: Any) -> None:
    await limiter.set_system_defaults("50/minute")
    await take(limiter, "someone")
    before = limiter.repository.get_cache_stats().misses
    await take(limiter, "someone")
    assert limiter.repository.get_cache_stats().misses == before


async def test_the_first_look_at_what_another_process_has_changed_is_remembered(two_limiters: tuple[Any, Any]) -> None:
    first, second = two_limiters
    await first.set_system_defaults("50/minute")
    await take(second, "someone")
    before = second.repository.get_cache_stats().misses
    await take(second, "someone")
    assert second.repository.get_cache_stats().misses == before


async def test_namespaces_do_not_see_each_other(limiter: Any) -> None:
    """W44."""
    with pytest.raises(NamespaceNotFoundError):
        await limiter.repository.namespace("tenant")
    await limiter.repository.register_namespace("tenant")
    other = await limiter.repository.namespace("tenant")
    await limiter.set_system_defaults([RPM])
    assert (await other.get_system_defaults())[0] == []
    await other.create_entity("someone")
    assert await limiter.get_entity("someone") is None
    with pytest.raises(ValidationError):
        await limiter.repository.delete_namespace("default")


async def test_a_namespace_that_was_deleted_takes_no_more_writes(limiter: Any) -> None:
    """W44."""
    identity = await limiter.repository.register_namespace("tenant")
    other = await limiter.repository.namespace("tenant")
    await other.set_system_defaults([RPM])
    await limiter.repository.delete_namespace("tenant")
    with pytest.raises(NamespaceNotFoundError):
        await other.set_system_defaults([RPM])
    assert await limiter.repository.recover_namespace(identity) == "tenant"
    assert (await other.get_system_defaults())[0] == [RPM]


async def test_usage_counts_the_first_charge_and_the_hour_of_each(
    limiter: Any, clock: TurnableClock, aggregated: Aggregated
) -> None:
    """W8, W9, decision 13."""
    limits = [Limit.per_minute("rpm", 100)]
    await take(limiter, "someone", 5, limits=limits)
    await aggregated(limiter)
    clock.turn(3_600)
    async with limiter.acquire("someone", "api", 7, limits) as lease:
        await lease.release(rpm=3)
    await aggregated(limiter)
    pages, _ = await limiter.get_usage_snapshots("someone", "api", "hourly")
    assert [page.counters for page in pages] == [{"rpm": 4}, {"rpm": 5}]
    summary = await limiter.get_usage_summary("someone", "api", "hourly")
    assert summary.total == {"rpm": 9}


async def test_a_limiter_for_another_namespace_shares_the_store_and_nothing_else(limiter: Any) -> None:
    """W44."""
    with pytest.raises(NamespaceNotFoundError):
        await limiter.namespace("tenant")
    await limiter.repository.register_namespace("tenant")
    other = await limiter.namespace("tenant")
    await limiter.set_system_defaults("1/minute")
    await other.set_system_defaults("1/minute")
    for one in (limiter, other):
        await take(one, "someone")
        with pytest.raises(RateLimitExceeded):
            await take(one, "someone")
    assert other.stats().granted == 1
    await other.close()
    assert await limiter.is_available()
