"""Commands on the stack and on the table of a deployed limiter: a scripted CloudFormation, a real DynamoDB Local."""

import json
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from click.testing import CliRunner, Result

from tests import http_server
from tests.infra import scripts
from tests.infra.cloudformation import Endpoint, Phase, Stack, parameters_in, served
from tests.infra.conftest import TurningBlocking
from tests.infra.functions import Functions
from tests.infra.functions import served as served_functions
from tests.patience import PATIENCE
from zae_limiter import SyncRepository, __version__
from zae_limiter.cli import cli
from zae_limiter.infra.tags import managed_tags
from zae_limiter.infra.template import parameters_of, template_text
from zae_limiter.models import StackOptions
from zae_limiter.testing import TurnableClock

Run = Callable[..., Result]


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with served() as made:
        yield made


@pytest.fixture
def functions() -> Iterator[Functions]:
    with served_functions() as made:
        yield made


@pytest.fixture
def name() -> str:
    return f"limits-{uuid4().hex[:12]}"


@pytest.fixture
def run(
    endpoint: Endpoint,
    dynamodb_endpoint: str,
    name: str,
    clock: TurnableClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    """Runs a command on a stack of this test's own; its waits turn a clock."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", endpoint.url)
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", dynamodb_endpoint)
    monkeypatch.setenv("ZAE_LIMITER_NAME", name)
    ports = {"clock": clock, "runtime": TurningBlocking(clock)}
    return lambda *arguments, answer=None: CliRunner().invoke(cli, list(arguments), obj=ports, input=answer)


def standing(endpoint: Endpoint, name: str, status: str = "CREATE_COMPLETE") -> Stack:
    parameters = parameters_of(StackOptions(lambda_memory=512), name)
    endpoint.stacks[name] = Stack(name, status, parameters=parameters, tags=managed_tags(name))
    return endpoint.stacks[name]


def test_a_limiter_is_deployed_and_ready_to_use(run: Run, endpoint: Endpoint, name: str) -> None:
    endpoint.scripts["CreateStack"] = scripts.CREATED
    deployed = run("deploy", "--no-aggregator", "--audit-retention-days", "7", "-t", "team=core")

    assert deployed.exit_code == 0, deployed.stderr
    assert deployed.stdout == f"stack {name}: CREATE_COMPLETE\nthe table is ready, with the namespace 'default'\n"
    assert "RateLimitsTable  CREATE_COMPLETE" in deployed.stderr
    assert parameters_in(endpoint.asked("CreateStack")[0])["EnableAggregator"] == "false"
    with SyncRepository(name, timeout=PATIENCE) as repository:
        assert repository.get_audit_retention() == 7
    assert run("check").exit_code == 0
    versions = json.loads(run("version", "--json").stdout)
    assert (versions["client"], versions["schema_version"]) == (__version__, versions["schema_needed"])


def test_a_deployment_and_an_upgrade_are_told_as_data(run: Run, endpoint: Endpoint, name: str) -> None:
    endpoint.scripts["CreateStack"] = scripts.CREATED
    endpoint.scripts["UpdateStack"] = scripts.UPDATED

    assert json.loads(run("deploy", "--no-aggregator", "--json").stdout) == {
        "name": name,
        "stack_status": "CREATE_COMPLETE",
        "is_ready": True,
        "function": None,
    }
    assert json.loads(run("upgrade", "--json").stdout) == {
        "name": name,
        "stack_status": "UPDATE_COMPLETE",
        "function": None,
        "migrations": [],
    }


def test_what_is_not_given_keeps_its_value(run: Run, endpoint: Endpoint, name: str) -> None:
    standing(endpoint, name)
    endpoint.scripts["UpdateStack"] = scripts.UPDATED
    changed = run("deploy", "--lambda-timeout", "30", "--log-retention-days", "7")
    parameters = endpoint.stacks[name].parameters

    assert changed.exit_code == 0, changed.stderr
    assert (parameters["LambdaMemorySize"], parameters["LambdaTimeout"]) == ("512", "30")
    assert parameters["LogRetentionDays"] == "7"


def test_a_deployment_can_be_left_alone(run: Run, endpoint: Endpoint) -> None:
    endpoint.scripts["CreateStack"] = scripts.CREATED
    begun = run("deploy", "--no-wait")

    assert begun.exit_code == 0
    assert "run deploy again then" in begun.stdout


def test_a_deployment_that_fails_is_one_line_with_its_cause(run: Run, endpoint: Endpoint) -> None:
    endpoint.scripts["CreateStack"] = scripts.ROLLED_BACK
    failed = run("deploy")

    assert failed.exit_code == 1
    assert "ROLLBACK_COMPLETE" in failed.stderr.splitlines()[-1]
    assert "cannot be assumed" in failed.stderr


@pytest.mark.parametrize(
    ("option", "value"),
    [("--role-name-format", "team"), ("--aggregator-role-arn", "arn"), ("--snapshot-windows", "weekly")],
)
def test_an_option_that_cannot_be_is_refused_before_anything_is_sent(
    run: Run, endpoint: Endpoint, option: str, value: str
) -> None:
    assert run("deploy", option, value).exit_code == 1
    assert endpoint.asked("CreateStack") == []


def test_a_stack_is_deleted_when_told_twice(run: Run, endpoint: Endpoint, name: str) -> None:
    standing(endpoint, name)
    endpoint.scripts["DeleteStack"] = [*scripts.DELETED]

    assert run("delete", answer="n\n").exit_code == 1
    assert endpoint.asked("DeleteStack") == []
    assert run("delete", "--yes").stdout == f"deleted {name}\n"
    assert run("delete", "--yes").exit_code == 1


def test_a_name_with_a_slash_stands_for_no_other_stack(run: Run, endpoint: Endpoint, name: str) -> None:
    standing(endpoint, name)
    answer = run("delete", "--name", f"{name}/staging", "--yes")

    assert answer.exit_code == 1
    assert f"(got '{name}/staging')" in answer.stderr
    assert endpoint.asked("DeleteStack") == []


def test_an_option_that_cannot_be_is_told_before_anything_is_asked(run: Run, endpoint: Endpoint) -> None:
    assert "snapshot_windows: must name some of" in run("deploy", "--snapshot-windows", "yearly").stderr
    assert endpoint.requests == []


def test_a_deletion_is_told_as_data(run: Run, endpoint: Endpoint, name: str) -> None:
    for flag, is_gone in (("--wait", True), ("--no-wait", False)):
        standing(endpoint, name)
        endpoint.scripts["DeleteStack"] = [*scripts.DELETED]
        assert json.loads(run("delete", "--yes", "--json", flag).stdout) == {"name": name, "is_gone": is_gone}


def test_who_only_looks_does_not_wait_a_minute_for_cloudformation(
    run: Run, clock: TurnableClock, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    SyncRepository(name, timeout=PATIENCE).create_table()
    with http_server.served(lambda _: http_server.Answer(403, {}, b"Forbidden by the proxy")) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", proxy)
        began_ns = clock.monotonic_ns()
        listed, status = run("list"), run("status", "--json")
        seconds = (clock.monotonic_ns() - began_ns) / 1e9

    assert seconds < 11
    for answer in (listed, status):
        assert (
            "CloudFormation does not answer; see that the region, the endpoint and any proxy are right" in answer.stderr
        )
    assert (listed.exit_code, listed.stdout) == (1, "")
    assert json.loads(status.stdout)["table_status"] == "ACTIVE"


def test_a_protected_table_says_how_it_is_deleted(run: Run, endpoint: Endpoint, name: str) -> None:
    standing(endpoint, name)
    endpoint.scripts["DeleteStack"] = scripts.DELETE_REFUSED
    refused = run("delete", "--yes")

    assert refused.exit_code == 1
    assert "--no-deletion-protection" in refused.stderr


def test_an_upgrade_keeps_parameters_and_brings_the_schema(run: Run, endpoint: Endpoint, name: str) -> None:
    standing(endpoint, name)
    SyncRepository(name, timeout=PATIENCE).create_table()
    endpoint.scripts["UpdateStack"] = scripts.UPDATED
    upgraded = run("upgrade")

    assert upgraded.exit_code == 0, upgraded.stderr
    assert upgraded.stdout == f"stack {name}: UPDATE_COMPLETE\nschema: up to date\n"
    assert endpoint.stacks[name].parameters["LambdaMemorySize"] == "512"
    assert run("upgrade", "--lambda-only").stdout == ""


def test_older_code_does_not_go_on_a_newer_stack(
    run: Run, endpoint: Endpoint, functions: Functions, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", functions.url)
    functions.name = f"{name}-aggregator"
    stack = standing(endpoint, name)
    stack.outputs["AggregatorFunctionName"] = functions.name
    SyncRepository(name, timeout=PATIENCE).create_table()
    assert run("upgrade", "--lambda-only").stdout.startswith(f"function {functions.name}: deployed")

    functions.asked.clear()
    stack.tags["zae-limiter:version"] = "99.0.0"
    refused = run("upgrade", "--lambda-only")
    assert refused.exit_code == 1
    assert f"was made by version 99.0.0 of the library, this is {__version__}" in refused.stderr
    assert functions.asked == []


def test_status_tells_how_table_and_stack_stand(run: Run, endpoint: Endpoint, name: str) -> None:
    missing = run("status")
    SyncRepository(name, timeout=PATIENCE).create_table()
    alone = json.loads(run("status", "--json").stdout)
    stack = standing(endpoint, name)
    whole = run("status")
    stack.ahead = [Phase("IMPORT_COMPLETE")]
    assert run("status").exit_code == 0
    stack.ahead = [Phase("UPDATE_ROLLBACK_FAILED")]
    failed = run("status")

    assert (missing.exit_code, whole.exit_code, failed.exit_code) == (3, 0, 3)
    assert (alone["available"], alone["table_status"], alone["stack_status"]) == (True, "ACTIVE", None)
    assert alone["aggregator_enabled"] is False
    assert "UPDATE_ROLLBACK_FAILED" in failed.stderr


def test_a_table_without_a_version_is_told(run: Run, name: str) -> None:
    assert run("check").exit_code == 1
    repository = SyncRepository(name, timeout=PATIENCE)
    repository.create_table()
    repository.set_version_record("99.0.0")

    assert run("check").exit_code == 3
    assert "upgrade the library" in run("check").stderr


def test_what_is_deployed_is_listed(run: Run, endpoint: Endpoint) -> None:
    nothing = run("list")
    standing(endpoint, "api")
    standing(endpoint, "web", "UPDATE_ROLLBACK_COMPLETE")

    assert nothing.stdout == "no limiter is deployed here; 'zae-limiter deploy' makes one\n"
    assert run("list").stdout.splitlines()[-1] == "2 in all, 1 failed, 0 in progress"
    assert [each["user_name"] for each in json.loads(run("list", "--json").stdout)] == ["api", "web"]


def test_usage_is_rolled_up_from_the_stream(run: Run, name: str) -> None:
    SyncRepository(name, timeout=PATIENCE).create_table()
    assert run("acquire", "user-1", "api", "-c", "3", "--limits", "10/hour").exit_code == 0
    rolled = run("usage", "rollup")

    assert rolled.exit_code == 0, rolled.stderr
    assert "1 changes counted" in rolled.stdout
    assert json.loads(run("usage", "summary", "-e", "user-1", "--json").stdout)["total"] == {"rph": 3}
    assert "0 changes counted" in run("usage", "rollup").stdout
    assert run("usage", "rollup", "--windows", "weekly").exit_code == 2


def test_the_template_and_the_package_are_written(run: Run, tmp_path: Path) -> None:
    assert run("cfn-template").stdout == template_text()
    assert run("cfn-template", "-o", "limiter.yaml").exit_code == 0
    assert (tmp_path / "limiter.yaml").read_text(encoding="utf-8") == template_text()
    assert run("cfn-template", "-o", "nowhere/limiter.yaml").exit_code == 1
    (tmp_path / "limiter.yaml").write_text("mine", encoding="utf-8")
    assert "--force replaces it" in run("cfn-template", "-o", "limiter.yaml").stderr
    assert (tmp_path / "limiter.yaml").read_text(encoding="utf-8") == "mine"
    assert run("cfn-template", "-o", "limiter.yaml", "--force").exit_code == 0
    assert (tmp_path / "limiter.yaml").read_text(encoding="utf-8") == template_text()
    assert run("cfn-template", "-o", os.devnull).exit_code == 0
    assert "handler" in run("lambda-export", "--info").stdout
    assert run("lambda-export").exit_code == 0
    assert "index.py" in zipfile.ZipFile(tmp_path / "lambda.zip").namelist()
    assert run("lambda-export").exit_code == 1
    assert run("lambda-export", "--force").exit_code == 0
