"""Which store a command works on, and what it says when it cannot."""

import json
import os
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tests.cli.conftest import Run
from tests.cli.terminal import on_a_terminal
from zae_limiter.cli import cli
from zae_limiter.cli.options import StoreChoice, store_options


def test_a_file_that_is_not_there_is_not_made_by_a_typing_error(tmp_path: Path) -> None:
    missing = tmp_path / "limts.db"
    answer = CliRunner().invoke(cli, ["namespace", "list", "--store", f"embedded://{missing}"])

    assert answer.exit_code == 1
    assert answer.stderr == f"Error: there is no file {str(missing)!r}; --create makes it\n"
    assert not missing.exists()


PLACES = {
    "ZAE_LIMITER_STORE": None,
    "ZAE_LIMITER_NAME": None,
    "ZAE_LIMITER_REGION": None,
    "ZAE_LIMITER_NAMESPACE": None,
}


def address_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str, **variables: str | None) -> str:
    """The address that a command works on, with the namespace behind it, or the usage error."""
    monkeypatch.chdir(tmp_path)

    @click.command()
    @store_options
    def shown(choice: StoreChoice) -> None:
        click.echo(f"{choice.address} {choice.namespace}")

    answer = CliRunner(env={**PLACES, **variables}).invoke(shown, [*arguments, "--create"])
    return answer.stdout.strip() if answer.exit_code == 0 else answer.stderr.splitlines()[-1]


def test_an_option_goes_before_the_environment_and_that_before_the_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(*arguments: str, **variables: str) -> str:
        return address_of(tmp_path, monkeypatch, *arguments, **variables)

    assert found() == "dynamodb://zae-limiter None"
    (tmp_path / "zae-limiter.toml").write_text('name = "filed"\nregion = "eu-west-1"\nnamespace = "n-1"\n', "utf-8")
    assert found() == "dynamodb://filed?region=eu-west-1 n-1"
    assert found(ZAE_LIMITER_NAME="set", ZAE_LIMITER_NAMESPACE="n-2") == "dynamodb://set?region=eu-west-1 n-2"
    assert found(ZAE_LIMITER_STORE="embedded:///x.db") == "embedded:///x.db n-1"
    assert found("--store", "memory:", ZAE_LIMITER_STORE="embedded:///x.db") == "memory: n-1"
    assert found("-n", "typed", ZAE_LIMITER_STORE="memory:") == "dynamodb://typed?region=eu-west-1 n-1"
    assert found("--store", "memory:", "-N", "n-3", ZAE_LIMITER_NAME="set") == "memory: n-3"
    assert found("-n", "typed", "--region", "us-east-1", ZAE_LIMITER_REGION="eu-north-1").endswith("=us-east-1 n-1")
    assert found(ZAE_LIMITER_STORE="memory:?namespace=own") == "memory:?namespace=own None"
    assert found("-N", "n-3", ZAE_LIMITER_STORE="memory:?namespace=own") == "memory:?namespace=own n-3"
    assert found(ZAE_LIMITER_STORE="memory:", ZAE_LIMITER_REGION="eu-west-1") == "memory: n-1"


@pytest.mark.parametrize(
    ("arguments", "variables", "reason"),
    [
        (["--store", "memory:", "--name", "x"], {}, "--store and --name both name a store"),
        ([], {"ZAE_LIMITER_STORE": "memory:", "ZAE_LIMITER_NAME": "x"}, "ZAE_LIMITER_STORE and ZAE_LIMITER_NAME both"),
    ],
)
def test_a_store_has_one_name_on_each_step(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    variables: dict[str, str | None],
    reason: str,
) -> None:
    assert reason in address_of(tmp_path, monkeypatch, *arguments, **variables)


def test_a_region_goes_with_a_name_of_a_table(run: Run) -> None:
    answer = run("namespace", "list", "--region", "eu-central-1")

    assert answer.exit_code == 2
    assert "--region and --endpoint-url go with --name" in answer.stderr


def test_a_table_is_named_by_its_address_too(run: Run) -> None:
    answer = run("upgrade")

    assert answer.exit_code == 2
    assert "works on a DynamoDB table" in answer.stderr


def test_what_is_deleted_is_named(run: Run) -> None:
    answer = CliRunner(env=PLACES).invoke(cli, ["delete", "--yes"])

    assert answer.exit_code == 2
    assert "name what is to be deleted" in answer.stderr


def test_a_misspelt_variable_is_reported_on_standard_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZAE_LIMITER_NAMSPACE", "x")
    answer = run("resource", "list", "--json")

    assert answer.exit_code == 0
    assert json.loads(answer.stdout) == []
    assert "ZAE_LIMITER_NAMSPACE is not known; did you mean ZAE_LIMITER_NAMESPACE?" in answer.stderr


def test_a_table_without_a_region_is_told_with_the_ways_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    nothing = {**PLACES, "AWS_REGION": None, "AWS_DEFAULT_REGION": None, "AWS_CONFIG_FILE": os.devnull}
    answer = CliRunner(env=nothing).invoke(cli, ["resource", "list"])

    assert answer.exit_code == 1
    assert "no AWS region is known" in answer.stderr
    assert "--store embedded:" in answer.stderr
    assert answer.stderr.count("\n") == 1


