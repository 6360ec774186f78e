"""What one record of the stream means: a bucket that changed, an audit event that expired, or nothing of ours. Pure.

Records are taken in the shape in which Lambda delivers them.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeAlias

from zae_limiter.schema import BUCKET_SK, PK, SK, USED, bucket_of

Record: TypeAlias = Mapping[str, Any]
Attributes: TypeAlias = Mapping[str, Mapping[str, Any]]

DIGITS: Final = 40
AUDIT_SK: Final = "#AUDIT#"
_TTL_SERVICE: Final = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}


class MalformedRecordError(ValueError):
    """A record that cannot be read; it fails alone, and is tried again with its batch."""


class BucketChange(NamedTuple):
    """What one write to a bucket used of each limit, net of credits; limits that it left alone are not named."""

    namespace_id: str
    entity_id: str
    resource: str
    used: Mapping[str, int]
    at_seconds: float
    sequence: str


class ExpiredEvent(NamedTuple):
    """An audit event whose time was over: of whom, which, when it was made, and as it stood in the table."""

    namespace_id: str
    entity_id: str
    event_id: str
    made_at: datetime
    item: Attributes
    sequence: str


def change_of(record: Record) -> BucketChange | ExpiredEvent | None:
    """What the record tells; None for what concerns neither usage nor the archive.

    Raises `MalformedRecordError` for a record without the parts that every record has.
    """
    try:
        told = record["dynamodb"]
        keys = told["Keys"]
        pk, sk = keys[PK]["S"], keys[SK]["S"]
        if sk == BUCKET_SK:
            return _bucket_change(record, pk)
        if sk.startswith(AUDIT_SK) and is_expiry(record):
            return _expired_event(record, pk, sk)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MalformedRecordError(f"no record of a table's stream ({type(error).__name__}: {error})") from error
    return None


def sequence_of(record: Record) -> str:
    """The record's sequence number in `DIGITS` digits, so that text compares as numbers do."""
    sequence: str = record["dynamodb"]["SequenceNumber"]
    if not (sequence.isascii() and sequence.isdecimal()) or len(sequence) > DIGITS:
        raise ValueError(f"no sequence number: {sequence!r}")
    return sequence.zfill(DIGITS)


def is_expiry(record: Record) -> bool:
    """Whether the table's own ttl removed the item, and not a caller."""
    identity = record.get("userIdentity") or {}
    return record.get("eventName") == "REMOVE" and all(
        identity.get(name) == value for name, value in _TTL_SERVICE.items()
    )


def _expired_event(record: Record, pk: str, sk: str) -> ExpiredEvent:
    namespace_id, _, rest = pk.partition("/")
    item = record["dynamodb"]["OldImage"]
    return ExpiredEvent(
        namespace_id,
        rest.partition("#")[2],
        sk.removeprefix(AUDIT_SK),
        datetime.fromisoformat(item["timestamp"]["S"]),
        item,
        sequence_of(record),
    )


def _bucket_change(record: Record, pk: str) -> BucketChange | None:
    told = record["dynamodb"]
    # Without a new image the bucket is gone: what it had used is in the usage already.
    new = _counters(told.get("NewImage", {}))
    old = _counters(told.get("OldImage", {}))
    used = {limit: count - old.get(limit, 0) for limit, count in new.items()}
    changed = {limit: count for limit, count in used.items() if count}
    if not changed:
        return None
    return BucketChange(*bucket_of(pk), changed, float(told["ApproximateCreationDateTime"]), sequence_of(record))


def _counters(image: Attributes) -> dict[str, int]:
    return {name.removeprefix(USED): int(value["N"]) for name, value in image.items() if name.startswith(USED)}
