"""`zae-limiter local`: a table to develop against with two words, in the words of each shell."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.time_limit import at_most
from zae_limiter import local
from zae_limiter.cli import cli

pytestmark = pytest.mark.slow

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    yield lambda *arguments, env=None: CliRunner(env=env).invoke(cli, list(arguments))
    local.down()


@pytest.fixture
def port() -> str:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return str(place.getsockname()[1])


def exported(result: Result) -> dict[str, str]:
    pairs = [line.removeprefix("export ").split("=", 1) for line in result.stdout.splitlines()]
    return dict(pairs)


def test_what_it_prints_is_all_that_other_commands_need(dynamodb_endpoint: str, run: Run, port: str) -> None:
    up = run("local", "up", "--port", port, "--name", "my-app")
    environment = exported(up)

    assert up.exit_code == 0
    assert f"answers at http://127.0.0.1:{port}" in up.stderr
    assert environment["ZAE_LIMITER_STORE"] == "dynamodb://my-app"
    assert run("resource", "set-defaults", "gpt-4", "-l", "rpm:100/minute", env=environment).exit_code == 0
    assert run("acquire", "user-1", "gpt-4", env=environment).stdout.startswith("granted\n")
    assert exported(run("local", "env", "--name", "my-app")) == environment
    assert run("local", "up", "--name", "my-app").stdout == up.stdout
    assert run("resource", "list", env=environment).stdout == "gpt-4\n"


def test_it_is_looked_at_and_stopped(dynamodb_endpoint: str, run: Run, port: str) -> None:
    run("local", "up", "--port", port)
    status = run("local", "status")
    data = json.loads(run("local", "status", "--json").stdout)

    assert (status.exit_code, data["engine"], data["is_answering"]) == (0, "java", True)
    assert run("local", "logs", "--tail", "1").exit_code == 0
    assert run("local", "down").stdout == f"stopped what answered at http://127.0.0.1:{port}\n"


def test_one_that_runs_otherwise_than_asked_for_is_told(dynamodb_endpoint: str, run: Run, port: str) -> None:
    run("local", "up", "--port", port)
    plain = run("local", "up")
    other = [run("local", "up", "--port", "1"), run("local", "up", "--data", "kept")]

    assert "Warning" not in plain.stderr
    for answer in other:
        assert answer.exit_code == 0
        assert f"one runs already at http://127.0.0.1:{port} and keeps its tables in memory" in answer.stderr


def test_a_log_is_followed_until_one_has_enough(dynamodb_endpoint: str, run: Run, port: str) -> None:
    run("local", "up", "--port", port)
    written = run("local", "logs").stdout.splitlines()
    log = Path(json.loads(run("local", "status", "--json").stdout)["log"])
    command = [sys.executable, "-m", "zae_limiter", "local", "logs", "--follow"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as following,
        at_most(60, following),
    ):
        assert following.stdout is not None
        before = [following.stdout.readline().rstrip() for _ in written]
        with log.open("a", encoding="utf-8") as more:
            more.write("and this came later\n")
        after = following.stdout.readline()
        following.send_signal(signal.SIGINT)
        rest = following.stdout.read()

    assert (before, after, rest, following.returncode) == (written, "and this came later\n", "", 1)
    # Neither does what it has read with go on.
    with pytest.raises(ProcessLookupError):
        os.killpg(following.pid, 0)


def test_nothing_that_runs_is_told(run: Run) -> None:
    assert [run("local", command).exit_code for command in ("status", "env", "logs", "down")] == [3, 3, 1, 0]
    assert run("local", "logs", "--follow").exit_code == 1
    assert json.loads(run("local", "status", "--json").stdout) is None


@pytest.mark.parametrize(
    ("form", "line"),
    [
        ("eval", "export AWS_ACCESS_KEY_ID=local"),
        ("fish", "set -gx AWS_ACCESS_KEY_ID local"),
        ("powershell", '$Env:AWS_ACCESS_KEY_ID = "local"'),
    ],
)
def test_each_shell_has_its_words(run: Run, form: str, line: str) -> None:
    local.state_folder().mkdir(parents=True)
    note = {"endpoint_url": "http://127.0.0.1:1", "engine": "java", "process": None, "data": None, "log": None}
    (local.state_folder() / "store.json").write_text(json.dumps(note), encoding="utf-8")

    assert line in run("local", "env", "--format", form).stdout.splitlines()


def test_what_it_prints_is_safe_to_evaluate_and_names_one_store(run: Run) -> None:
    local.state_folder().mkdir(parents=True)
    note = {"endpoint_url": "http://127.0.0.1:1", "engine": "java", "process": None, "data": None, "log": None}
    (local.state_folder() / "store.json").write_text(json.dumps(note), encoding="utf-8")
    printed = run("local", "env", env={"ZAE_LIMITER_NAME": "my; echo hello"}).stdout
    script = f'{printed}\necho "$ZAE_LIMITER_STORE|$ZAE_LIMITER_NAME|"'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout == "dynamodb://my; echo hello||\n"
