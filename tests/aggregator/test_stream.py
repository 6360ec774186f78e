"""The stream of a real table: counted by the function through a pump, and by reading it without a function."""

import gzip
import json
import random
import time
from collections.abc import Mapping
from typing import Any

import pytest

from tests.aggregator.conftest import StreamedTable
from tests.aggregator.pump import Pump
from tests.aggregator.test_archive import Objects
from zae_limiter.aggregator.archive import Archive
from zae_limiter.aggregator.handler import answer_of
from zae_limiter.aggregator.intake import Intake
from zae_limiter.aggregator.snapshots import Snapshots
from zae_limiter.aggregator.stream import Progress, StreamReader, as_delivered, in_order, roll_up
from zae_limiter.aws import BlockingClient, Connection
from zae_limiter.aws_errors import NotWritten, Rejected
from zae_limiter.blocking import run
from zae_limiter.exceptions import InfrastructureNotFoundError
from zae_limiter.ports import Client
from zae_limiter.runtimes import BlockingRuntime
from zae_limiter.schema import PK, SK, TTL, audit_key, get_table_definition, rollup_key
from zae_limiter.system_clock import SystemClock


def client_of(table: StreamedTable, service: str = "dynamodb") -> BlockingClient:
    at = Connection(endpoint_url=table.endpoint, timeout=20.0)
    return BlockingClient(service, table.name, at, clock=SystemClock(), runtime=BlockingRuntime())


def intake_of(table: StreamedTable, client: Client, objects: Objects | None = None) -> Intake:
    clock = SystemClock()
    return Intake(
        Snapshots(client, table.name, clock=clock),
        windows=("hourly", "daily", "monthly"),
        runtime=BlockingRuntime(),
        archive=None if objects is None else Archive(objects, "archive", clock=clock),
    )


class Unreliable:
    """A client that sometimes loses a request, and sometimes an answer."""

    def __init__(self, client: Client, chance: random.Random) -> None:
        self._client = client
        self._chance = chance
        self.lost = 0

    async def once(self, operation: str, parameters: Mapping[str, Any], *, seconds: float) -> Mapping[str, Any]:
        return await self._client.once(operation, parameters, seconds=seconds)

    async def call(self, operation: str, parameters: Mapping[str, Any], *, deadline_ns: int) -> Mapping[str, Any]:
        accident = self._chance.random()
        if accident < 0.15:
            self.lost += 1
            raise NotWritten("no connection", stack_name="table")
        answer = await self._client.call(operation, parameters, deadline_ns=deadline_ns)
        if accident > 0.85:
            self.lost += 1
            raise NotWritten("the answer was lost", stack_name="table")
        return answer


def charge(table: StreamedTable, chance: random.Random, count: int) -> dict[str, dict[str, int]]:
    """Charge a few buckets, remove some on the way, and tell what was charged."""
    charged: dict[str, dict[str, int]] = {}
    for _ in range(count):
        entity = chance.choice(("ada", "bob", "eve"))
        if chance.random() < 0.1:
            table.remove(entity)
            continue
        amounts = {limit: chance.choice((1, 20, -2)) for limit in chance.sample(("rpm", "tpm"), chance.choice((1, 2)))}
        table.charge(entity, **amounts)
        used = charged.setdefault(entity, {})
        for limit, amount in amounts.items():
            used[limit] = used.get(limit, 0) + amount
    return charged


