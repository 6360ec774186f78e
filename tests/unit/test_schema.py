"""The keys of the table: unambiguous, readable back, listed where they are looked for, and small."""

import pytest

from zae_limiter import schema

NS = "AbCdEfGhIjK"


def size(item: dict[str, str | int]) -> int:
    """An item's size by DynamoDB's rule: names and texts in bytes, numbers in half their digits and one."""
    values = (len(value) if isinstance(value, str) else (len(str(value)) + 1) // 2 + 1 for value in item.values())
    return sum(len(name.encode()) for name in item) + sum(values)


def test_a_bucket_is_read_back_from_its_key() -> None:
    assert schema.bucket_of(schema.bucket_key(NS, "user:1@x", "openai/gpt-4").pk) == (NS, "user:1@x", "openai/gpt-4")


@pytest.mark.parametrize("pk", ["", NS, f"{NS}/ENTITY#user", f"{NS}/BUCKET#user"])
def test_another_key_is_no_bucket(pk: str) -> None:
    with pytest.raises(ValueError, match="no key of a bucket"):
        schema.bucket_of(pk)


def test_no_two_records_share_a_key() -> None:
    keys = [
        schema.bucket_key(NS, "e", "r"),
        schema.entity_key(NS, "e"),
        schema.tombstone_key(NS, "e"),
        schema.child_key(NS, "p", "e"),
        schema.config_key(NS, "e", "r"),
        schema.config_key(NS, "e", "_default_"),
        schema.config_key(NS, "", "r"),
        schema.config_key(NS, "", ""),
        schema.settings_key(NS),
        schema.resource_key(NS, "r"),
        schema.customized_key(NS, "r"),
        schema.custom_key(NS, "r", "e"),
        schema.audit_key(NS, "e", "1"),
        schema.usage_key(NS, "e", "r", "hourly", "2026-01-01T00:00:00Z"),
        schema.usage_key(NS, "e", "r", "daily", "2026-01-01T00:00:00Z"),
        schema.namespace_key("n"),
        schema.namespace_id_key(NS),
        schema.version_key(),
    ]
    assert len(set(keys)) == len(keys)


def test_every_key_begins_with_its_namespace() -> None:
    # Policies that wall tenants off compare the leading key with the namespace.
    assert schema.custom_key(NS, "r", "e").pk.startswith(f"{NS}/")
    assert schema.listing_key(NS, "BUCKET", "e", "r").pk.startswith(f"{NS}/")
    assert schema.version_key().pk.startswith("_/")


def test_a_record_is_listed_in_its_entitys_row_and_its_resources_column() -> None:
    listed = schema.listing_key(NS, "BUCKET", "user-7", "api")
    assert listed.pk in schema.listing_parts(NS, entity_id="user-7")
    assert listed.pk in schema.listing_parts(NS, resource="api")
    assert [listed.pk] == schema.listing_parts(NS, entity_id="user-7", resource="api")
    assert listed.pk in schema.listing_parts(NS)
    assert len(set(schema.listing_parts(NS))) == schema.PARTS**2


def test_the_writes_of_one_resource_are_spread() -> None:
    """W31: what one resource writes has no index key of its own, and a bucket has a partition of its own."""
    parts = {schema.listing_key(NS, "BUCKET", f"user-{number}", "api").pk for number in range(200)}
    assert len(parts) == schema.PARTS
    assert len({schema.bucket_key(NS, f"user-{number}", "api").pk for number in range(200)}) == 200


def test_a_usage_snapshot_is_read_back_from_its_key_which_orders_by_time() -> None:
    early = schema.usage_key(NS, "user:1", "z/a", "monthly", "2026-01-01T00:00:00Z")
    late = schema.usage_key(NS, "user:1", "a", "daily", "2026-01-02T00:00:00Z")
    assert schema.usage_of(early) == ("user:1", "z/a", "monthly", "2026-01-01T00:00:00Z")
    assert early.sk < late.sk
    for key in (schema.entity_key(NS, "user:1"), schema.bucket_key(NS, "user:1", "a")):
        with pytest.raises(ValueError, match="no key of a usage snapshot"):
            schema.usage_of(key)


def test_usage_of_a_resource_is_listed_by_time() -> None:
    early = schema.listing_key(NS, "USAGE", "z", "api", "2026-01-01T00:00:00Z#hourly")
    late = schema.listing_key(NS, "USAGE", "a", "api", "2026-01-01T01:00:00Z#hourly")
    assert early.sk < late.sk


def test_a_bucket_of_ten_limits_stays_under_a_kilobyte() -> None:
    entity_id, resource = "e" * 30, "r" * 18
    pk, sk = schema.bucket_key(NS, entity_id, resource)
    listed = schema.listing_key(NS, "BUCKET", entity_id, resource)
    item: dict[str, str | int] = {schema.PK: pk, schema.SK: sk, schema.LISTING_PK: listed.pk}
    item |= {schema.LISTING_SK: listed.sk, schema.CARRIED_AT: 10**18, schema.MARK: "m" * 8, schema.TTL: 10**9}
    for number in range(10):
        name = f"limit_{number:06}"
        item |= {schema.FULL_AT + name: 10**18, schema.USED + name: 10**12, schema.RATE + name: "7:60000000000"}
    assert size(item) < 1024
