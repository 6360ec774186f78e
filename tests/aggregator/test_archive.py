"""Expired audit events reach the archive, each once, in whatever pieces they arrive."""

import gzip
import hashlib
import io
import json
import random
from collections.abc import Mapping
from typing import Any

import pytest

from tests.aggregator.streams import audit_record, bucket_record
from zae_limiter.aggregator.archive import Archive, bundled, object_key
from zae_limiter.aggregator.records import ExpiredEvent, change_of
from zae_limiter.aws_errors import Rejected, UnknownOutcome
from zae_limiter.blocking import run
from zae_limiter.testing import TurnableClock


class Objects:
    """A `Client` of S3 as far as the archive uses it: objects, their tags, and writes on a condition."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.before_write: list[tuple[str, bytes]] = []
        self.lost_answers = 0
        self.refusal: str | None = None
        self.overtaken = "PreconditionFailed"
        self.writes = 0

    async def once(self, operation: str, parameters: Mapping[str, Any], *, seconds: float) -> Mapping[str, Any]:
        raise NotImplementedError

    async def call(self, operation: str, parameters: Mapping[str, Any], *, deadline_ns: int) -> Mapping[str, Any]:
        assert parameters["Bucket"] == "archive"
        if self.refusal is not None:
            raise Rejected(operation, self.refusal, "as the test wants it")
        key = parameters["Key"]
        if operation == "GetObject":
            if key not in self.objects:
                raise Rejected(operation, "NoSuchKey", "The specified key does not exist.")
            return {"Body": io.BytesIO(self.objects[key]), "ETag": tag(self.objects[key])}
        if self.before_write:
            other, content = self.before_write.pop()
            self.objects[other] = content
        if "IfNoneMatch" in parameters and key in self.objects:
            raise Rejected(operation, self.overtaken, "At least one of the pre-conditions did not hold")
        if "IfMatch" in parameters and tag(self.objects[key]) != parameters["IfMatch"]:
            raise Rejected(operation, self.overtaken, "At least one of the pre-conditions did not hold")
        self.objects[key] = parameters["Body"]
        self.writes += 1
        if self.lost_answers:
            self.lost_answers -= 1
            raise UnknownOutcome("the answer was lost", stack_name="archive")
        return {"ETag": tag(parameters["Body"])}

    def lines(self) -> list[dict[str, Any]]:
        return [
            json.loads(line) for key in sorted(self.objects) for line in gzip.decompress(self.objects[key]).splitlines()
        ]


def tag(content: bytes) -> str:
    return f'"{hashlib.md5(content).hexdigest()}"'


def expired(*records: Mapping[str, Any]) -> list[ExpiredEvent]:
    changes = [change_of(record) for record in records]
    assert all(isinstance(change, ExpiredEvent) for change in changes)
    return [change for change in changes if isinstance(change, ExpiredEvent)]


def archive(objects: Objects) -> Archive:
    return Archive(objects, "archive", clock=TurnableClock())


def add(objects: Objects, *records: Mapping[str, Any]) -> list[bool]:
    return [run(archive(objects).add(bundle)) for bundle in bundled(expired(*records))]


def test_an_expired_event_becomes_a_line_under_the_hour_in_which_it_was_made() -> None:
    objects = Objects()

    assert add(objects, audit_record(1, entity="$RESOURCE:api")) == [True]

    (key,) = objects.objects
    assert key == "audit/year=2025/month=10/day=03/ns-09.jsonl.gz"
    assert objects.lines() == [
        {
            "namespace_id": "ns",
            "entity_id": "$RESOURCE:api",
            "event_id": f"{1:026}",
            "timestamp": "2025-10-03T09:30:00Z",
            "action": "limits_set",
            "principal": None,
            "details": {"limits": [{"capacity": 100, "ratio": 0.5}]},
        }
    ]


def test_only_what_the_ttl_removed_is_archived() -> None:
    """Weak point W36: a purge passed for an expiry."""
    assert change_of(audit_record(1, by_ttl=False)) is None
    assert change_of({**audit_record(1), "userIdentity": {"type": "Service", "principalId": "other"}}) is None
    assert change_of({**audit_record(1), "eventName": "MODIFY"}) is None
    assert change_of({**bucket_record(1, {"rpm": 1}, None), "userIdentity": audit_record(1)["userIdentity"]}) is None


def test_events_of_one_hour_share_an_object_and_namespaces_do_not() -> None:
    events = expired(
        audit_record(1),
        audit_record(2, entity="other", made="2025-10-03T09:59:59Z"),
        audit_record(3, namespace="ns2"),
        audit_record(4, made="2025-10-03T10:00:00Z"),
    )

    assert [(bundle.key.rpartition("/")[2], len(bundle.events)) for bundle in bundled(events)] == [
        ("ns-09.jsonl.gz", 2),
        ("ns2-09.jsonl.gz", 1),
        ("ns-10.jsonl.gz", 1),
    ]


@pytest.mark.parametrize("seed", range(20))
def test_events_are_in_once_however_their_batches_are_cut_and_repeated(seed: int) -> None:
    chance, objects = random.Random(seed), Objects()
    records = [audit_record(number, entity=chance.choice("ab")) for number in range(1, 30)]
    for _ in range(12):
        start = chance.randrange(len(records))
        add(objects, *records[start : start + chance.randrange(1, 10)])
    add(objects, *records)

    assert sorted(line["event_id"] for line in objects.lines()) == [f"{number:026}" for number in range(1, 30)]


def test_a_write_whose_answer_was_lost_is_not_written_again() -> None:
    objects = Objects()
    objects.lost_answers = 1

    with pytest.raises(UnknownOutcome):
        add(objects, audit_record(1))

    assert add(objects, audit_record(1)) == [False]
    assert objects.writes == 1


@pytest.mark.parametrize("code", ["PreconditionFailed", "ConditionalRequestConflict"])
def test_what_another_writes_meanwhile_is_kept(code: str) -> None:
    objects, other = Objects(), Objects()
    objects.overtaken = code
    add(other, audit_record(7))
    ((key, content),) = other.objects.items()
    objects.before_write = [(key, content)]

    assert add(objects, audit_record(8)) == [True]
    assert [line["event_id"] for line in objects.lines()] == [f"{7:026}", f"{8:026}"]


def test_what_another_adds_meanwhile_to_an_object_that_is_there_is_kept() -> None:
    objects, other = Objects(), Objects()
    add(objects, audit_record(6))
    add(other, audit_record(6), audit_record(7))
    objects.before_write = list(other.objects.items())

    assert add(objects, audit_record(8)) == [True]
    assert [line["event_id"] for line in objects.lines()] == [f"{number:026}" for number in (6, 7, 8)]


def test_who_is_always_overtaken_gives_up_with_the_reason() -> None:
    objects = Objects()
    objects.before_write = [
        (object_key(expired(audit_record(1))[0]), next(iter(_archived(audit_record(number)).values())))
        for number in range(2, 30)
    ]

    with pytest.raises(Rejected, match="PreconditionFailed"):
        add(objects, audit_record(1))
    assert len(objects.before_write) == 28 - 10, "of ten tries"


def _archived(*records: Mapping[str, Any]) -> dict[str, bytes]:
    """The objects after records that came one by one."""
    objects = Objects()
    for record in records:
        add(objects, record)
    return objects.objects


def test_a_refusal_of_the_bucket_is_told_as_it_is() -> None:
    objects = Objects()
    objects.refusal = "NoSuchBucket"

    with pytest.raises(Rejected, match="NoSuchBucket"):
        add(objects, audit_record(1))


def test_the_same_events_are_the_same_bytes() -> None:
    records = [audit_record(number, entity=entity) for number, entity in ((1, "b"), (2, "a"), (3, "b"))]

    assert _archived(*records) == _archived(*records[::-1])
    (content,) = _archived(*records).values()
    # Where gzip keeps the time of packing; two of one second are alike anyway.
    assert content[4:8] == bytes(4)