@pytest.mark.parametrize("seed", range(3))
def test_the_function_counts_what_was_charged_whatever_accidents_its_batches_have(
    table: StreamedTable, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("CRITICAL", "zae_limiter.aggregator")
    chance = random.Random(seed)
    charged = charge(table, chance, 60)
    client = Unreliable(client_of(table), chance)
    aggregator = intake_of(table, client)

    def invoke(event: Mapping[str, Any]) -> Mapping[str, Any]:
        answer = answer_of(run(aggregator.take(json.loads(json.dumps(event["Records"])))))
        if chance.random() < 0.2:
            raise TimeoutError("the end of the function was never heard of")
        return answer

    pump = Pump(invoke, batch_size=7, attempts=1_000)
    pump.deliver(table.records())
    pump.batch_size = 10
    pump.deliver(table.records())

    for window in ("hourly", "daily", "monthly"):
        assert {entity: table.used(entity, window) for entity in charged} == charged
    assert client.lost > 10


@pytest.mark.slow
def test_what_the_ttl_removes_is_archived_and_a_bucket_that_comes_again_counts_from_nothing(
    table_with_ttl: StreamedTable,
) -> None:
    table = table_with_ttl
    long_over = {TTL: {"N": str(int(time.time()) - 60)}}
    key = audit_key("ns", "ada", "0001")
    event = {"event_id": {"S": "0001"}, "entity_id": {"S": "ada"}, "timestamp": {"S": "2026-01-02T03:04:05Z"}}
    keys = {PK: {"S": key.pk}, SK: {"S": key.sk}}
    table.dynamodb.put_item(TableName=table.name, Item={**keys, **event, **long_over})
    table.charge("ada", rpm=5)
    table.dynamodb.put_item(TableName=table.name, Item={**table.bucket("ada"), **long_over})
    until = time.monotonic() + 120
    while table.dynamodb.scan(TableName=table.name)["Count"] and time.monotonic() < until:
        time.sleep(0.5)
    table.charge("ada", rpm=2)
    objects = Objects()
    objects.lost_answers = 1
    aggregator = intake_of(table, client_of(table), objects)
    calls = 0

    def invoke(batch: Mapping[str, Any]) -> Mapping[str, Any]:
        nonlocal calls
        calls += 1
        answer = answer_of(run(aggregator.take(batch["Records"])))
        if calls % 2:
            raise TimeoutError("the end of the function was never heard of")
        return answer

    records = table.records()
    for batch_size in (1, 2, 10):
        Pump(invoke, batch_size=batch_size, attempts=1_000).deliver(records)

    assert [record["eventName"] for record in records].count("REMOVE") == 2
    assert table.used("ada") == {"rpm": 7}
    ((name, content),) = objects.objects.items()
    assert name == "audit/year=2026/month=01/day=02/ns-03.jsonl.gz"
    assert [json.loads(line)["event_id"] for line in gzip.decompress(content).splitlines()] == ["0001"]
    assert objects.writes == 1


def test_a_rollup_counts_what_is_new_and_goes_on_where_it_was_left(table: StreamedTable) -> None:
    table.charge("ada", rpm=1)
    table.charge("ada", rpm=1, tpm=500)
    heard: list[int] = []

    first = roll_up(table.name, endpoint_url=table.endpoint, told=lambda progress: heard.append(progress.counted))
    again = roll_up(table.name, endpoint_url=table.endpoint)
    table.charge("ada", tpm=-100)
    later = roll_up(table.name, endpoint_url=table.endpoint, windows=("daily",))

    assert (first.shards, first.counted, first.snapshots) == (1, 2, 2)
    assert heard[0] == heard[-1] == 2
    # What the rollup itself has written is in the stream too.
    assert (again.counted, again.snapshots) == (0, 0)
    assert (later.counted, later.snapshots) == (1, 1)
    assert table.used("ada") == {"rpm": 2, "tpm": 400}
    assert table.used("ada", "hourly") == {"rpm": 2, "tpm": 500}


def test_more_limits_than_an_expression_names_are_counted_all_the_same(table: StreamedTable) -> None:
    names = [[f"l{number}x{place}" for place in range(20)] for number in range(24)]
    for own in names:
        table.charge("ada", **dict.fromkeys(own, 3))
    for _ in range(2):
        roll_up(table.name, endpoint_url=table.endpoint)
        run(intake_of(table, client_of(table)).take([as_delivered(record) for record in table.records()]))
        assert table.used("ada") == {name: 3 for own in names for name in own}


def test_a_rollup_and_the_function_may_both_count(table: StreamedTable) -> None:
    charged = charge(table, random.Random(1), 30)
    aggregator = intake_of(table, client_of(table))

    Pump(lambda event: answer_of(run(aggregator.take(event["Records"])))).deliver(table.records()[:11])
    roll_up(table.name, endpoint_url=table.endpoint)
    Pump(lambda event: answer_of(run(aggregator.take(event["Records"])))).deliver(table.records())

    assert {entity: table.used(entity) for entity in charged} == charged


@pytest.mark.parametrize("seed", range(3))
def test_a_rollup_that_was_broken_off_is_finished_by_the_next(table: StreamedTable, seed: int) -> None:
    chance = random.Random(seed)
    charged = charge(table, chance, 40)
    client = Unreliable(client_of(table), chance)
    reader = StreamReader(client, client_of(table, "dynamodbstreams"), table.name, clock=SystemClock())
    broken = 0
    for _ in range(200):
        try:
            run(reader.read(intake_of(table, client)))
        except NotWritten:
            broken += 1
        else:
            break

    assert {entity: table.used(entity) for entity in charged} == charged
    assert broken > 0


def test_a_record_that_cannot_be_read_is_skipped_and_told(table: StreamedTable) -> None:
    table.charge("ada", rpm=1)
    broken = {**table.bucket("bob"), "u.rpm": {"S": "not a number"}}
    table.dynamodb.put_item(TableName=table.name, Item=broken)
    table.charge("ada", rpm=1)

    progress = roll_up(table.name, endpoint_url=table.endpoint)

    assert progress.counted == 2
    assert [type(failure.error).__name__ for failure in progress.skipped] == ["MalformedRecordError"]
    assert table.used("ada") == {"rpm": 2}


def test_a_place_that_the_stream_no_longer_has_is_followed_by_the_oldest_that_it_has(table: StreamedTable) -> None:
    table.charge("ada", rpm=3)
    streams = Trimmed(client_of(table, "dynamodbstreams"))
    client = client_of(table)
    reader = StreamReader(client, streams, table.name, clock=SystemClock())
    run(reader.read(intake_of(table, client)))
    table.charge("ada", rpm=4)

    streams.trimmed = "TrimmedDataAccessException"
    run(reader.read(intake_of(table, client)))
    assert table.used("ada") == {"rpm": 7}

    streams.trimmed = "ValidationException"
    with pytest.raises(Rejected, match="ValidationException"):
        run(reader.read(intake_of(table, client)))


class Trimmed:
    """A client of a stream that has thrown away what lies behind the place that is asked for."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.trimmed: str | None = None

    async def once(self, operation: str, parameters: Mapping[str, Any], *, seconds: float) -> Mapping[str, Any]:
        return await self._client.once(operation, parameters, seconds=seconds)

    async def call(self, operation: str, parameters: Mapping[str, Any], *, deadline_ns: int) -> Mapping[str, Any]:
        if self.trimmed and parameters.get("ShardIteratorType") == "AFTER_SEQUENCE_NUMBER":
            raise Rejected(operation, self.trimmed, "as the test wants it")
        return await self._client.call(operation, parameters, deadline_ns=deadline_ns)


def test_a_table_without_a_stream_is_told_so(table: StreamedTable) -> None:
    definition = get_table_definition(f"{table.name}-dry")
    del definition["StreamSpecification"]
    table.dynamodb.create_table(**definition)

    with pytest.raises(InfrastructureNotFoundError, match="has no stream; enable it with old and new images"):
        roll_up(definition["TableName"], endpoint_url=table.endpoint)
    table.dynamodb.delete_table(TableName=definition["TableName"])


def test_the_place_in_a_shard_is_kept_only_while_the_stream_has_its_records(table: StreamedTable) -> None:
    table.charge("ada", rpm=1)
    roll_up(table.name, endpoint_url=table.endpoint)

    (kept,) = [
        item for item in table.dynamodb.scan(TableName=table.name)["Items"] if item[PK]["S"] == rollup_key("").pk
    ]
    assert 86_400 < int(kept[TTL]["N"]) - time.time() < 3 * 86_400


def test_shards_come_after_their_parents() -> None:
    shards = [
        {"ShardId": "c", "ParentShardId": "b"},
        {"ShardId": "b", "ParentShardId": "a"},
        {"ShardId": "d", "ParentShardId": "long gone"},
        {"ShardId": "a"},
    ]

    assert in_order(shards) == ["a", "b", "c", "d"]


def test_progress_starts_at_nothing() -> None:
    assert Progress() == Progress(0, 0, 0, 0, [])


def test_who_removed_an_item_is_told_in_the_words_of_lambda() -> None:
    record = {"dynamodb": {}, "userIdentity": {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}}

    assert as_delivered(record)["userIdentity"] == {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
