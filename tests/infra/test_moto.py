"""The scripted CloudFormation against moto's, wherever moto has the state: the same calls, the same answers.

moto goes from one end to the next at once and knows no rollback, no failed deletion, no update without a change;
those the scripts alone play, from AWS's documentation.
"""

import re
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.backends import get_backend
from moto.server import ThreadedMotoServer

from tests.infra import scripts
from tests.infra.cloudformation import STACK_TYPE, Endpoint

REGION = "eu-central-1"
STACK_ARN = re.compile(r"arn:aws:cloudformation:eu-central-1:\d{12}:stack/limits/[\w-]+")
WORDS = ("does not exist", "already exists", "is in ROLLBACK_COMPLETE state and can not be updated")
TEMPLATE = """
Parameters: {Memory: {Type: String}, Protected: {Type: String}}
Resources:
  Queue:
    Type: AWS::SQS::Queue
    Properties: {QueueName: !Ref AWS::StackName, VisibilityTimeout: !Ref Memory}
Outputs: {TableName: {Value: !Ref AWS::StackName}}
"""
BODY = {"TemplateBody": TEMPLATE}
MISSING = ("ValidationError", ["does not exist"])

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def moto_url() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def clients(endpoint: Endpoint, moto_url: str) -> Iterator[list[Any]]:
    made = [boto3.client("cloudformation", REGION, endpoint_url=url) for url in (endpoint.url, moto_url)]
    yield made
    made[1].delete_stack(StackName="limits")
    for client in made:
        client.close()


def both(clients: list[Any], operation: str, **asked: Any) -> Any:
    """What both answer, in the words that the library reads; it has to be the same."""
    scripted, real = (told(client, operation, asked) for client in clients)
    assert scripted == real, operation
    return scripted


def told(client: Any, operation: str, asked: dict[str, Any]) -> Any:
    try:
        answer = getattr(client, operation)(**asked)
    except ClientError as error:
        message = error.response["Error"]["Message"]
        # moto words some of AWS's messages in its own way; the rest of them is the same.
        return error.response["Error"]["Code"], [words for words in WORDS if words in message]
    if operation == "describe_stacks":
        return [described(stack) for stack in answer["Stacks"]]
    if operation == "describe_stack_events":
        # Newest first; of resources, moto tells nothing.
        events = [each for each in answer["StackEvents"] if each["ResourceType"] == STACK_TYPE]
        return [
            (each["LogicalResourceId"], each["ResourceStatus"], each.get("ResourceStatusReason")) for each in events
        ]
    assert set(answer) <= {"StackId", "ResponseMetadata"}
    return bool(STACK_ARN.fullmatch(answer["StackId"])) if "StackId" in answer else None


def described(stack: dict[str, Any]) -> dict[str, Any]:
    assert STACK_ARN.fullmatch(stack["StackId"])
    return {
        "name": stack["StackName"],
        "status": stack["StackStatus"],
        "parameters": sorted((each["ParameterKey"], each["ParameterValue"]) for each in stack["Parameters"]),
        "tags": sorted((each["Key"], each["Value"]) for each in stack["Tags"]),
        "outputs": [(each["OutputKey"], each["OutputValue"]) for each in stack.get("Outputs", ())],
    }


def settle(endpoint: Endpoint) -> None:
    """Let the scripted stack come to the end of its script, where moto is at once."""
    stack = endpoint.stacks["limits"]
    while stack.ahead:
        endpoint.answer("DescribeStacks", {"StackName": stack.stack_id})


def create(endpoint: Endpoint, clients: list[Any]) -> list[str]:
    """Create the stack on both; its ids."""
    endpoint.scripts["CreateStack"] = scripts.CREATED
    parameters = [
        {"ParameterKey": "Memory", "ParameterValue": "256"},
        {"ParameterKey": "Protected", "ParameterValue": "true"},
    ]
    tags = [{"Key": "team", "Value": "core"}]
    asked = {"StackName": "limits", "TemplateBody": TEMPLATE, "Parameters": parameters, "Tags": tags}
    assert both(clients, "create_stack", **asked) is True
    settle(endpoint)
    return [client.describe_stacks(StackName="limits")["Stacks"][0]["StackId"] for client in clients]


def test_a_stack_that_is_not_there(clients: list[Any]) -> None:
    for operation, asked in (("describe_stacks", {}), ("describe_stack_events", {}), ("update_stack", BODY)):
        assert both(clients, operation, StackName="limits", **asked) == MISSING
    assert both(clients, "delete_stack", StackName="limits") is None


def test_a_stack_from_its_creation_to_its_deletion(endpoint: Endpoint, clients: list[Any]) -> None:
    ids = create(endpoint, clients)
    (stack,) = both(clients, "describe_stacks", StackName="limits")
    assert stack["status"] == "CREATE_COMPLETE"
    assert both(clients, "describe_stack_events", StackName="limits") == [
        ("limits", "CREATE_COMPLETE", None),
        ("limits", "CREATE_IN_PROGRESS", "User Initiated"),
    ]
    again = both(clients, "create_stack", StackName="limits", TemplateBody=TEMPLATE)
    assert again == ("AlreadyExistsException", ["already exists"])

    endpoint.scripts["UpdateStack"] = scripts.UPDATED
    changed = [
        {"ParameterKey": "Memory", "ParameterValue": "512"},
        {"ParameterKey": "Protected", "UsePreviousValue": True},
    ]
    asked = {"StackName": "limits", "TemplateBody": TEMPLATE, "Parameters": changed}
    both(clients, "update_stack", **asked, Tags=[{"Key": "team", "Value": "web"}])
    settle(endpoint)
    (stack,) = both(clients, "describe_stacks", StackName="limits")
    assert (stack["status"], stack["parameters"], stack["tags"]) == (
        "UPDATE_COMPLETE",
        [("Memory", "512"), ("Protected", "true")],
        [("team", "web")],
    )

    endpoint.scripts["DeleteStack"] = scripts.DELETED
    assert both(clients, "delete_stack", StackName="limits") is None
    settle(endpoint)
    assert both(clients, "describe_stacks", StackName="limits") == MISSING
    by_id = [told(client, "describe_stacks", {"StackName": each}) for client, each in zip(clients, ids, strict=True)]
    assert [stack["status"] for (stack,) in by_id] == ["DELETE_COMPLETE"] * 2
    last = [
        told(client, "describe_stack_events", {"StackName": each})[:1]
        for client, each in zip(clients, ids, strict=True)
    ]
    assert last == [[("limits", "DELETE_COMPLETE", None)]] * 2


def test_a_stack_that_was_rolled_back_takes_no_update(endpoint: Endpoint, clients: list[Any]) -> None:
    """moto has this answer, though no way that leads to it: the state is set."""
    create(endpoint, clients)
    endpoint.stacks["limits"].status = "ROLLBACK_COMPLETE"
    get_backend("cloudformation")["123456789012"][REGION].get_stack("limits").status = "ROLLBACK_COMPLETE"

    refused = both(clients, "update_stack", StackName="limits", TemplateBody=TEMPLATE)

    assert refused == ("ValidationError", ["is in ROLLBACK_COMPLETE state and can not be updated"])
