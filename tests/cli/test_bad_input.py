"""What no command can use is told in one line: never a traceback, whatever was typed."""

from pathlib import Path

import pytest

from tests.cli.conftest import Run

LONG = "1" * 5_000


@pytest.mark.parametrize("amount", ["²", LONG, "rpm=²", f"rpm={LONG}"])
def test_an_amount_is_a_number(run: Run, amount: str) -> None:
    answer = run("acquire", "user-1", "api", "-c", amount, "--limits", "1/minute")

    assert answer.exit_code == 2
    assert "write a number, or NAME=NUMBER" in answer.stderr


def test_a_length_of_time_is_a_number(run: Run) -> None:
    assert run("simulate", "1/minute", "--rate", "1/second", "--for", LONG).exit_code == 2


@pytest.mark.parametrize("interval", ["nan", "inf", "1e300"])
def test_a_pause_between_looks_is_a_number_of_seconds(run: Run, interval: str) -> None:
    answer = run("top", "api", "--looks", "2", "--interval", interval)

    assert answer.exit_code == 2
    assert "'--interval'" in answer.stderr


@pytest.mark.parametrize("key", ["[" * 100_000, f'{{"a": {LONG}}}', "[]"])
def test_a_key_of_a_page_is_one_that_was_printed(run: Run, key: str) -> None:
    answer = run("usage", "list", "-e", "user-1", "--next-key", key)

    assert answer.exit_code == 2
    assert "give it as the page before printed it" in answer.stderr


def test_more_may_be_asked_for_than_any_store_holds(run: Run) -> None:
    run("entity", "set-limits", "user-1", "-r", "api", "-l", "rpm:1/minute")

    assert run("entity", "list", "--with-custom-limits", "api", "--limit", "9" * 20).stdout == "user-1\n"


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_lies_within_the_calendar(run: Run, time: str) -> None:
    answer = run("usage", "summary", "-e", "user-1", "--start", time)

    assert answer.exit_code == 1
    assert "is before the year 1 or after 9999 in UTC" in answer.stderr


@pytest.mark.parametrize("option", [["--display-name", "\udcff"], ["-m", "note=\udcff"], ["-m", "\udcff=note"]])
def test_bytes_that_are_no_text_are_not_stored(run: Run, option: list[str]) -> None:
    answer = run("entity", "create", "user-1", *option)

    assert answer.exit_code == 1
    assert "must be text that UTF-8 can write" in answer.stderr
    assert run("entity", "show", "user-1").exit_code == 1


@pytest.mark.parametrize("command", [["status"], ["resource", "list"], ["delete", "--yes"]])
def test_an_address_that_cannot_be_taken_apart_is_told(run: Run, command: list[str]) -> None:
    answer = run(*command, "--store", "dynamodb://[")

    assert answer.exit_code == 2
    assert "is no address of a store; write embedded:///" in answer.stderr


def test_an_endpoint_that_cannot_be_taken_apart_is_told(run: Run) -> None:
    answer = run("status", "--store", "dynamodb://my-app?region=eu-central-1&endpoint_url=http://[")

    assert answer.exit_code == 1
    assert "endpoint_url: must be a URL such as https://host" in answer.stderr


def test_a_misspelt_part_of_an_address_is_told(run: Run) -> None:
    answer = run("status", "--store", "dynamodb://my-app?regoin=eu-central-1")

    assert answer.exit_code == 2
    assert "'regoin' is no part of an address" in answer.stderr


@pytest.mark.parametrize(
    "command",
    [["entity", "create", "user-1", "-m", "plan=a", "-m", "plan=b"], ["deploy", "-t", "plan=a", "-t", "plan=b"]],
)
def test_a_key_is_given_once(run: Run, command: list[str]) -> None:
    answer = run(*command, *([] if command[0] == "entity" else ["--store", "dynamodb://my-app"]))

    assert answer.exit_code == 2
    assert (
        f"Invalid value for {'--metadata' if command[0] == 'entity' else '--tag'}: 'plan' is given twice"
        in answer.stderr
    )


@pytest.mark.parametrize(("text", "code"), [('\ufeffprincipal = "ops"\n', 0), (f"principal = {LONG}\n", 2)])
def test_a_profile_is_read_as_editors_write_it(run: Run, tmp_path: Path, text: str, code: int) -> None:
    (tmp_path / "zae-limiter.toml").write_text(text, encoding="utf-8")

    assert run("namespace", "list").exit_code == code
