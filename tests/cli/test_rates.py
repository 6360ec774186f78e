"""`zae-limiter rates`: limits as a table, as JSON, and what it says of a text it cannot read."""

import json

import pytest
from click.testing import CliRunner, Result

from zae_limiter.cli import cli


def rates(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "100"}).invoke(cli, ["rates", *arguments])


def test_the_table_has_a_row_for_each_limit() -> None:
    shown = rates("100/minute+150; tpm=90000/minute")

    assert shown.exit_code == 0
    assert [line.split() for line in shown.output.splitlines()] == [
        ["LIMIT", "CAPACITY", "BURST", "RATE", "UNIT"],
        ["rpm", "100", "150", "100/minute", "requests"],
        ["tpm", "90,000", "90,000", "90,000/minute", "requests"],
    ]


def test_json_gives_the_limits_as_plain_data() -> None:
    shown = rates("10/second", "--json")

    assert json.loads(shown.output) == [
        {"name": "rps", "capacity": 10, "burst": 10, "refill_amount": 10, "refill_period_seconds": 1}
    ]


@pytest.mark.parametrize("text", ["", "100", "100/month", "100/minute; 50/minute", "0/minute"])
def test_a_text_that_cannot_be_read_is_an_error_without_a_traceback(text: str) -> None:
    refused = rates(text)

    assert refused.exit_code == 1
    assert refused.output.startswith("Error: ")
