"""The single-table layout: the keys of every record, there and back, and the definition of the table. Pure.

One index, `listing`, holds the keys of every record of a namespace: it serves what is listed and what is purged.
Its keys never change, and nothing that a charge changes is in it, so a warm charge writes no index.
"""

from typing import Any, Final, NamedTuple
from zlib import crc32

SCHEMA_VERSION: Final = "1.0.0"

PK: Final = "PK"
SK: Final = "SK"
LISTING: Final = "listing"
LISTING_PK: Final = "L"
LISTING_SK: Final = "LS"
TTL: Final = "ttl"

# A bucket: when each limit is full, its rate and its use; the last carry-over and the mark of the last write.
FULL_AT: Final = "f."
RATE: Final = "r."
USED: Final = "u."
CARRIED_AT: Final = "a"
MARK: Final = "w"

# A usage snapshot: use of each limit (`u.`), how often, and the last record of the stream that is in it.
EVENTS: Final = "n"
SEQUENCE: Final = "q"

BUCKET_SK: Final = "#BUCKET"
META_SK: Final = "#META"
TOMBSTONE_SK: Final = "#TOMBSTONE"
USAGE_SK: Final = "#USAGE#"
CONFIG_SK: Final = "#CONFIG#"
SYSTEM_NAMESPACE: Final = "_"
PARTS: Final = 8
"""Rows and columns of the listing: an entity's records lie in one row, a resource's in one column."""


class Key(NamedTuple):
    """The primary key of a record."""

    pk: str
    sk: str


class ListingKey(NamedTuple):
    """Where the index lists a record."""

    pk: str
    sk: str


def bucket_key(namespace_id: str, entity_id: str, resource: str) -> Key:
    """A bucket has a partition of its own: the traffic of one tenant never throttles another."""
    # Callers' texts are joined here and below, not formatted: a member of an enum of texts would give its own name.
    return Key("#".join((f"{namespace_id}/BUCKET", entity_id, resource)), BUCKET_SK)


def bucket_of(pk: str) -> tuple[str, str, str]:
    """Namespace, entity and resource of a bucket's partition key; `ValueError` for any other key."""
    namespace_id, _, rest = pk.partition("/")
    kind, _, name = rest.partition("#")
    entity_id, separator, resource = name.partition("#")
    if kind != "BUCKET" or not separator:
        raise ValueError(f"no key of a bucket: {pk!r}")
    return namespace_id, entity_id, resource


def entity_key(namespace_id: str, entity_id: str) -> Key:
    """The metadata of an entity."""
    return Key(f"{namespace_id}/ENTITY#" + entity_id, META_SK)


def tombstone_key(namespace_id: str, entity_id: str) -> Key:
    """What stands while an entity's records are being removed."""
    return Key(f"{namespace_id}/ENTITY#" + entity_id, TOMBSTONE_SK)


def child_key(namespace_id: str, parent_id: str, entity_id: str) -> Key:
    """That an entity stands directly below a parent."""
    return Key(f"{namespace_id}/CHILDREN#" + parent_id, entity_id)


def config_key(namespace_id: str, entity_id: str, resource: str) -> Key:
    """The limits of one level: without an entity the resource's, without both the system's."""
    if entity_id:
        return Key(f"{namespace_id}/ENTITY#" + entity_id, CONFIG_SK + resource)
    return Key(f"{namespace_id}/RESOURCE#" + resource if resource else f"{namespace_id}/SYSTEM", "#CONFIG")


def settings_key(namespace_id: str) -> Key:
    """What is kept for how long."""
    return Key(f"{namespace_id}/SYSTEM", "#SETTINGS")


def resource_key(namespace_id: str, resource: str) -> Key:
    """That a resource has limits of its own."""
    return Key(f"{namespace_id}/RESOURCES", resource)


def customized_key(namespace_id: str, resource: str) -> Key:
    """That some entity has had limits for a resource."""
    return Key(f"{namespace_id}/CUSTOMIZED", resource)


