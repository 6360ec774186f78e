"""A repository makes the stack of its own table, writes what must be in it, and takes it away."""

import dataclasses
from collections.abc import Iterator
from uuid import uuid4

import boto3
import pytest

from tests.infra import scripts
from tests.infra.cloudformation import Endpoint
from tests.infra.functions import Functions
from tests.patience import PATIENCE, PatientBlockingRuntime
from zae_limiter import RepositoryBuilder, StackOptions, SyncRepository, __version__
from zae_limiter.infra.lambda_builder import build_lambda_package
from zae_limiter.schema import SCHEMA_VERSION, get_table_definition
from zae_limiter.testing import TurnableClock


@pytest.fixture
def name(dynamodb_endpoint: str) -> Iterator[str]:
    """The name of a stack whose table is there, since the scripted CloudFormation only talks of it."""
    client = boto3.client("dynamodb", endpoint_url=dynamodb_endpoint or None)
    made = f"limits-{uuid4().hex[:12]}"
    client.create_table(**get_table_definition(made))
    yield made
    client.delete_table(TableName=made)
    client.close()


def test_a_builder_has_a_step_for_every_option_of_a_stack() -> None:
    options = {field.name for field in dataclasses.fields(StackOptions)}
    steps = {name for name in dir(RepositoryBuilder) if not name.startswith("_")}
    assert options - steps == set()


def test_a_stack_is_created_with_a_table_that_can_be_used_and_deleted(
    endpoint: Endpoint, name: str, clock: TurnableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", endpoint.url)
    endpoint.scripts["CreateStack"] = scripts.CREATED
    made = SyncRepository(name, clock=clock, runtime=PatientBlockingRuntime(clock), timeout=PATIENCE)
    made.create_stack(StackOptions(enable_aggregator=False, audit_retention_days=30))
    assert made.open().get_audit_retention() == 30
    assert made.get_version_record() is not None
    made.create_stack()
    assert len(endpoint.asked("CreateStack")) == 1
    builder = SyncRepository.builder(name).enable_aggregator(False).lambda_memory(512).audit_retention_days(7)
    endpoint.scripts["UpdateStack"] = scripts.UPDATED
    builder._set("clock", clock)._set("runtime", PatientBlockingRuntime(clock))
    with builder.build() as built:
        assert built.get_audit_retention() == 7
    assert len(endpoint.asked("UpdateStack")) == 1
    endpoint.scripts["DeleteStack"] = scripts.DELETED
    made.delete_stack()
    assert len(endpoint.asked("DeleteStack")) == 1
    made.close()


def test_a_stack_with_a_function_gets_its_code_and_the_table_knows_the_version(
    endpoint: Endpoint, functions: Functions, name: str, clock: TurnableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weak point N4: what a stack deploys works without a further step."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", endpoint.url)
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", functions.url)
    functions.name = f"{name}-aggregator"
    endpoint.scripts["CreateStack"] = scripts.CREATED
    made = SyncRepository(name, clock=clock, runtime=PatientBlockingRuntime(clock), timeout=PATIENCE)

    made.create_stack(StackOptions())

    assert functions.code == build_lambda_package()
    record = made.get_version_record()
    assert record is not None
    assert (record["lambda_version"], record["schema_version"]) == (__version__, SCHEMA_VERSION)

    functions.asked.clear()
    endpoint.stacks[name].tags["zae-limiter:version"] = "99.0.0"
    made.create_stack(StackOptions())
    assert functions.asked == []
    made.close()
