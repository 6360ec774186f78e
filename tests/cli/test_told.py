"""What commands tell an operator beside their data: that nothing is there, what to do next, how far long work is."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import zae_limiter
from tests.cli.conftest import Run, rows
from tests.cli.terminal import on_a_terminal
from tests.cli.watched import watched
from zae_limiter import __version__
from zae_limiter.cli.condition import _is_elsewhere, _stack
from zae_limiter.cli.usage import _spanned
from zae_limiter.models import UsageSummary

PROGRESS = """
from zae_limiter.cli.render import progress
with progress() as tell:
    tell("3 of 7")
"""


@pytest.mark.slow
def test_a_terminal_is_told_that_nothing_is_there(run: Run, address: str) -> None:
    told = on_a_terminal(sys.executable, "-m", "zae_limiter", "audit", "list", "-e", "user-1", "--store", address)

    assert told == "nothing has been changed of user-1\r\n"
    assert run("audit", "list", "-e", "user-1").stdout.split() == ["TIME", "ACTION", "PRINCIPAL", "RESOURCE", "EVENT"]


@pytest.mark.slow
def test_progress_is_one_line_of_a_terminal_and_none_elsewhere() -> None:
    piped = subprocess.run([sys.executable, "-c", PROGRESS], capture_output=True, text=True, check=True)

    assert on_a_terminal(sys.executable, "-c", PROGRESS) == "\r\x1b[K3 of 7\r\x1b[K"
    assert piped.stdout + piped.stderr == ""


def test_usage_is_drawn_as_bars(run: Run) -> None:
    for cost in ("6", "2"):
        run("acquire", f"user-{cost}", "api", "-c", cost, "--limits", "10/hour")
    lines = run("usage", "list", "-r", "api", "-w", "hourly", "--plot").stdout.splitlines()

    assert lines[0] == "rph, hourly"
    assert (lines[1].count("█"), lines[1].split()[-1], len(lines)) == (40, "8", 2)
    assert run("usage", "list", "-r", "web", "--plot").stdout == "no usage is recorded\n"
    assert run("usage", "summary", "-r", "web").stdout == "no usage is recorded\n"
    assert run("usage", "summary", "-r", "api", "-w", "hourly").stdout.startswith("2 snapshots of windows that begin ")


@pytest.mark.parametrize(
    ("count", "last", "told"),
    [
        (1, "08", "1 snapshot of a window that begins at 08"),
        (2, "08", "2 snapshots of windows that begin at 08"),
        (1_200, "09", "1,200 snapshots of windows that begin from 08 to 09"),
    ],
)
def test_a_summary_tells_what_it_has_added_up(count: int, last: str, told: str) -> None:
    assert _spanned(UsageSummary(count, {}, {}, "08", last)) == told


def test_an_embedded_store_needs_no_rollup(run: Run) -> None:
    assert run("usage", "rollup").stdout == "this store counts usage by itself; there is nothing to do\n"
    assert json.loads(run("usage", "rollup", "--json").stdout) == {"records": 0, "counted": 0, "skipped": 0}


def test_a_purge_of_what_is_not_there_does_not_look_done(run: Run) -> None:
    for command in (("purge", "nothing", "--yes"), ("recover", "nothing")):
        answer = run("namespace", *command)
        assert answer.exit_code == 1
        assert "'zae-limiter namespace orphans' lists them by id" in answer.stderr


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["entity", "delete", "user-1"], {"entity_id": "user-1"}),
        (["entity", "delete-limits", "user-1", "-r", "api"], {"entity_id": "user-1", "resource": "api"}),
        (["resource", "delete-defaults", "api"], {"resource": "api"}),
        (["system", "delete-defaults"], {"level": "system"}),
    ],
)
def test_what_is_removed_is_told_as_data(run: Run, command: list[str], told: dict[str, str]) -> None:
    run("entity", "create", "user-1")

    assert json.loads(run(*command, "--yes", "--json").stdout) == told


def test_a_namespace_that_comes_back_is_told_as_data(run: Run) -> None:
    namespace_id = json.loads(run("namespace", "register", "staging", "--json").stdout)["staging"]
    deleted = run("namespace", "delete", "staging", "--yes", "--json")

    assert json.loads(deleted.stdout) == {"name": "staging", "namespace_id": namespace_id}
    assert json.loads(run("namespace", "recover", namespace_id, "--json").stdout) == {
        "name": "staging",
        "namespace_id": namespace_id,
    }
    run("namespace", "delete", "staging", "--yes")
    purged = run("namespace", "purge", namespace_id, "--yes", "--json")
    assert json.loads(purged.stdout) == {"namespace_id": namespace_id}


@pytest.mark.parametrize("command", ["acquire", "available"])
def test_without_limits_it_is_told_where_to_set_some(run: Run, command: str) -> None:
    answer = run(command, "user-1", "api")

    assert answer.exit_code == 1
    assert "no limits are set for 'user-1' on 'api' at any level" in answer.stderr
    assert "zae-limiter resource set-defaults api -l rpm:100/minute" in answer.stderr
    assert "limits: " in run(command, "user-1", "api", "--limits", "lots").stderr


def test_a_limit_is_told_as_it_was_written(run: Run) -> None:
    assert "(got 'rpm:10')" in run("resource", "set-defaults", "api", "-l", "rpm:10").stderr


def test_what_was_set_is_told_as_data(run: Run, tmp_path: Path) -> None:
    (tmp_path / "limits.json").write_text('{"resources": {"web": "5/minute"}}', encoding="utf-8")
    run("acquire", "user-1", "api", "-c", "5", "--limits", "10/hour")
    told = [
        json.loads(run(*command, "--json").stdout)
        for command in (
            ("resource", "set-defaults", "api", "-l", "rpm:7/minute"),
            ("system", "set-defaults", "-l", "rpm:7/minute"),
            ("entity", "set-limits", "user-1", "-l", "rpm:7/minute"),
        )
    ]

    assert [limit["capacity"] for limits in told for limit in limits] == [7, 7, 7]
    assert json.loads(run("reset", "user-1", "--yes", "--json").stdout) == {"buckets": 1}
    applied = json.loads(run("limits", "apply", "-f", "limits.json", "--yes", "--json").stdout)
    assert [each["level"] for each in applied] == ["resource web"]


def test_a_file_has_a_condition_and_a_version(run: Run, tmp_path: Path) -> None:
    status = json.loads(run("status", "--json").stdout)
    version = json.loads(run("version", "--json").stdout)
    check = json.loads(run("check", "--json").stdout)

    assert (status["available"], status["namespaces"], status["size_bytes"] > 0) == (True, 1, True)
    assert version == {"client": __version__, "schema_version": status["schema_version"]}
    assert (check["may_be_used"], check["schema_version"]) == (True, status["schema_version"])
    assert ["available", "yes"] in rows(run("status"))
    assert "may use" in run("check").stdout


def test_a_file_that_is_no_store_is_not_healthy(run: Run, tmp_path: Path) -> None:
    (tmp_path / "other.db").write_text("not a database at all, but long enough to be looked at " * 40, "utf-8")
    answers = [run(name, "--store", f"embedded://{tmp_path / 'other.db'}") for name in ("status", "version", "check")]

    assert [answer.exit_code for answer in answers] == [3] * 3
    assert all(answer.stderr.count("\n") == 1 for answer in answers)
    assert run("status", "--store", f"embedded://{tmp_path / 'none.db'}").exit_code == 1


@pytest.mark.usefixtures("dynamodb_endpoint")
def test_a_local_table_is_in_no_stack_and_nobody_waits_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with watched(os.environ["AWS_ENDPOINT_URL_DYNAMODB"]) as (endpoint, _):
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", endpoint)
        assert not _is_elsewhere()
        monkeypatch.delenv("AWS_ENDPOINT_URL_CLOUDFORMATION")
        assert _is_elsewhere()
        # Without a region AWS itself cannot be asked, so that asking would be an error here.
        monkeypatch.delenv("AWS_DEFAULT_REGION")
        assert _stack("my-app", None, None) is None


def test_the_package_of_the_function_is_told_as_data(run: Run, tmp_path: Path) -> None:
    made = json.loads(run("lambda-export", "-o", "made.zip", "--json").stdout)
    info = json.loads(run("lambda-export", "--info", "--json").stdout)

    assert made == {"file": "made.zip", "size_bytes": (tmp_path / "made.zip").stat().st_size}
    with zipfile.ZipFile(tmp_path / "made.zip") as package:
        files = {each.filename: each.file_size for each in package.infolist()}
    assert info == {
        "package_path": str(Path(zae_limiter.__file__).parent),
        "python_files": len([name for name in files if name.endswith(".py")]),
        "uncompressed_size": sum(files.values()),
        "size": made["size_bytes"],
        "handler": "index.handler",
        "runtime_dependencies": ["boto3"],
    }
    assert "index.py" in files