def custom_key(namespace_id: str, resource: str, entity_id: str) -> Key:
    """That an entity has limits for a resource."""
    return Key(f"{namespace_id}/CUSTOM#" + resource, entity_id)


def audit_key(namespace_id: str, entity_id: str, event_id: str) -> Key:
    """An audit event; the sort key orders them by time."""
    return Key(f"{namespace_id}/AUDIT#" + entity_id, f"#AUDIT#{event_id}")


def usage_key(namespace_id: str, entity_id: str, resource: str, window: str, start: str) -> Key:
    """What an entity used of a resource in one window; the sort key orders an entity's usage by time."""
    return Key(f"{namespace_id}/ENTITY#" + entity_id, f"{USAGE_SK}{start}#{window}#" + resource)


def usage_of(key: Key) -> tuple[str, str, str, str]:
    """Entity, resource, window and start of a usage snapshot's key; `ValueError` for any other key."""
    kind, _, entity_id = key.pk.partition("/")[2].partition("#")
    if kind != "ENTITY" or not key.sk.startswith(USAGE_SK):
        raise ValueError(f"no key of a usage snapshot: {key!r}")
    start, window, resource = key.sk.removeprefix(USAGE_SK).split("#")
    return entity_id, resource, window, start


def namespace_key(name: str) -> Key:
    """A namespace by its name, while it is in use."""
    return Key(f"{SYSTEM_NAMESPACE}/NAMESPACES", name)


def namespace_id_key(namespace_id: str) -> Key:
    """A namespace by its id, until it is purged."""
    return Key(f"{SYSTEM_NAMESPACE}/NAMESPACE_IDS", namespace_id)


def version_key() -> Key:
    """The version of the schema, and the oldest client that may use it."""
    return Key(f"{SYSTEM_NAMESPACE}/VERSION", "#VERSION")


def rollup_key(shard_id: str) -> Key:
    """How far a shard of the stream was read by whoever reads it without Lambda."""
    return Key(f"{SYSTEM_NAMESPACE}/ROLLUP", shard_id)


def listing_key(namespace_id: str, kind: str, entity_id: str = "", resource: str = "", rest: str = "") -> ListingKey:
    """Where a record is listed. A resource's records are spread over the rows, so that no key takes all its writes."""
    parts = [kind, entity_id, resource, rest] if kind != "USAGE" else [kind, resource, rest, entity_id]
    return ListingKey(_part(namespace_id, _row(entity_id), _row(resource)), "#".join(parts))


def listing_parts(namespace_id: str, *, entity_id: str | None = None, resource: str | None = None) -> list[str]:
    """The partitions of the listing that can hold such records: all 64, or a row, a column or one cell."""
    rows = range(PARTS) if entity_id is None else [_row(entity_id)]
    columns = range(PARTS) if resource is None else [_row(resource)]
    return [_part(namespace_id, row, column) for row in rows for column in columns]


def _row(name: str) -> int:
    return crc32(name.encode()) % PARTS


def _part(namespace_id: str, row: int, column: int) -> str:
    return f"{namespace_id}/LIST#{row}{column}"


def get_table_definition(table_name: str) -> dict[str, Any]:
    """The table as `CreateTable` takes it; the CloudFormation template says the same."""
    return {
        "TableName": table_name,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [
            {"AttributeName": PK, "KeyType": "HASH"},
            {"AttributeName": SK, "KeyType": "RANGE"},
        ],
        "AttributeDefinitions": [
            {"AttributeName": name, "AttributeType": "S"} for name in (PK, SK, LISTING_PK, LISTING_SK)
        ],
        "GlobalSecondaryIndexes": [
            {
                "IndexName": LISTING,
                "KeySchema": [
                    {"AttributeName": LISTING_PK, "KeyType": "HASH"},
                    {"AttributeName": LISTING_SK, "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    }
