"""Commands on an embedded file of their own."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from zae_limiter import environment
from zae_limiter.cli import cli

Run = Callable[..., Result]


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"embedded://{tmp_path / 'limits.db'}"


@pytest.fixture
def run(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command on a file that is there already; no variable of the machine takes part."""
    monkeypatch.chdir(tmp_path)
    own = {"ZAE_LIMITER_STORE": address, "ZAE_LIMITER_PRINCIPAL": "ops", "COLUMNS": "100"}
    runner = CliRunner(env={**dict.fromkeys(environment.known()), **own})

    def call(*arguments: str, answer: str | None = None) -> Result:
        return runner.invoke(cli, list(arguments), input=answer)

    assert call("namespace", "list", "--create").exit_code == 0
    return call


def rows(result: Result) -> list[list[str]]:
    """The cells of plain columns, without the headings."""
    return [line.split() for line in result.stdout.splitlines()[1:]]
