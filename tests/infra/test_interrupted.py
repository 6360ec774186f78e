"""Commands that are killed half-way: what is there then says so, and the same command ends it."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.dynamodb.tables import fresh_name
from tests.infra.gate import Gate, guarded
from tests.infra.template import TABLE_ARN
from zae_limiter import Limit, SyncRateLimiter, SyncRepository

Run = Callable[..., "subprocess.CompletedProcess[str]"]
TRIES = 20
WIDE = [Limit.per_minute("rpm", 10_000)]

pytestmark = pytest.mark.slow


@pytest.fixture
def gate(dynamodb_endpoint: str) -> Iterator[Gate]:
    with guarded(dynamodb_endpoint, fresh_name(), TABLE_ARN) as made:
        yield made


@pytest.fixture
def owner(gate: Gate, dynamodb_endpoint: str) -> Iterator[SyncRepository]:
    made = SyncRepository(gate.table_name, endpoint_url=dynamodb_endpoint, timeout=30.0)
    made.create_table()
    yield made
    made.delete_table()
    made.close()


def command(gate: Gate, *arguments: str) -> list[str]:
    store = f"dynamodb://{gate.table_name}?region=eu-central-1&endpoint_url={gate.url}"
    return [sys.executable, "-m", "zae_limiter", *arguments, "--store", store]


@pytest.fixture
def run(gate: Gate) -> Run:
    """Runs a command to its end, again where a busy machine took longer for an answer than the command waits."""

    def run_in_time(*arguments: str) -> "subprocess.CompletedProcess[str]":
        for _ in range(TRIES):
            done = subprocess.run(command(gate, *arguments), capture_output=True, text=True, check=False)
            if "TimeoutError" not in done.stderr:
                return done
        raise AssertionError(f"{arguments} was not answered in {TRIES} tries")

    return run_in_time


@pytest.fixture
def killed(gate: Gate) -> Callable[..., None]:
    """Runs a command that is killed when it sends its n-th request of a kind; the request still arrives."""

    def kill_at(operation: str, number: int, *arguments: str) -> None:
        sent = 0

        def reached(kind: str) -> None:
            nonlocal sent
            sent += kind == operation
            if kind == operation and sent == number:
                process.kill()
                process.wait()

        gate.reached = reached
        for _ in range(TRIES):
            sent = 0
            line = command(gate, *arguments)
            with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
                status = process.wait()
            assert status, "it came to its end before it could be killed"
            if status == -signal.SIGKILL:
                gate.reached = lambda _: None
                return
        raise AssertionError(f"{arguments} was not killed in {TRIES} tries")

    return kill_at


def items(owner: SyncRepository, endpoint: str, namespace_id: str) -> list[dict[str, Any]]:
    """Every record of a namespace."""
    client = boto3.client("dynamodb", endpoint_url=endpoint)
    found = client.scan(TableName=owner.table_name, ConsistentRead=True)["Items"]
    client.close()
    return [item for item in found if item["PK"]["S"].startswith(f"{namespace_id}/")]


def test_a_purge_that_was_killed_is_told_and_ended_by_the_next(
    gate: Gate, owner: SyncRepository, run: Run, killed: Callable[..., None], dynamodb_endpoint: str
) -> None:
    """Weak point W44: an id in the middle of a purge is listed, cannot come back half empty, and is purged again."""
    registered = owner.register_namespaces(["doomed", "kept"])
    for name in registered:
        limiter = SyncRateLimiter(owner.namespace(name), timeout=30.0)
        for number in range(20):
            limiter.create_entity(f"user-{number}")
    owner.delete_namespace("doomed")
    before = len(items(owner, dynamodb_endpoint, registered["doomed"]))
    kept = items(owner, dynamodb_endpoint, registered["kept"])

    killed("BatchWriteItem", 6, "namespace", "purge", registered["doomed"], "--yes")

    assert 0 < len(items(owner, dynamodb_endpoint, registered["doomed"])) < before
    (orphan,) = json.loads(run("namespace", "orphans", "--json").stdout)
    assert (orphan["namespace_id"], orphan["status"]) == (registered["doomed"], "purging")
    refused = run("namespace", "recover", registered["doomed"])
    assert refused.returncode == 1
    assert "its status is 'purging'; purge it to the end" in refused.stderr

    ended = run("namespace", "purge", registered["doomed"], "--yes")
    assert (ended.returncode, ended.stdout) == (0, f"removed {registered['doomed']}\n")
    assert items(owner, dynamodb_endpoint, registered["doomed"]) == []
    assert json.loads(run("namespace", "orphans", "--json").stdout) == []
    assert items(owner, dynamodb_endpoint, registered["kept"]) == kept


def test_limits_whose_apply_was_killed_are_told_and_applied_by_the_next(
    gate: Gate, owner: SyncRepository, run: Run, killed: Callable[..., None], tmp_path: Path
) -> None:
    """Weak point N5: the plan is made from the store itself, so what was done before the kill is not done again."""
    owner.set_resource_defaults("resource-0", WIDE)
    declared = {"resources": {f"resource-{number}": ["5/second"] for number in range(8)}}
    path = tmp_path / "limits.json"
    path.write_text(json.dumps(declared), encoding="utf-8")

    killed("TransactWriteItems", 2, "limits", "apply", "-f", str(path), "--yes")

    left = len(json.loads(run("limits", "plan", "-f", str(path), "--json").stdout))
    assert 1 < left < 8
    differs = run("limits", "diff", "-f", str(path))
    assert differs.returncode == 3
    assert f"the store differs in {left} levels; 'zae-limiter limits apply' makes it as declared" in differs.stderr
    assert run("limits", "apply", "-f", str(path), "--yes").returncode == 0
    assert run("limits", "diff", "-f", str(path)).returncode == 0
    for number in range(8):
        events = owner.get_audit_events(f"$RESOURCE:resource-{number}")
        assert len(events) == (2 if number == 0 else 1)
