"""Reads page to their end, batches repeat what was left, and nothing that is partly done looks whole."""

from typing import Any

import pytest

from tests.dynamodb.troubled import TroubledClient
from zae_limiter import Limit, RateLimiterUnavailable, SyncRateLimiter, ValidationError
from zae_limiter.sync_repository import SyncRepository
from zae_limiter.testing import TurnableClock

RPM = Limit.per_minute("rpm", 10)
NAMES = [f"user-{number:02}" for number in range(12)]


def filled(repository: SyncRepository) -> None:
    for name in NAMES:
        repository.create_entity(name, parent_id="parent")
        repository.set_limits(name, [RPM], "api")


def test_every_list_goes_on_beyond_the_first_page(shaky: SyncRepository, troubled: TroubledClient) -> None:
    """W23."""
    filled(shaky)
    for number in range(7):
        shaky.set_resource_defaults(f"resource-{number}", [RPM])
        shaky.register_namespace(f"tenant-{number}")
    troubled.page_at(2)
    assert [entity.id for entity in shaky.get_children("parent")] == NAMES
    assert shaky.list_entities_with_custom_limits("api") == (NAMES, None)
    assert shaky.list_entities_with_custom_limits("api", 12) == (NAMES, None)
    assert shaky.list_entities_with_custom_limits("api", 5, NAMES[2]) == (NAMES[3:8], NAMES[7])
    assert shaky.list_resources_with_defaults() == [f"resource-{number}" for number in range(7)]
    assert len(shaky.list_namespaces()) == 8
    for number in range(7):
        shaky.delete_namespace(f"tenant-{number}")
    assert len(shaky.list_orphan_namespaces()) == 7


def test_every_list_of_buckets_goes_on_beyond_the_first_page(shaky: SyncRepository, troubled: TroubledClient) -> None:
    """W23."""
    limiter = SyncRateLimiter(shaky, timeout=30.0)
    limiter.set_system_defaults([RPM])
    resources = [f"resource-{number}" for number in range(7)]
    for entity_id, resource in [*((name, "api") for name in NAMES), *(("user-00", name) for name in resources)]:
        with limiter.acquire(entity_id, resource, {"rpm": 1}):
            pass
    for resource in resources:
        shaky.set_limits("user-00", [RPM], resource)
    troubled.page_at(1)
    assert [state.resource for state in shaky.get_buckets("user-00")] == ["api", *resources]
    assert [state.entity_id for state in shaky.get_resource_buckets("api")] == NAMES
    assert shaky.list_resources_with_entity_configs() == resources
    assert len(limiter.get_resource_capacity("api", "rpm").entities) == len(NAMES)
    assert shaky.reset_buckets("user-00") == 8


def test_audit_events_come_newest_first_over_pages(shaky: SyncRepository, troubled: TroubledClient) -> None:
    for number in range(9):
        shaky.set_limits("user", [Limit.per_minute("rpm", number + 1)])
    troubled.page_at(2)
    events = shaky.get_audit_events("user")
    assert [event.details["limits"][0]["capacity"] for event in events] == list(range(9, 0, -1))
    rest = shaky.get_audit_events("user", 3, events[3].event_id)
    assert rest == events[4:7]
    troubled.heal()
    assert shaky.get_audit_events("user", 10**12) == events
    assert shaky.list_entities_with_custom_limits("_default_", 10**12) == (["user"], None)


@pytest.mark.parametrize("wrong", [5, b"1", "1" * 65])
def test_what_is_no_id_of_an_event_is_told(shaky: SyncRepository, troubled: TroubledClient, wrong: Any) -> None:
    before = len(troubled.calls)
    with pytest.raises(ValidationError, match="must be the id of an event"):
        shaky.get_audit_events("user", start_event_id=wrong)
    assert len(troubled.calls) == before


def test_a_deletion_goes_beyond_the_first_page(shaky: SyncRepository, troubled: TroubledClient) -> None:
    """W23."""
    shaky.create_entity("user")
    for number in range(30):
        shaky.set_limits("user", [RPM], f"resource-{number}")
    troubled.page_at(7)
    shaky.delete_entity("user")
    assert shaky.get_limits("user", "resource-29") == []
    assert shaky.list_resources_with_entity_configs() == []
    (event,) = shaky.get_audit_events("user", 1)
    assert (event.action, event.details) == ("entity_deleted", {"records_deleted": 61})


def test_what_a_batch_left_out_is_read_again_and_never_taken_for_nothing(
    shaky: SyncRepository, troubled: TroubledClient
) -> None:
    """W22."""
    filled(shaky)
    shaky.set_system_defaults([RPM], "allow")
    troubled.leave_all_but(4)
    limits, action, source = shaky.resolve_limits("nobody", "api")
    assert (limits, action, source) == ([RPM], "allow", "system")
    assert [entity.id for entity in shaky.get_children("parent")] == NAMES


def test_a_batch_that_is_never_done_is_an_error_and_is_not_remembered(
    shaky: SyncRepository, troubled: TroubledClient
) -> None:
    """W22."""
    shaky.set_limits("user", [RPM])
    troubled.leave_all_but(0)
    with pytest.raises(RateLimiterUnavailable, match="until the deadline"):
        shaky.resolve_limits("user", "api")
    troubled.heal()
    assert shaky.resolve_limits("user", "api") == ([RPM], None, "entity_default")


def test_an_answer_that_is_not_of_dynamodb_is_not_taken_for_nothing(
    shaky: SyncRepository, troubled: TroubledClient, clock: TurnableClock
) -> None:
    shaky.set_limits("user", [RPM])
    shaky.resolve("user", "api")
    clock.turn(90)
    troubled.garble()
    for look in (
        lambda: shaky.resolve("user", "api"),
        lambda: shaky.read([("user", "api")]),
        shaky.list_namespaces,
        lambda: shaky.get_audit_events("user"),
        lambda: shaky.open() if shaky.close() is None else None,
    ):
        with pytest.raises(RateLimiterUnavailable, match="an answer without"):
            look()
    troubled.heal()
    assert shaky.resolve_limits("user", "api") == ([RPM], None, "entity_default")


def test_a_purge_whose_batch_is_never_done_is_an_error_and_goes_on_later(
    shaky: SyncRepository, troubled: TroubledClient
) -> None:
    identity = shaky.register_namespace("tenant")
    shaky.namespace("tenant").create_entity("user")
    shaky.delete_namespace("tenant")
    troubled.leave_all_but(0)
    with pytest.raises(RateLimiterUnavailable, match="until the deadline"):
        shaky.purge_namespace(identity)
    troubled.heal()
    assert [orphan["status"] for orphan in shaky.list_orphan_namespaces()] == ["purging"]
    shaky.purge_namespace(identity)
    assert shaky.list_orphan_namespaces() == []


def test_a_purge_repeats_what_a_batch_left(shaky: SyncRepository, troubled: TroubledClient) -> None:
    identity = shaky.register_namespace("tenant")
    tenant = shaky.namespace("tenant")
    for name in NAMES:
        tenant.create_entity(name)
    shaky.delete_namespace("tenant")
    troubled.leave_all_but(1)
    troubled.page_at(3)
    shaky.purge_namespace(identity)
    troubled.heal()
    left = troubled.scan(TableName=shaky.table_name)["Items"]
    assert [item for item in left if item["PK"]["S"].startswith(identity)] == []
    assert len(left) == 3, "the version, the namespace 'default' by its name and by its id"
