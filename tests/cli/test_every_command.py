"""What holds for every command: an example in its help, JSON of what it prints, nothing written where it reads."""

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.cli.every import COMMANDS, READING, WRITING
from tests.cli.watched import watched
from tests.dynamodb.tables import fresh_name
from zae_limiter import SyncRepository, open_sync_limiter
from zae_limiter.cli import cli
from zae_limiter.cli.limits import stored_settings

STACK = {"delete", "deploy", "list", "upgrade"}
"""Commands on CloudFormation."""
WITHOUT_A_STORE = {"cfn-template", "doctor", "lambda-export", "rates", "serve", "simulate"}
LOCAL = {"local down", "local env", "local logs", "local status", "local up"}
SAYS_ONE_LINE = {"serve"}
"""Commands that print no data, but what they have done."""
PRINTS_A_FORM_OF_ITS_OWN = {"cfn-template", "local down", "local env", "local logs", "local up"}

READS = {"BatchGetItem", "DescribeTable", "GetItem", "Query", "TransactGetItems"}


def test_every_command_is_of_one_kind() -> None:
    kinds = [set(READING), WRITING, STACK, WITHOUT_A_STORE, LOCAL]

    assert set.union(*kinds) == set(COMMANDS)
    assert sum(map(len, kinds)) == len(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_its_help_has_an_example_of_it(name: str) -> None:
    assert f"For example: zae-limiter {name}" in (COMMANDS[name].help or "")


@pytest.mark.parametrize("name", COMMANDS)
def test_what_prints_data_prints_json_too(name: str) -> None:
    options = {option for each in COMMANDS[name].params for option in each.opts}

    assert ("--json" in options) is (name not in SAYS_ONE_LINE | PRINTS_A_FORM_OF_ITS_OWN)


def fill(address: str) -> None:
    with open_sync_limiter(address, timeout=5.0) as limiter:
        limiter.set_resource_defaults("api", "100/minute")
        limiter.create_entity("user-1", parent_id="acme", cascade=True)
        limiter.set_limits("user-1", "rpm=50/minute", "api")
        with limiter.acquire("user-1", "api", 1):
            pass
        assert len(stored_settings(limiter)) == 2


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "limits.json").write_text('{"resources": {"api": "5/minute"}}', encoding="utf-8")
    return tmp_path


def run_all(address: str, forms: Sequence[list[str]]) -> None:
    for name, arguments in READING.items():
        for form in forms:
            answer = CliRunner().invoke(cli, [*name.split(), *arguments, *form, "--store", address])
            expected = 3 if name == "limits diff" else 0
            assert answer.exit_code == expected, (name, answer.output, answer.exception)
            if form:
                json.loads(answer.stdout)


def test_reading_a_file_waits_for_no_writer(here: Path) -> None:
    address = f"embedded://{here / 'limits.db'}"
    fill(address)
    with sqlite3.connect(here / "limits.db", isolation_level=None) as other:
        # While another one writes, a command that wrote anything would have to wait, and fail.
        other.execute("begin immediate")
        run_all(address, [[], ["--json"]])
        other.execute("rollback")
    other.close()


@pytest.mark.slow
def test_reading_a_table_asks_for_no_write(here: Path, dynamodb_endpoint: str) -> None:
    repository = SyncRepository(fresh_name(), endpoint_url=dynamodb_endpoint, timeout=10.0)
    repository.create_table()
    fill(repository.address)
    with watched(dynamodb_endpoint) as (endpoint, seen):
        run_all(f"dynamodb://{repository.table_name}?endpoint_url={endpoint}", [["--json"]])
    repository.delete_table()
    repository.close()

    assert {"Query", "BatchGetItem"} <= set(seen)
    assert set(seen) <= READS
