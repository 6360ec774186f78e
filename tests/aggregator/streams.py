"""Records of a stream as Lambda delivers them, made by hand, and a table that takes the aggregator's updates."""

from collections.abc import Mapping
from typing import Any

from zae_limiter.aws_errors import ConditionFailed, NotWritten, UnknownOutcome
from zae_limiter.schema import EVENTS, PK, SEQUENCE, SK, USED, bucket_key

NOON = 1_767_268_800
"""2026-01-01T12:00:00Z."""

Counters = Mapping[str, int]


def bucket_record(
    number: int,
    old: Counters | None,
    new: Counters | None,
    *,
    at: int = NOON,
    entity: str = "user",
    resource: str = "api",
    namespace: str = "ns",
) -> dict[str, Any]:
    """What the stream tells of one write to a bucket; None for an image that is not there."""
    key = bucket_key(namespace, entity, resource)
    told: dict[str, Any] = {
        "ApproximateCreationDateTime": at,
        "Keys": {PK: {"S": key.pk}, SK: {"S": key.sk}},
        "SequenceNumber": f"{number:021}",
        "SizeBytes": 100,
        "StreamViewType": "NEW_AND_OLD_IMAGES",
    }
    if old is not None:
        told["OldImage"] = image(old)
    if new is not None:
        told["NewImage"] = image(new)
    name = "INSERT" if old is None else "REMOVE" if new is None else "MODIFY"
    return {"eventID": str(number), "eventName": name, "eventSource": "aws:dynamodb", "dynamodb": told}


def image(counters: Counters) -> dict[str, Any]:
    """A bucket with these counters among what else it has."""
    used = {f"{USED}{limit}": {"N": str(count)} for limit, count in counters.items()}
    full_at = {f"f.{limit}": {"N": "1767268800000000000"} for limit in counters}
    return {**used, **full_at, "w": {"S": "abc00001"}}


def audit_record(
    number: int,
    *,
    entity: str = "user",
    made: str = "2025-10-03T09:30:00Z",
    by_ttl: bool = True,
    namespace: str = "ns",
) -> dict[str, Any]:
    """The removal of an audit event, by the table's ttl or by a caller."""
    keys = {PK: {"S": f"{namespace}/AUDIT#{entity}"}, SK: {"S": f"#AUDIT#{number:026}"}}
    details = {"M": {"limits": {"L": [{"M": {"capacity": {"N": "100"}, "ratio": {"N": "0.5"}}}]}}}
    record: dict[str, Any] = {
        "eventName": "REMOVE",
        "dynamodb": {
            "ApproximateCreationDateTime": NOON,
            "Keys": keys,
            "OldImage": {
                **keys,
                "L": {"S": f"{namespace}/LIST#00"},
                "LS": {"S": "AUDIT#user"},
                "timestamp": {"S": made},
                "action": {"S": "limits_set"},
                "principal": {"NULL": True},
                "details": details,
                "ttl": {"N": str(NOON)},
            },
            "SequenceNumber": f"{number:021}",
        },
    }
    if by_ttl:
        record["userIdentity"] = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
    return record


class SnapshotTable:
    """A `Client` that holds usage snapshots, by the meaning of the one update that the aggregator sends.

    `accident` is asked before each write: None, "before" (not written), "after" (written, the answer lost).
    """

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], dict[str, Any]] = {}
        self.accidents: list[str | None] = []
        self.written = 0

    async def call(self, operation: str, parameters: Mapping[str, Any], *, deadline_ns: int) -> Mapping[str, Any]:
        return await self.once(operation, parameters, seconds=1)

    async def once(self, operation: str, parameters: Mapping[str, Any], *, seconds: float) -> Mapping[str, Any]:
        assert operation == "UpdateItem"
        accident = self.accidents.pop() if self.accidents else None
        if accident == "before":
            raise NotWritten("no connection", stack_name="table")
        self._write(parameters)
        if accident == "after":
            raise UnknownOutcome("the answer was lost", stack_name="table")
        return {}

    def _write(self, parameters: Mapping[str, Any]) -> None:
        key = (parameters["Key"][PK]["S"], parameters["Key"][SK]["S"])
        values = parameters["ExpressionAttributeValues"]
        item = self.items.get(key)
        assert parameters["ConditionExpression"] == "attribute_not_exists(#sequence) OR #sequence < :first"
        if item is not None and item[SEQUENCE] >= values[":first"]["S"]:
            raise ConditionFailed({SEQUENCE: {"S": item[SEQUENCE]}})
        item = self.items.setdefault(key, {EVENTS: 0})
        item[SEQUENCE] = values[":last"]["S"]
        item[EVENTS] += int(values[":events"]["N"])
        for placeholder, name in parameters["ExpressionAttributeNames"].items():
            if placeholder.startswith("#u"):
                item[name] = item.get(name, 0) + int(values[":" + placeholder[1:]]["N"])
        self.written += 1

    def usage(self) -> dict[tuple[str, str], dict[str, int]]:
        """The counters of every snapshot that is not zero throughout."""
        found = {
            key: {name.removeprefix(USED): value for name, value in item.items() if name.startswith(USED) and value}
            for key, item in self.items.items()
        }
        return {key: used for key, used in found.items() if used}
