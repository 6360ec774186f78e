"""Namespaces on DynamoDB: there is no state from which a later call cannot go on."""

from collections.abc import Callable

import pytest

from tests.dynamodb.troubled import Death, TroubledClient
from tests.patience import PATIENCE
from zae_limiter import EntityNotFoundError, Limit, NamespaceNotFoundError, ValidationError
from zae_limiter.sync_repository import SyncRepository

RPM = Limit.per_minute("rpm", 10)
_MOST_WRITES = 30


def registered(repository: SyncRepository) -> str:
    identity = repository.register_namespace("tenant")
    tenant = repository.namespace("tenant")
    tenant.create_entity("user", parent_id="parent")
    tenant.set_limits("user", [RPM], "api")
    tenant.set_resource_defaults("api", [RPM])
    tenant.set_system_defaults([RPM])
    tenant.set_audit_retention(7)
    return identity


def dies_everywhere(client: TroubledClient, call: Callable[[], object], repeated: Callable[[], object]) -> int:
    """Let a call die at each of its writes in turn, before and after it; tells how many writes there were."""
    for step in range(_MOST_WRITES):
        for after in (False, True):
            client.die_at(step, after=after)
            try:
                call()
            except Death:
                client.heal()
                repeated()
            else:
                client.heal()
                return step
    raise AssertionError("it never got through")


def test_registering_that_died_is_done_by_the_next_call(shaky: SyncRepository, troubled: TroubledClient) -> None:
    names = iter(f"tenant-{number}" for number in range(_MOST_WRITES))
    current = next(names)

    def repeated() -> None:
        nonlocal current
        assert shaky.register_namespace(current) == shaky.register_namespace(current)
        current = next(names)

    assert dies_everywhere(troubled, lambda: shaky.register_namespace(current), repeated) > 0
    assert shaky.list_orphan_namespaces() == []


def test_deleting_and_recovering_that_died_are_done_by_the_next_call(
    shaky: SyncRepository, troubled: TroubledClient
) -> None:
    """W44."""
    identity = registered(shaky)

    def deleted() -> None:
        shaky.delete_namespace("tenant")
        assert [orphan["status"] for orphan in shaky.list_orphan_namespaces()] == ["deleted"]
        assert shaky.recover_namespace(identity) == "tenant"

    dies_everywhere(troubled, lambda: shaky.delete_namespace("tenant"), deleted)

    def recovered() -> None:
        if shaky.get_namespace("tenant") is None:
            shaky.recover_namespace(identity)
        assert shaky.namespace("tenant").get_limits("user", "api") == [RPM]
        shaky.delete_namespace("tenant")

    shaky.delete_namespace("tenant")
    dies_everywhere(troubled, lambda: shaky.recover_namespace(identity), recovered)


def test_a_purge_that_died_is_listed_and_taken_to_its_end(shaky: SyncRepository, troubled: TroubledClient) -> None:
    """W44."""
    for write in (1, 3, 5):
        identity = registered(shaky)
        shaky.delete_namespace("tenant")
        troubled.die_at(write, after=False)
        with pytest.raises(Death):
            shaky.purge_namespace(identity)
        troubled.heal()
        assert [orphan["status"] for orphan in shaky.list_orphan_namespaces()] == ["purging"]
        with pytest.raises(ValidationError, match="'purging'"):
            shaky.recover_namespace(identity)
        shaky.purge_namespace(identity)
        shaky.purge_namespace(identity)
        assert shaky.list_orphan_namespaces() == []
    left = troubled.scan(TableName=shaky.table_name)["Items"]
    assert len(left) == 3, "the version, the namespace 'default' by its name and by its id"


def test_a_name_may_be_registered_again_and_its_predecessor_not_recovered(shaky: SyncRepository) -> None:
    first = registered(shaky)
    tenant = shaky.namespace("tenant")
    shaky.delete_namespace("tenant")
    assert shaky.register_namespace("tenant") != first
    with pytest.raises(ValidationError, match="in use again"):
        shaky.recover_namespace(first)
    # A repository that was opened before works in the new one, which is empty.
    tenant.set_limits("other", [RPM])
    assert tenant.get_entity("user") is None


def test_a_namespace_in_use_is_not_purged_and_an_unknown_one_not_recovered(shaky: SyncRepository) -> None:
    identity = registered(shaky)
    with pytest.raises(ValidationError, match="delete it first"):
        shaky.purge_namespace(identity)
    with pytest.raises(ValidationError, match="'active'"):
        shaky.recover_namespace(identity)
    with pytest.raises(EntityNotFoundError):
        shaky.recover_namespace("unknown")
    with pytest.raises(ValidationError, match="never deleted"):
        shaky.delete_namespace("default")
    for wrong in ("", "_", "a/b#c", "name\n"):
        with pytest.raises(ValidationError):
            shaky.register_namespace(wrong)


def test_a_deleted_namespace_is_noticed_by_others_within_the_lifetime_of_the_cache(
    shaky: SyncRepository, troubled: TroubledClient
) -> None:
    """W44."""
    registered(shaky)
    other = SyncRepository(shaky.table_name, client=troubled, namespace="tenant", config_cache_ttl=0, timeout=PATIENCE)
    assert other.resolve_limits("user", "api")[0] == [RPM]
    shaky.delete_namespace("tenant")
    with pytest.raises(NamespaceNotFoundError):
        other.resolve_limits("user", "api")
    with pytest.raises(NamespaceNotFoundError):
        other.create_entity("another")
