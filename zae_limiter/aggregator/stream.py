"""Reads a table's stream without Lambda and counts usage from it: shard by shard, parents first, each from where
it was left. Counting is the same code as in the function, so both may run, and each may begin anew.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from zae_limiter.aggregator.intake import Failure, Intake
from zae_limiter.aggregator.records import MalformedRecordError
from zae_limiter.aggregator.snapshots import Snapshots
from zae_limiter.aws import BlockingClient, Connection
from zae_limiter.aws_errors import Rejected
from zae_limiter.blocking import run
from zae_limiter.exceptions import InfrastructureNotFoundError
from zae_limiter.ports import Client, Clock
from zae_limiter.runtimes import BlockingRuntime
from zae_limiter.schema import PK, SEQUENCE, SK, TTL, Key, rollup_key
from zae_limiter.system_clock import SystemClock

_NS: Final = 1_000_000_000
_RECORDS_A_PAGE: Final = 1_000
# A page without records says nothing of those that follow; so many in a row are taken for the end.
_EMPTY_PAGES: Final = 20
# A checkpoint is of use while the stream keeps its records, which is a day.
_CHECKPOINT_SECONDS: Final = 2 * 86_400
_SIDE_BY_SIDE: Final = 8


@dataclass
class Progress:
    """How far a reading has come: shards and records read, records that count, snapshots written, what was skipped."""

    shards: int = 0
    records: int = 0
    counted: int = 0
    snapshots: int = 0
    skipped: list[Failure] = field(default_factory=list)


Told = Callable[[Progress], None]


def roll_up(
    table_name: str,
    *,
    region: str | None = None,
    endpoint_url: str | None = None,
    windows: tuple[str, ...] = ("hourly", "daily"),
    retention_days: int = 90,
    told: Told | None = None,
) -> Progress:
    """Count what the table's stream holds and is not counted yet, to its present end; `told` hears of each page.

    A record that cannot be read is skipped and reported. Raises the store's error when a write fails: what was
    counted stays counted, and the next call goes on from there. `InfrastructureNotFoundError` without a stream.
    """
    clock, runtime = SystemClock(), BlockingRuntime(ThreadPoolExecutor(_SIDE_BY_SIDE))
    at = Connection(region=region, endpoint_url=endpoint_url, timeout=20.0)
    table = BlockingClient("dynamodb", table_name, at, clock=clock, runtime=runtime)
    streams = BlockingClient("dynamodbstreams", table_name, at, clock=clock, runtime=runtime)
    snapshots = Snapshots(table, table_name, clock=clock, retention_days=retention_days)
    intake = Intake(snapshots, windows=windows, runtime=runtime)
    try:
        return run(StreamReader(table, streams, table_name, clock=clock).read(intake, told))
    finally:
        run(table.close())
        run(streams.close())


class StreamReader:
    """Reads the stream of one table to its present end, and keeps in the table how far it is in each shard."""

    def __init__(self, table: Client, streams: Client, table_name: str, *, clock: Clock, seconds: float = 20.0) -> None:
        self._table = table
        self._streams = streams
        self._table_name = table_name
        self._clock = clock
        self._seconds = seconds

    async def read(self, intake: Intake, told: Told | None = None) -> Progress:
        """Hand every record that is new to the intake, in order; see `roll_up`."""
        arn = await self._arn()
        progress = Progress()
        for shard in in_order(await self._shards(arn)):
            await self._read_shard(arn, shard, intake, progress, told)
            progress.shards += 1
        return progress

    async def _arn(self) -> str:
        answer = await self._call(self._table, "DescribeTable", {"TableName": self._table_name})
        arn = answer["Table"].get("LatestStreamArn")
        if arn is None:
            raise InfrastructureNotFoundError(self._table_name, "has no stream; enable it with old and new images")
        return str(arn)

    async def _shards(self, arn: str) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        after: dict[str, str] = {}
        while True:
            answer = await self._call(self._streams, "DescribeStream", {"StreamArn": arn, **after})
            description = answer["StreamDescription"]
            found += description["Shards"]
            last = description.get("LastEvaluatedShardId")
            if last is None:
                return found
            after = {"ExclusiveStartShardId": last}

    async def _read_shard(self, arn: str, shard: str, intake: Intake, progress: Progress, told: Told | None) -> None:
        began = self._clock.now_ns() / _NS
        iterator = await self._iterator(arn, shard)
        empty = unkept = 0
        while iterator is not None and empty < _EMPTY_PAGES:
            page = await self._call(self._streams, "GetRecords", {"ShardIterator": iterator, "Limit": _RECORDS_A_PAGE})
            records = [as_delivered(record) for record in page["Records"]]
            iterator = page.get("NextShardIterator")
            empty = 0 if records else empty + 1
            if not records:
                continue
            counted = await self._take(records, intake, progress)
            unkept += len(records)
            # What is written here comes back in the stream: were each page kept, there would always be another.
            if counted or unkept >= _RECORDS_A_PAGE:
                await self._keep(rollup_key(shard), records[-1]["dynamodb"]["SequenceNumber"])
                unkept = 0
            if told is not None:
                told(progress)
            if records[-1]["dynamodb"].get("ApproximateCreationDateTime", 0) > began:
                break

    async def _take(self, records: list[dict[str, Any]], intake: Intake, progress: Progress) -> int:
        report = await intake.take(records)
        for failure in report.failures:
            if not isinstance(failure.error, MalformedRecordError):
                raise failure.error
            progress.skipped.append(failure)
        progress.records += len(records)
        progress.counted += report.counted
        progress.snapshots += report.snapshots
        return report.counted

    async def _iterator(self, arn: str, shard: str) -> str | None:
        wanted = {"StreamArn": arn, "ShardId": shard}
        key = rollup_key(shard)
        kept = await self._call(
            self._table,
            "GetItem",
            {"TableName": self._table_name, "Key": _attributes(key), "ConsistentRead": True},
        )
        if "Item" in kept:
            after = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": kept["Item"][SEQUENCE]["S"]}
            try:
                answer = await self._call(self._streams, "GetShardIterator", {**wanted, **after})
            except Rejected as error:
                # What followed the last record read is gone already, so all that is left is new.
                if error.code != "TrimmedDataAccessException":
                    raise
            else:
                return _next(answer)
        return _next(
            await self._call(self._streams, "GetShardIterator", {**wanted, "ShardIteratorType": "TRIM_HORIZON"})
        )

    async def _keep(self, key: Key, sequence: str) -> None:
        ends = self._clock.now_ns() // _NS + _CHECKPOINT_SECONDS
        item = {**_attributes(key), SEQUENCE: {"S": sequence}, TTL: {"N": str(ends)}}
        await self._call(self._table, "PutItem", {"TableName": self._table_name, "Item": item})

    async def _call(self, client: Client, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        deadline_ns = self._clock.monotonic_ns() + int(self._seconds * _NS)
        return await client.call(operation, parameters, deadline_ns=deadline_ns)


def _attributes(key: Key) -> dict[str, Any]:
    return {PK: {"S": key.pk}, SK: {"S": key.sk}}


def _next(answer: Mapping[str, Any]) -> str | None:
    iterator: str | None = answer.get("ShardIterator")
    return iterator


def in_order(shards: Sequence[Mapping[str, Any]]) -> list[str]:
    """The shards such that each comes after its parent, whose records are the older ones of the same keys."""
    parents = {shard["ShardId"]: shard.get("ParentShardId") for shard in shards}
    ordered: dict[str, None] = {}
    for shard in parents:
        line = [shard]
        while (parent := parents.get(line[-1])) in parents and parent not in ordered:
            line.append(parent)
        ordered.update(dict.fromkeys(reversed(line)))
    return list(ordered)


def as_delivered(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record as the client read it, in the shape in which Lambda delivers it."""
    told = dict(record["dynamodb"])
    made = told.get("ApproximateCreationDateTime")
    if isinstance(made, datetime):
        told["ApproximateCreationDateTime"] = made.timestamp()
    delivered = {**record, "dynamodb": told}
    if "userIdentity" in record:
        identity = record["userIdentity"]
        delivered["userIdentity"] = {"type": identity.get("Type"), "principalId": identity.get("PrincipalId")}
    return delivered
