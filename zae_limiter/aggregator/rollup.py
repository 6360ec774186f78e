"""Bucket changes to usage snapshots, each change once however often it is delivered. Pure.

A snapshot keeps the sequence number of the last record that is in it. A group is added on the condition that this
lies below the group's *first* record: a guard on its last would lose what an earlier, shorter group has left.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from zae_limiter.aggregator.records import BucketChange
from zae_limiter.schema import (
    EVENTS,
    LISTING_PK,
    LISTING_SK,
    PK,
    SEQUENCE,
    SK,
    TTL,
    USED,
    listing_key,
    usage_key,
)
from zae_limiter.windows import seconds_after, window_start

_SECONDS_A_DAY: Final = 86_400
# An expression has at most 4,096 characters, of which each limit takes a dozen.
_MOST_LIMITS: Final = 200


class Snapshot(NamedTuple):
    """Which snapshot: what an entity used of a resource in one window."""

    namespace_id: str
    entity_id: str
    resource: str
    window: str
    start: str


class Group(NamedTuple):
    """The changes of one batch that belong into one snapshot, in the order of the stream; never empty."""

    snapshot: Snapshot
    changes: tuple[BucketChange, ...]


def grouped(changes: Iterable[BucketChange], windows: Sequence[str]) -> list[Group]:
    """The changes by the snapshots they belong into, one for each of the windows; each record once."""
    found: dict[Snapshot, dict[str, BucketChange]] = {}
    for change in changes:
        for window in windows:
            start = window_start(window, change.at_seconds)
            snapshot = Snapshot(change.namespace_id, change.entity_id, change.resource, window, start)
            found.setdefault(snapshot, {})[change.sequence] = change
    return [Group(snapshot, tuple(by[key] for key in sorted(by))) for snapshot, by in found.items()]


def rest_of(group: Group, stored: str) -> Group | None:
    """What is not in a snapshot yet that has all up to the stored sequence number; None when all is in."""
    rest = tuple(change for change in group.changes if change.sequence > stored)
    return Group(group.snapshot, rest) if rest else None


def first_of(group: Group) -> Group:
    """The first changes of a group, as many as one expression can name the limits of."""
    names: set[str] = set()
    for place, change in enumerate(group.changes):
        names |= change.used.keys()
        if len(names) > _MOST_LIMITS and place:
            return Group(group.snapshot, group.changes[:place])
    return group


def update_of(group: Group, table_name: str, retention_days: int) -> dict[str, Any]:
    """The `UpdateItem` that adds a group to its snapshot if none of it is in there."""
    snapshot = group.snapshot
    key = usage_key(*snapshot)
    listed = listing_key(
        snapshot.namespace_id, "USAGE", snapshot.entity_id, snapshot.resource, f"{snapshot.start}#{snapshot.window}"
    )
    used = _used(group.changes)
    names = {f"#u{place}": f"{USED}{limit}" for place, limit in enumerate(used)}
    added = "".join(f", #u{place} :u{place}" for place in range(len(used)))
    ends = seconds_after(snapshot.window, snapshot.start)
    return {
        "TableName": table_name,
        "Key": {PK: {"S": key.pk}, SK: {"S": key.sk}},
        "UpdateExpression": (
            f"ADD #events :events{added} SET #sequence = :last, #ttl = :ttl, #listing = :row, #listed = :place"
        ),
        "ConditionExpression": "attribute_not_exists(#sequence) OR #sequence < :first",
        "ExpressionAttributeNames": {
            "#events": EVENTS,
            "#sequence": SEQUENCE,
            "#ttl": TTL,
            "#listing": LISTING_PK,
            "#listed": LISTING_SK,
            **names,
        },
        "ExpressionAttributeValues": {
            ":events": {"N": str(sum(len(change.used) for change in group.changes))},
            ":first": {"S": group.changes[0].sequence},
            ":last": {"S": group.changes[-1].sequence},
            ":ttl": {"N": str(ends + retention_days * _SECONDS_A_DAY)},
            ":row": {"S": listed.pk},
            ":place": {"S": listed.sk},
            **{f":u{place}": {"N": str(amount)} for place, amount in enumerate(used.values())},
        },
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def _used(changes: Iterable[BucketChange]) -> dict[str, int]:
    used: dict[str, int] = {}
    for change in changes:
        for limit, amount in change.used.items():
            used[limit] = used.get(limit, 0) + amount
    return used
