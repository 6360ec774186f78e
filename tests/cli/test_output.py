"""Where the output of commands goes: closed, full or narrow streams, other encodings, names written to mislead."""

import json
import os
import subprocess
import sys

import pytest

from tests.cli.conftest import Run


def sh(address: str, command: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """A command of the shell in which `zl` stands for ours."""
    told = {**os.environ, "ZAE_LIMITER_STORE": address, **variables}
    script = f'zl() {{ "{sys.executable}" -m zae_limiter "$@"; }}\n{command}'
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, env=told, check=False, timeout=60)


def test_a_disk_that_is_full_is_told_in_a_line(run: Run, address: str) -> None:
    done = sh(address, "zl namespace list > /dev/full")

    assert (done.returncode, done.stderr) == (1, "Error: No space left on device\n")


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_stream_may_be_closed(run: Run, address: str, closed: str) -> None:
    done = sh(address, f"zl namespace list {closed}")

    assert (done.returncode, done.stderr) == (0, "")


def test_a_pipe_that_ends_early_is_no_mistake_of_the_command(run: Run, address: str) -> None:
    assert sh(address, "zl namespace list | true").stderr == ""


def test_an_encoding_that_lacks_a_character_is_written_to_all_the_same(run: Run, address: str) -> None:
    run("entity", "create", "user-1", "--display-name", "Łucja")
    run("acquire", "user-1", "api", "--limits", "10/hour")
    latin = {"PYTHONIOENCODING": "latin-1"}

    assert json.loads(sh(address, "zl entity show user-1 --json", **latin).stdout)["name"] == "Łucja"
    assert "\\u0141ucja" in sh(address, "zl entity show user-1", **latin).stdout
    assert sh(address, "zl usage list -e user-1 --plot", **latin).returncode == 0


def test_a_name_stays_on_its_line_and_moves_no_cursor(run: Run) -> None:
    run("entity", "create", "user-1", "--display-name", "Ann\n\x1b[31m\u202ered", "-m", "a\tb=c\r\x9b1m")
    shown = run("entity", "show", "user-1").stdout

    assert "Ann\\n\\x1b[31m\\u202ered" in shown
    assert "a\\tb=c\\r\\x9b1m" in shown
    assert json.loads(run("entity", "show", "user-1", "--json").stdout)["name"] == "Ann\n\x1b[31m\u202ered"


def test_a_wait_for_ever_is_json_too(run: Run) -> None:
    forms = [run("simulate", "10/minute", "--rate", "1/second", "-c", "20", *flag).stdout for flag in ([], ["--json"])]

    assert "for ever" in forms[0]
    assert json.loads(forms[1], parse_constant=pytest.fail)["longest_wait_seconds"] is None


def test_requests_come_at_one_rate(run: Run) -> None:
    answer = run("simulate", "10/minute", "--rate", "1/second; 5/minute")

    assert answer.exit_code == 2
    assert "requests come at one rate" in answer.stderr
