"""Commands that read: they pass where only reading is allowed, make nothing, and tell a plain line where nothing is."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.cli.every import READING as OF_A_STORE
from tests.dynamodb.tables import fresh_name
from tests.infra.cloudformation import Endpoint, Stack
from tests.infra.gate import Gate, guarded
from tests.infra.template import TABLE_ARN, Resolved
from tests.patience import PatientBlockingRuntime
from zae_limiter import Limit, NamespaceNotFoundError, SyncRateLimiter, SyncRepository
from zae_limiter.cli import cli
from zae_limiter.exceptions import InfrastructureNotFoundError
from zae_limiter.infra.tags import managed_tags
from zae_limiter.infra.template import parameters_of
from zae_limiter.models import StackOptions
from zae_limiter.schema import SCHEMA_VERSION
from zae_limiter.testing import TurnableClock

Run = Callable[..., Result]
TRIES = 20
READING = {**OF_A_STORE, "list": []}
NOT_OF_A_TABLE = {"list", "namespace list", "namespace orphans", "namespace show", "check", "status", "version"}
"""Reading commands that do not work in a namespace."""


@pytest.fixture
def gate(dynamodb_endpoint: str) -> Iterator[Gate]:
    """A gate that lets through what a reader may do."""
    with guarded(dynamodb_endpoint, f"limits-{fresh_name()[-12:]}", TABLE_ARN) as made:
        made.statements = Resolved({}).statements("ReadOnlyPolicy")
        yield made


@pytest.fixture
def owner(gate: Gate, dynamodb_endpoint: str, clock: TurnableClock) -> Iterator[SyncRepository]:
    repository = SyncRepository(gate.table_name, endpoint_url=dynamodb_endpoint, timeout=30.0)
    repository.create_table()
    limiter = SyncRateLimiter(repository, timeout=30.0)
    limiter.set_resource_defaults("api", [Limit.per_minute("rpm", 10)])
    limiter.set_limits("user-1", [Limit.per_minute("rpm", 20)], "api")
    limiter.create_entity("acme")
    limiter.create_entity("user-1", parent_id="acme")
    yield repository
    repository.delete_table()
    repository.close()


@pytest.fixture
def run(gate: Gate, endpoint: Endpoint, clock: TurnableClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", endpoint.url)
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", gate.url)
    monkeypatch.setenv("ZAE_LIMITER_NAME", gate.table_name)
    (tmp_path / "limits.json").write_text('{"resources": {"api": ["rpm=5/minute"]}}', encoding="utf-8")
    ports = {"clock": clock, "runtime": PatientBlockingRuntime(clock)}

    def run_in_time(command: str, *more: str) -> Result:
        """Run it again where a busy machine took longer for an answer than the command waits."""
        for _ in range(TRIES):
            done = CliRunner().invoke(cli, [*command.split(), *READING[command], *more], obj=ports)
            if "TimeoutError" not in done.stderr:
                return done
        raise AssertionError(f"{command} was not answered in {TRIES} tries")

    return run_in_time


def asked_to_change(endpoint: Endpoint) -> list[str]:
    return [operation for operation, _ in endpoint.requests if not operation.startswith("Describe")]


def test_commands_that_read_write_nothing(gate: Gate, owner: SyncRepository, run: Run, endpoint: Endpoint) -> None:
    """Weak point W40: status, version and check deployed code and rewrote records; here the role could not even."""
    endpoint.stacks[gate.table_name] = Stack(gate.table_name, "UPDATE_COMPLETE", tags=managed_tags(gate.table_name))
    before = owner.get_version_record()

    done = {command: run(command) for command in READING}

    assert {command: each.stderr for command, each in done.items() if each.exit_code not in (0, 3)} == {}
    assert [command for command, each in done.items() if each.exit_code == 3] == ["limits diff"]
    assert gate.denied == []
    assert asked_to_change(endpoint) == []
    assert owner.get_version_record() == before


def test_a_mistyped_name_makes_nothing_and_says_so_in_a_line(gate: Gate, run: Run, endpoint: Endpoint) -> None:
    """Weak points N6 and W42: no table, no stack, no traceback."""
    gate.statements = None

    done = {command: run(command) for command in READING if command != "list"}

    assert {command for command, each in done.items() if each.exit_code not in (1, 3)} == set()
    for command, each in done.items():
        assert isinstance(each.exception, SystemExit), command
        assert each.stderr.strip(), command
    assert {asked.action for asked in gate.passed} <= {"dynamodb:DescribeTable", *READS}
    assert asked_to_change(endpoint) == []


READS = {"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query"}


def test_a_mistyped_namespace_makes_nothing(gate: Gate, owner: SyncRepository, run: Run) -> None:
    """Weak point N6."""
    for command in sorted(set(READING) - NOT_OF_A_TABLE):
        done = run(command, "-N", "tennant")
        assert done.exit_code == 1, command
        assert "tennant" in done.stderr, command

    assert [each["name"] for each in owner.list_namespaces()] == ["default"]


def test_what_is_opened_must_be_there(gate: Gate, owner: SyncRepository, endpoint: Endpoint) -> None:
    """Weak point N6, from a program."""
    with pytest.raises(NamespaceNotFoundError):
        SyncRepository.connect(gate.table_name, endpoint_url=gate.url, namespace="tennant", timeout=30.0)
    gate.statements = None
    with pytest.raises(InfrastructureNotFoundError):
        SyncRepository.connect("no-such-table", endpoint_url=gate.url, timeout=30.0)
    assert {asked.action for asked in gate.passed} == {"dynamodb:BatchGetItem"}
    assert endpoint.requests == []


@pytest.mark.parametrize("has_function", [True, False])
def test_status_tells_the_function_by_the_stack_and_not_by_the_stream(
    gate: Gate, owner: SyncRepository, run: Run, endpoint: Endpoint, has_function: bool
) -> None:
    """Weak point W42: every table has a stream, not every stack a function; an update that went through is good."""
    parameters = parameters_of(StackOptions(enable_aggregator=has_function), gate.table_name)
    outputs = {"AggregatorFunctionName": "x"} if has_function else {}
    endpoint.stacks[gate.table_name] = Stack(
        gate.table_name, "UPDATE_COMPLETE", parameters=parameters, tags=managed_tags(gate.table_name), outputs=outputs
    )

    told = run("status", "--json")

    assert told.exit_code == 0
    assert f'"aggregator_enabled": {str(has_function).lower()}' in told.stdout
    assert f'"schema_version": "{SCHEMA_VERSION}"' in told.stdout
