"""Entities on DynamoDB: a deletion can be taken up from wherever it stopped, and circles are closed by nobody."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.dynamodb.troubled import Death, TroubledClient
from zae_limiter import Limit, ValidationError
from zae_limiter.schema import bucket_key, listing_key, tombstone_key
from zae_limiter.sync_repository import SyncRepository

RPM = Limit.per_minute("rpm", 10)
_MOST_WRITES = 30


def left_of(client: TroubledClient, repository: SyncRepository, entity_id: str) -> list[str]:
    """What the table still has of an entity, without its audit events."""
    items = client.scan(TableName=repository.table_name)["Items"]
    keys = [f"{item['PK']['S']} {item['SK']['S']}" for item in items]
    return [key for key in keys if entity_id in key and "/AUDIT#" not in key]


def put_bucket(client: TroubledClient, repository: SyncRepository, entity_id: str, resource: str) -> None:
    key = bucket_key(repository.namespace_id, entity_id, resource)
    listed = listing_key(repository.namespace_id, "BUCKET", entity_id, resource)
    texts = {"PK": key.pk, "SK": key.sk, "L": listed.pk, "LS": listed.sk, "r.rpm": "1:6000000000"}
    item = {name: {"S": text} for name, text in texts.items()} | {"f.rpm": {"N": "1800000060000000000"}}
    client.put_item(TableName=repository.table_name, Item=item)


def filled(client: TroubledClient, repository: SyncRepository) -> None:
    repository.create_entity("user", parent_id="parent", cascade=True)
    for resource in ("api", "gpt-4"):
        repository.set_limits("user", [RPM], resource)
        put_bucket(client, repository, "user", resource)


@pytest.mark.parametrize("after", [False, True], ids=["before a write", "after a write"])
def test_a_deletion_that_dies_anywhere_is_taken_to_its_end(
    shaky: SyncRepository, troubled: TroubledClient, *, after: bool
) -> None:
    """Decision 30, W24."""
    for call in range(_MOST_WRITES):
        filled(troubled, shaky)
        troubled.die_at(call, after=after)
        try:
            shaky.delete_entity("user")
        except Death:
            troubled.heal()
            shaky.delete_entity("user")
            assert left_of(troubled, shaky, "user") == [], f"died at write {call}"
            assert shaky.list_resources_with_entity_configs() == []
            assert shaky.get_children("parent") == []
            assert shaky.get_buckets("user") == []
            told = [event for event in shaky.get_audit_events("user", 1) if event.action == "entity_deleted"]
            assert len(told) == 1
        else:
            assert call > 4
            return
    pytest.fail("it never got through")


@pytest.mark.parametrize("store", ["create_entity", "set_limits"])
def test_what_is_stored_after_a_deletion_that_died_is_not_swept_away(
    shaky: SyncRepository, troubled: TroubledClient, store: str
) -> None:
    def stored() -> Any:
        return shaky.create_entity("user") if store == "create_entity" else shaky.set_limits("user", [RPM])

    for call in range(_MOST_WRITES):
        filled(troubled, shaky)
        troubled.die_at(call, after=True)
        try:
            shaky.delete_entity("user")
        except Death:
            troubled.heal()
            if shaky.get_entity("user") is None:
                stored()
                assert len(left_of(troubled, shaky, "user")) == (1 if store == "create_entity" else 2)
            shaky.delete_entity("user")
            assert left_of(troubled, shaky, "user") == []
        else:
            assert call > 4
            return
    pytest.fail("it never got through")


def test_a_late_sweep_removes_nothing_of_an_entity_that_was_created_again(
    shaky: SyncRepository, troubled: TroubledClient
) -> None:
    filled(troubled, shaky)
    troubled.die_at(1, after=True)
    with pytest.raises(Death):
        shaky.delete_entity("user")
    troubled.heal()
    stone = tombstone_key(shaky.namespace_id, "user")
    key = {"PK": {"S": stone.pk}, "SK": {"S": stone.sk}}
    late = troubled.get_item(TableName=shaky.table_name, Key=key)["Item"]
    shaky.create_entity("user")
    shaky.set_limits("user", [RPM])
    # Its tombstone is another one by now: the sweep of the first finds its own no more.
    assert "Item" not in troubled.get_item(TableName=shaky.table_name, Key=key)
    assert late["mark"]["S"]
    assert shaky.get_limits("user") == [RPM]


def test_a_parent_that_changes_moves_the_child(shaky: SyncRepository) -> None:
    shaky.create_entity("user", parent_id="first")
    shaky.update_entity("user", parent_id="second", metadata={"plan": "pro"})
    assert shaky.get_children("first") == []
    assert [entity.metadata for entity in shaky.get_children("second")] == [{"plan": "pro"}]
    shaky.update_entity("user", parent_id="")
    assert shaky.get_children("second") == []
    (entity,) = [shaky.get_entity("user")]
    assert entity is not None
    assert entity.parent_id is None


def test_of_two_that_together_close_a_circle_one_is_refused(shaky: SyncRepository) -> None:
    for turn in range(5):
        first, second = f"first-{turn}", f"second-{turn}"
        shaky.create_entity(first)
        shaky.create_entity(second)

        def put_under(names: tuple[str, str]) -> bool:
            try:
                shaky.update_entity(names[0], parent_id=names[1])
            except ValidationError:
                return False
            return True

        with ThreadPoolExecutor(2) as executor:
            assert sorted(executor.map(put_under, [(first, second), (second, first)])) == [False, True]


def test_a_parent_is_not_put_above_a_line_that_is_long_already(shaky: SyncRepository) -> None:
    for number in range(7):
        shaky.create_entity(f"level-{number}", parent_id=f"level-{number - 1}" if number else None)
    shaky.create_entity("above")
    shaky.create_entity("top")
    shaky.update_entity("level-0", parent_id="above")
    with pytest.raises(ValidationError, match="at most 8 levels"):
        shaky.update_entity("above", parent_id="top")
