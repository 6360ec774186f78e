"""The group of commands: what it lists, and what becomes of commands that other packages offer."""

import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points

import click
import pytest
from click.testing import CliRunner

from zae_limiter import __version__
from zae_limiter.cli import cli
from zae_limiter.cli.main import SUMMARIES, CommandGroup

GROUP = "zae_limiter.commands"


@click.command(short_help="Greet somebody.")
def greet() -> None:
    """A command as another package would offer it."""
    click.echo("hello")


def group_offered(**values: str) -> CommandGroup:
    offered = [EntryPoint(name, value, GROUP) for name, value in values.items()]
    return CommandGroup("zae-limiter", find_commands=lambda: offered)


def test_the_version_is_that_of_the_library() -> None:
    answer = CliRunner().invoke(cli, ["--version"])

    assert (answer.exit_code, answer.output) == (0, f"zae-limiter, version {__version__}\n")


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_lists_our_commands(option: str) -> None:
    answer = CliRunner().invoke(cli, [option])

    assert answer.exit_code == 0
    assert "rates" in answer.output


def test_an_unknown_command_is_a_usage_error() -> None:
    assert CliRunner().invoke(cli, ["no-such-command"]).exit_code == 2


def test_a_command_of_another_package_is_listed_and_runs() -> None:
    group = group_offered(greet="tests.cli.test_main:greet")

    assert "greet  Greet somebody." in CliRunner().invoke(group, ["--help"]).output
    assert CliRunner().invoke(group, ["greet"]).output == "hello\n"


def test_the_commands_of_other_packages_are_looked_for_once() -> None:
    looked: list[str] = []

    def found() -> list[EntryPoint]:
        looked.append("looked")
        return [EntryPoint("greet", "tests.cli.test_main:greet", GROUP)]

    group = CommandGroup("zae-limiter", find_commands=found)
    group.add_command(cli.commands["rates"])
    assert looked == []  # one of our own commands does without
    assert CliRunner().invoke(group, ["--help"]).exit_code == 0
    assert looked == ["looked"]


def test_our_command_stands_before_one_of_the_same_name() -> None:
    group = group_offered(rates="tests.cli.test_main:greet")
    group.add_command(cli.commands["rates"])

    assert CliRunner().invoke(group, ["rates", "--help"]).output.startswith("Usage: zae-limiter rates")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("no_such_module:command", "No module named 'no_such_module'"),
        ("tests.cli.test_main:no_such_name", "no attribute 'no_such_name'"),
        ("tests.cli.test_main:GROUP", "is no click command"),
    ],
)
def test_a_command_that_cannot_be_loaded_says_why_and_harms_no_other(value: str, reason: str) -> None:
    group = group_offered(broken=value, greet="tests.cli.test_main:greet")
    refused = CliRunner().invoke(group, ["broken"])

    assert refused.exit_code == 1
    assert "the command 'broken' cannot be loaded" in refused.output
    for arguments in (["myapp:app"], ["--store", "memory:"], ["--help"]):
        assert CliRunner().invoke(group, ["broken", *arguments]).output == refused.output
    assert reason in refused.output
    assert CliRunner().invoke(group, ["greet"]).exit_code == 0
    assert CliRunner().invoke(group, ["--help"]).exit_code == 0


def leaves(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name, command in group.commands.items():
        found += leaves(command, (*path, name)) if isinstance(command, click.Group) else [(*path, name)]
    return found


@pytest.mark.parametrize("path", leaves(cli), ids=" ".join)
def test_the_help_of_a_command_has_an_example_of_it(path: tuple[str, ...]) -> None:
    answer = CliRunner().invoke(cli, [*path, "--help"])

    assert answer.exit_code == 0
    assert f"For example: zae-limiter {' '.join(path)}" in " ".join(answer.output.split())


@pytest.mark.parametrize("value", sorted(SUMMARIES))
def test_what_is_told_of_a_command_without_loading_it_is_so(value: str) -> None:
    offered = next(found for found in entry_points(group=GROUP) if found.value == value)
    command = offered.load()
    words = SUMMARIES[value].removesuffix(".").split(",")[0].split()

    assert command.name == offered.name
    assert set(words) <= set((command.help or "").replace(":", " ").split())


def test_help_loads_no_framework() -> None:
    program = "import sys\nfrom zae_limiter.cli import cli\ncli(['--help'], standalone_mode=False)\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())

    assert "doctor" in loaded
    assert not loaded & {"starlette", "pydantic", "jinja2", "uvicorn", "boto3", "zae_limiter_http"}
