"""Expired audit events to S3, each once: gzip-packed JSON lines, one object an hour of a namespace.

An object is read, joined with what is new and written on the condition that nobody wrote it meanwhile,
so a batch may come again, whole or in parts.
"""

import gzip
import inspect
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from zae_limiter.aggregator.records import ExpiredEvent
from zae_limiter.aws_errors import Rejected
from zae_limiter.ports import Client, Clock
from zae_limiter.schema import LISTING_PK, LISTING_SK, PK, SK, TTL

_MISSING: Final = frozenset({"NoSuchKey", "404", "NotFound"})
_WRITTEN_MEANWHILE: Final = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})
_KEYS: Final = frozenset({PK, SK, LISTING_PK, LISTING_SK, TTL})
_TRIES: Final = 10
_NS: Final = 1_000_000_000


class Bundle(NamedTuple):
    """The events of a batch that belong into one object, in the order of the stream; never empty."""

    key: str
    events: tuple[ExpiredEvent, ...]


def bundled(expired: Iterable[ExpiredEvent]) -> list[Bundle]:
    """The events by the objects they belong into."""
    found: dict[str, dict[str, ExpiredEvent]] = {}
    for event in expired:
        found.setdefault(object_key(event), {})[event.sequence] = event
    return [Bundle(key, tuple(by[number] for number in sorted(by))) for key, by in found.items()]


def object_key(event: ExpiredEvent) -> str:
    """The object of the hour in which the event was made, its parts named as query engines expect."""
    day = event.made_at.strftime("year=%Y/month=%m/day=%d")
    return f"audit/{day}/{event.namespace_id}-{event.made_at:%H}.jsonl.gz"


def line_of(event: ExpiredEvent) -> dict[str, Any]:
    """The event as plain data, with its namespace, entity and id, which its key tells."""
    plain = {name: _plain(value) for name, value in event.item.items() if name not in _KEYS}
    told = {"namespace_id": event.namespace_id, "entity_id": event.entity_id, "event_id": event.event_id}
    return told | plain


def joined(stored: bytes | None, events: Sequence[ExpiredEvent]) -> bytes | None:
    """The object with the events in it, each once, by their ids; None when all of them are in already."""
    lines = {} if stored is None else _lines(stored)
    known = set(lines)
    for event in events:
        line = line_of(event)
        lines.setdefault((line["entity_id"], line["event_id"]), line)
    if set(lines) == known:
        return None
    told = "".join(json.dumps(lines[key], sort_keys=True) + "\n" for key in sorted(lines, key=lambda key: key[::-1]))
    # Without a time of packing the same events are the same bytes.
    return gzip.compress(told.encode(), mtime=0)


def _lines(stored: bytes) -> dict[tuple[str, str], dict[str, Any]]:
    lines = [json.loads(line) for line in gzip.decompress(stored).splitlines()]
    return {(line["entity_id"], line["event_id"]): line for line in lines}


def _plain(value: Mapping[str, Any]) -> Any:
    kind, content = next(iter(value.items()))
    if kind == "M":
        return {name: _plain(part) for name, part in content.items()}
    if kind == "L":
        return [_plain(part) for part in content]
    if kind == "N":
        return int(content) if content.lstrip("-").isdecimal() else float(content)
    return None if kind == "NULL" else content


class Archive:
    """The bucket that takes the expired events. `seconds` is how long one request may be tried."""

    def __init__(self, client: Client, bucket_name: str, *, clock: Clock, seconds: float = 10.0) -> None:
        self._client = client
        self._bucket_name = bucket_name
        self._clock = clock
        self._seconds = seconds

    async def add(self, bundle: Bundle) -> bool:
        """Add the events that are not in yet; whether there were any.

        Raises the last error when others kept writing the same object for ten tries.
        """
        for attempt in range(1, _TRIES + 1):
            stored, condition = await self._read(bundle.key)
            body = joined(stored, bundle.events)
            if body is None:
                return False
            try:
                await self._send("PutObject", {"Key": bundle.key, "Body": body, **condition})
            except Rejected as error:
                if error.code not in _WRITTEN_MEANWHILE or attempt == _TRIES:
                    raise
            else:
                return True
        raise AssertionError("the last try ends the loop")

    async def _read(self, key: str) -> tuple[bytes | None, dict[str, str]]:
        try:
            answer = await self._send("GetObject", {"Key": key})
        except Rejected as error:
            if error.code not in _MISSING:
                raise
            return None, {"IfNoneMatch": "*"}
        content = answer["Body"].read()
        return (await content if inspect.isawaitable(content) else content), {"IfMatch": answer["ETag"]}

    async def _send(self, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        deadline_ns = self._clock.monotonic_ns() + int(self._seconds * _NS)
        return await self._client.call(operation, {"Bucket": self._bucket_name, **parameters}, deadline_ns=deadline_ns)