def test_who_has_named_no_store_is_told_so_before_what_a_table_would_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for module in ("boto3", "botocore", "botocore.config", "botocore.session"):
        monkeypatch.setitem(sys.modules, module, None)
    runner = CliRunner(env={**PLACES, "AWS_REGION": "eu-central-1"})
    unnamed, named = (runner.invoke(cli, ["resource", "list", *more]) for more in ([], ["--name", "mine"]))

    assert unnamed.exit_code == named.exit_code == 1
    assert unnamed.stderr.startswith("Error: no store is named; give --store embedded:")
    assert unnamed.stderr.endswith("pip install 'zae-limiter[aws]'\n")
    assert named.stderr.startswith("Error: DynamoDB needs an optional dependency")


@pytest.mark.parametrize(
    ("profile", "text"),
    [
        ("zae-limiter.toml", "store = {address!r}\n"),
        ("pyproject.toml", "[tool.zae_limiter]\nstore = {address!r}\nheader_style = ['draft']\n"),
    ],
)
def test_a_profile_names_the_store_below_its_folder_too(
    run: Run, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, profile: str, text: str
) -> None:
    (tmp_path / profile).write_text(text.format(address=address), encoding="utf-8")
    (tmp_path / "src" / "deep").mkdir(parents=True)
    for folder in (tmp_path, tmp_path / "src" / "deep"):
        monkeypatch.chdir(folder)
        answer = CliRunner().invoke(cli, ["namespace", "list", "--json"])
        assert [each["name"] for each in json.loads(answer.stdout)] == ["default"]


def test_a_profile_tells_who_makes_changes(run: Run, address: str, tmp_path: Path) -> None:
    (tmp_path / "zae-limiter.toml").write_text(f"store = {address!r}\nprincipal = 'team'\n", encoding="utf-8")
    CliRunner(env={"ZAE_LIMITER_PRINCIPAL": None}).invoke(cli, ["entity", "create", "user-1"])

    assert json.loads(run("audit", "list", "-e", "user-1", "--json").stdout)[0]["principal"] == "team"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("store = 3\n", "'store' must be a text, got 3"),
        ("store = \n", "zae-limiter.toml cannot be read"),
        ("sotre = 'memory:'\n", "'sotre' is not known; did you mean 'store'?"),
        ("namspace = 'x'\n", "did you mean 'namespace'?"),
        ("xyzzy = 1\n", "'xyzzy' is not known; a command reads store, name"),
        ("store = 'memory:'\nname = 'x'\n", "the profile twice names a store"),
    ],
)
def test_a_wrong_profile_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, reason: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "zae-limiter.toml").write_text(text, encoding="utf-8")
    answer = CliRunner(env=PLACES).invoke(cli, ["namespace", "list"])

    assert answer.exit_code == 2
    assert reason in answer.stderr


def test_an_empty_profile_names_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[tool]\nzae_limiter = 3\n", encoding="utf-8")
    answer = CliRunner().invoke(cli, ["namespace", "list", "--store", "nothing:"])

    assert answer.exit_code == 1
    assert answer.stderr.startswith("Error: store: ")


def test_a_namespace_that_is_not_there_is_an_error_in_one_line(run: Run) -> None:
    answer = run("entity", "show", "user-1", "-N", "nowhere")

    assert answer.exit_code == 1
    assert answer.stderr.startswith("Error: ")
    assert answer.stderr.count("\n") == 1


def test_what_is_destroyed_is_asked_for_first(run: Run) -> None:
    run("entity", "create", "user-1")

    refused = run("entity", "delete", "user-1", answer="n\n")
    unanswered = run("entity", "delete", "user-1")
    assert refused.exit_code == unanswered.exit_code == 1
    assert "nothing was done; --yes does it without asking" in refused.stderr
    assert "nothing was done" in unanswered.stderr
    assert run("entity", "show", "user-1").exit_code == 0
    assert run("entity", "delete", "user-1", answer="y\n").exit_code == 0
    assert run("entity", "show", "user-1").exit_code == 1


def test_a_change_is_told_of_the_user_of_the_system(run: Run, address: str) -> None:
    CliRunner(env={"LOGNAME": "anna"}).invoke(cli, ["entity", "create", "user-1", "--store", address])
    CliRunner(env={"LOGNAME": "no name"}).invoke(cli, ["entity", "create", "user-2", "--store", address])

    told = [json.loads(run("audit", "list", "-e", each, "--json").stdout)[0] for each in ("user-1", "user-2")]
    assert [event.get("principal") for event in told] == ["anna", None]


@pytest.mark.slow
def test_a_terminal_gets_a_table(run: Run, address: str) -> None:
    run("resource", "set-defaults", "api", "-l", "rpm:100/minute")
    command = [sys.executable, "-m", "zae_limiter", "resource", "get-defaults", "api", "--store", address]

    assert "│ rpm   │      100 │   100 │ 100/minute │ requests │" in on_a_terminal(*command)
