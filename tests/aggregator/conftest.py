"""A table of DynamoDB Local with its stream, written to as charges are, and read as Lambda reads it."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest

from zae_limiter.schema import PK, SK, TTL, USAGE_SK, USED, Key, bucket_key, entity_key, get_table_definition, usage_of


@dataclass
class StreamedTable:
    """A table on DynamoDB Local."""

    name: str
    endpoint: str
    dynamodb: Any
    streams: Any
    arn: str

    def charge(self, entity: str, **amounts: int) -> None:
        """Add to the counters of a bucket, which is created if it is not there."""
        key = bucket_key("ns", entity, "api")
        self.dynamodb.update_item(
            TableName=self.name,
            Key={PK: {"S": key.pk}, SK: {"S": key.sk}},
            UpdateExpression="ADD " + ", ".join(f"#{limit} :{limit}" for limit in amounts),
            ExpressionAttributeNames={f"#{limit}": f"{USED}{limit}" for limit in amounts},
            ExpressionAttributeValues={f":{limit}": {"N": str(amount)} for limit, amount in amounts.items()},
        )

    def remove(self, entity: str) -> None:
        """Remove a bucket."""
        key = bucket_key("ns", entity, "api")
        self.dynamodb.delete_item(TableName=self.name, Key={PK: {"S": key.pk}, SK: {"S": key.sk}})

    def bucket(self, entity: str) -> dict[str, Any]:
        """A bucket as it stands, its keys alone if it is not there."""
        key = bucket_key("ns", entity, "api")
        keys = {PK: {"S": key.pk}, SK: {"S": key.sk}}
        found: dict[str, Any] = self.dynamodb.get_item(TableName=self.name, Key=keys, ConsistentRead=True)
        item: dict[str, Any] = found.get("Item", keys)
        return item

    def used(self, entity: str, window: str = "daily") -> dict[str, int]:
        """What all snapshots of such a window say that an entity used."""
        answer = self.dynamodb.query(
            TableName=self.name,
            KeyConditionExpression="PK = :pk AND begins_with(SK, :sk)",
            ExpressionAttributeValues={":pk": {"S": entity_key("ns", entity).pk}, ":sk": {"S": USAGE_SK}},
            ConsistentRead=True,
        )
        found: dict[str, int] = {}
        for item in answer["Items"]:
            if usage_of(Key(item[PK]["S"], item[SK]["S"]))[1:3] != ("api", window):
                continue
            for name, value in item.items():
                if name.startswith(USED):
                    limit = name.removeprefix(USED)
                    found[limit] = found.get(limit, 0) + int(value["N"])
        return found

    def records(self) -> list[dict[str, Any]]:
        """All that the stream holds, as Lambda would deliver it."""
        bodies: list[dict[str, Any]] = []

        def keep(response_dict: dict[str, Any], **_: Any) -> None:
            bodies.append(json.loads(response_dict["body"]))

        # The body on the wire is in the shape of Lambda's events; what the client makes of it holds datetimes.
        self.streams.meta.events.register("before-parse.dynamodb-streams.GetRecords", keep)
        (shard,) = self.streams.describe_stream(StreamArn=self.arn)["StreamDescription"]["Shards"]
        iterator = self.streams.get_shard_iterator(
            StreamArn=self.arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        while self.streams.get_records(ShardIterator=iterator)["Records"]:
            iterator = bodies[-1]["NextShardIterator"]
        self.streams.meta.events.unregister("before-parse.dynamodb-streams.GetRecords", keep)
        return [as_on_aws({**record, "eventSourceARN": self.arn}) for body in bodies for record in body["Records"]]


def as_on_aws(record: dict[str, Any]) -> dict[str, Any]:
    """DynamoDB Local calls what its ttl removes by a name that it does not know itself."""
    if record["eventName"] != "UNKNOWN_TO_SDK_VERSION":
        return record
    return record | {
        "eventName": "REMOVE",
        "userIdentity": {"type": "Service", "principalId": "dynamodb.amazonaws.com"},
    }


@pytest.fixture
def table(dynamodb_endpoint: str) -> Iterator[StreamedTable]:
    yield from table_of(dynamodb_endpoint, get_table_definition(f"stream-{uuid.uuid4().hex[:12]}"))


@pytest.fixture
def table_with_ttl(dynamodb_endpoint: str) -> Iterator[StreamedTable]:
    """A table without the listing: DynamoDB Local removes nothing by ttl from a table that has an index."""
    definition = get_table_definition(f"ttl-{uuid.uuid4().hex[:12]}")
    del definition["GlobalSecondaryIndexes"]
    definition["AttributeDefinitions"] = definition["AttributeDefinitions"][:2]
    yield from table_of(dynamodb_endpoint, definition)


def table_of(dynamodb_endpoint: str, definition: dict[str, Any]) -> Iterator[StreamedTable]:
    name = definition["TableName"]
    dynamodb = boto3.client("dynamodb", endpoint_url=dynamodb_endpoint)
    streams = boto3.client("dynamodbstreams", endpoint_url=dynamodb_endpoint)
    arn = dynamodb.create_table(**definition)["TableDescription"]["LatestStreamArn"]
    dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": TTL})
    yield StreamedTable(name, dynamodb_endpoint, dynamodb, streams, arn)
    dynamodb.delete_table(TableName=name)
    dynamodb.close()
    streams.close()
