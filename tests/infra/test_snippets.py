"""The table as Terraform and the CDK make it from what the guide says: the one that the template makes by default."""

import importlib.util
import json
import re
import subprocess
import sys
from typing import Any

import hcl2
import pytest

from tests.infra.template import Resolved
from tests.packages import ROOT

GUIDE = (ROOT / "docs/guide/stack.md").read_text(encoding="utf-8")
LEFT_TO_THE_READER = ("TableName", "Tags")
AS_BY_DEFAULT = {"DeletionProtectionEnabled": False}


def snippet(beginning: str) -> str:
    texts: list[str] = re.findall(r"```\w+\n(.*?)```", GUIDE, re.DOTALL)
    (found,) = [text for text in texts if text.startswith(beginning)]
    return found


def expected() -> dict[str, Any]:
    """What the template says of the table, without what is the default of AWS anyway."""
    properties = Resolved({}).resources()["RateLimitsTable"]["Properties"]
    assert {name: properties.pop(name) for name in AS_BY_DEFAULT} == AS_BY_DEFAULT
    return {name: value for name, value in properties.items() if name not in LEFT_TO_THE_READER}


def keys_of(partition: str, sort: str) -> list[dict[str, str]]:
    return [{"AttributeName": partition, "KeyType": "HASH"}, {"AttributeName": sort, "KeyType": "RANGE"}]


def plain(value: Any) -> Any:
    """What the parser of Terraform's language read, without its quotes and its own marks."""
    if isinstance(value, dict):
        return {key.strip('"'): plain(part) for key, part in value.items() if key != "__is_block__"}
    if isinstance(value, list):
        return [plain(part) for part in value]
    return value.strip('"') if isinstance(value, str) else value


def of_terraform(block: dict[str, Any]) -> dict[str, Any]:
    """A block `aws_dynamodb_table` in the words of CloudFormation; a name that is not known here is an error."""
    (ttl,), (recovery,) = block.pop("ttl"), block.pop("point_in_time_recovery")
    assert block.pop("stream_enabled") is True
    found = {
        "BillingMode": block.pop("billing_mode"),
        "AttributeDefinitions": [
            {"AttributeName": each["name"], "AttributeType": each["type"]} for each in block.pop("attribute")
        ],
        "KeySchema": keys_of(block.pop("hash_key"), block.pop("range_key")),
        "GlobalSecondaryIndexes": [
            {
                "IndexName": each["name"],
                "KeySchema": keys_of(each["hash_key"], each["range_key"]),
                "Projection": {"ProjectionType": each["projection_type"]},
            }
            for each in block.pop("global_secondary_index")
        ],
        "StreamSpecification": {"StreamViewType": block.pop("stream_view_type")},
        "TimeToLiveSpecification": {"AttributeName": ttl["attribute_name"], "Enabled": ttl["enabled"]},
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": recovery["enabled"]},
    }
    assert set(block) == {"name"}
    return found


def test_terraform_makes_the_table_of_the_template() -> None:
    parsed = plain(hcl2.loads(snippet('resource "aws_dynamodb_table"')))

    (resource,) = parsed["resource"]
    assert of_terraform(resource["aws_dynamodb_table"]["limits"]) == expected()


class Words:
    """Names of the CDK, each its own value: `Words().BillingMode.PAY_PER_REQUEST`."""

    def __init__(self, name: str = "") -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return Words(name)

    def __call__(self, **arguments: Any) -> dict[str, Any]:
        return arguments

    def __str__(self) -> str:
        return self._name


class Table:
    """What a snippet says of a table of the CDK, in the words of CloudFormation."""

    made: dict[str, Any]

    def __init__(self, scope: object, name: str, **given: Any) -> None:
        partition, sort = given.pop("partition_key"), given.pop("sort_key")
        recovery = given.pop("point_in_time_recovery_specification")
        Table.made = {
            "BillingMode": str(given.pop("billing_mode")),
            "AttributeDefinitions": [defined(partition), defined(sort)],
            "KeySchema": keys_of(partition["name"], sort["name"]),
            "StreamSpecification": {"StreamViewType": str(given.pop("stream"))},
            "TimeToLiveSpecification": {"AttributeName": given.pop("time_to_live_attribute"), "Enabled": True},
            "PointInTimeRecoverySpecification": {
                "PointInTimeRecoveryEnabled": recovery["point_in_time_recovery_enabled"]
            },
        }
        assert set(given) == {"table_name"}

    def add_global_secondary_index(
        self, *, index_name: str, partition_key: Any, sort_key: Any, projection_type: object
    ) -> None:
        self.made["AttributeDefinitions"] += [defined(partition_key), defined(sort_key)]
        self.made["GlobalSecondaryIndexes"] = [
            {
                "IndexName": index_name,
                "KeySchema": keys_of(partition_key["name"], sort_key["name"]),
                "Projection": {"ProjectionType": str(projection_type)},
            }
        ]


def defined(attribute: dict[str, Any]) -> dict[str, str]:
    return {"AttributeName": attribute["name"], "AttributeType": str(attribute["type"])[0]}


def test_the_cdk_is_told_the_table_of_the_template() -> None:
    """The snippet run with stand-ins that know the CDK's names: what it says, without the CDK."""
    words: Any = Words()
    words.Table = Table
    imported, _, body = snippet("from aws_cdk import").partition("\n\n")

    exec(body, {"dynamodb": words, "self": None})

    assert imported == "from aws_cdk import aws_dynamodb as dynamodb"
    assert Table.made == expected()


SYNTHESIZE = """
import json, sys
from aws_cdk import App, Stack
stack = Stack(App(), "limits")
exec(sys.argv[1], {"self": stack})
print(json.dumps(stack.node.root.synth().get_stack_by_name("limits").template))
"""


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("aws_cdk") is None, reason="the group cdk is not installed")
def test_the_cdk_synthesizes_the_table_of_the_template() -> None:
    command = [sys.executable, "-c", SYNTHESIZE, snippet("from aws_cdk import")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    resources = json.loads(done.stdout)["Resources"].values()
    (properties,) = [each["Properties"] for each in resources if each["Type"] == "AWS::DynamoDB::Table"]
    assert {name: value for name, value in properties.items() if name not in LEFT_TO_THE_READER} == expected()
