"""A stream of several shards: all pages of them are read, parents first, each from where it was left."""

from collections.abc import Mapping
from typing import Any

from tests.aggregator.streams import SnapshotTable, bucket_record
from zae_limiter.aggregator.intake import Intake
from zae_limiter.aggregator.snapshots import Snapshots
from zae_limiter.aggregator.stream import StreamReader
from zae_limiter.blocking import run
from zae_limiter.runtimes import BlockingRuntime
from zae_limiter.schema import PK
from zae_limiter.testing import TurnableClock

EMPTY_PAGES = 5


class Streamed(SnapshotTable):
    """A table with a stream, and with the places that a reader keeps."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, Mapping[str, Any]] = {}

    async def call(self, operation: str, parameters: Mapping[str, Any], *, deadline_ns: int) -> Mapping[str, Any]:
        match operation:
            case "DescribeTable":
                return {"Table": {"LatestStreamArn": "arn"}}
            case "GetItem":
                found = self.kept.get(str(parameters["Key"]))
                return {} if found is None else {"Item": found}
            case "PutItem":
                item = parameters["Item"]
                self.kept[str({name: item[name] for name in (PK, "SK")})] = item
                return {}
        return await super().call(operation, parameters, deadline_ns=deadline_ns)


class Shards:
    """A client of a stream whose shards are told one a page, the child first; their records after empty pages."""

    def __init__(self, records: Mapping[str, list[dict[str, Any]]]) -> None:
        self.records = records
        self.read: list[str] = []

    async def once(self, operation: str, parameters: Mapping[str, Any], *, seconds: float) -> Mapping[str, Any]:
        raise NotImplementedError

    async def call(self, operation: str, parameters: Mapping[str, Any], *, deadline_ns: int) -> Mapping[str, Any]:
        if operation == "DescribeStream":
            if "ExclusiveStartShardId" not in parameters:
                shard = {"ShardId": "child", "ParentShardId": "parent"}
                return {"StreamDescription": {"Shards": [shard], "LastEvaluatedShardId": "child"}}
            assert parameters["ExclusiveStartShardId"] == "child"
            return {"StreamDescription": {"Shards": [{"ShardId": "parent"}]}}
        if operation == "GetShardIterator":
            after = parameters.get("SequenceNumber", "")
            assert (parameters["ShardIteratorType"] == "AFTER_SEQUENCE_NUMBER") is bool(after)
            return {"ShardIterator": f"{parameters['ShardId']} 0 {after}"}
        shard, page, after = parameters["ShardIterator"].split(" ")
        if int(page) < EMPTY_PAGES:
            return {"Records": [], "NextShardIterator": f"{shard} {int(page) + 1} {after}"}
        self.read.append(shard)
        return {"Records": [each for each in self.records[shard] if each["dynamodb"]["SequenceNumber"] > after]}


def test_every_shard_is_read_after_its_parent_to_its_end_and_once() -> None:
    first, second, third = (
        bucket_record(number, {"rpm": number - 1} if number > 1 else None, {"rpm": number}) for number in (1, 2, 3)
    )
    table, streams, clock = Streamed(), Shards({"parent": [first, second], "child": [third]}), TurnableClock()
    intake = Intake(Snapshots(table, "table", clock=clock), windows=("daily",), runtime=BlockingRuntime())
    reader = StreamReader(table, streams, "table", clock=clock)

    progress = run(reader.read(intake))

    assert streams.read == ["parent", "child"]
    assert (progress.shards, progress.records, progress.counted) == (2, 3, 3)
    assert list(table.usage().values()) == [{"rpm": 3}]
    again = run(reader.read(intake))
    assert (again.shards, again.records) == (2, 0)
