"""The group that all commands hang on: ours, and those that other packages offer.

A package offers a command as an entry point of the group `zae_limiter.commands`.
What is slow to import is imported by the command that needs it, so that `--help` answers at once.
"""

import contextlib
import functools
import io
import os
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Final

import click

from zae_limiter import __version__
from zae_limiter.cli.audit import audit
from zae_limiter.cli.charges import acquire, available, reset
from zae_limiter.cli.condition import check, list_limiters, status, version
from zae_limiter.cli.entities import entity
from zae_limiter.cli.levels import resource, system
from zae_limiter.cli.limits import limits
from zae_limiter.cli.local import local
from zae_limiter.cli.namespaces import namespace
from zae_limiter.cli.rates import rates
from zae_limiter.cli.simulate import simulate
from zae_limiter.cli.stack import cfn_template, delete, deploy, lambda_export, upgrade
from zae_limiter.cli.top import top
from zae_limiter.cli.usage import usage


def _installed_commands() -> Iterable[EntryPoint]:
    return entry_points(group="zae_limiter.commands")


SUMMARIES: Final = {
    "zae_limiter_dashboard.command:serve": "Show a store in the browser.",
    "zae_limiter_http.doctor.command:doctor": "Show which limits apply to each route, and what is wrong.",
}
"""What the commands of the suite's other packages do, by the value of their entry points."""


class CommandGroup(click.Group):
    """Commands of our own beside those found in entry points; for one name, ours stands."""

    def __init__(
        self,
        *args: Any,
        find_commands: Callable[[], Iterable[EntryPoint]] = _installed_commands,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._find_commands = find_commands

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command; what cannot be written where its output goes is told in one line."""
        _make_writable()
        try:
            return super().main(*args, **kwargs)
        except OSError as error:
            # What is buffered still would fail once more when the program ends.
            with contextlib.suppress(OSError), Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), sys.stdout.fileno())
            click.echo(f"Error: {error.strerror or error}", err=True)
            sys.exit(1)

    @functools.cached_property
    def _offered(self) -> dict[str, EntryPoint]:
        # Found once: each look reads the metadata of everything that is installed.
        found: dict[str, EntryPoint] = {}
        for offered in self._find_commands():
            found.setdefault(offered.name, offered)
        return found

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands, sorted."""
        return sorted({*super().list_commands(ctx), *self._offered})

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands; those of the suite's other packages without loading these, which takes longest."""
        names = self.list_commands(ctx)
        width = formatter.width - 6 - max(map(len, names))
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._summary(ctx, name, width)) for name in names])

    def _summary(self, ctx: click.Context, name: str, width: int) -> str:
        offered = self._offered.get(name)
        if offered is not None and name not in self.commands and offered.value in SUMMARIES:
            return SUMMARIES[offered.value]
        command = self.get_command(ctx, name)
        return "" if command is None else command.get_short_help_str(width)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name; one that another package offers is loaded here."""
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        offered = self._offered.get(cmd_name)
        return None if offered is None else _loaded(offered)


def _make_writable() -> None:
    """Let output go anywhere: a stream that is closed, and one whose encoding lacks a character."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - until the program ends
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _loaded(offered: EntryPoint) -> click.Command:
    try:
        command = offered.load()
    except (ImportError, AttributeError) as error:
        return _broken(offered, str(error))
    if not isinstance(command, click.Command):
        return _broken(offered, f"{offered.value} is no click command")
    return command


def _broken(offered: EntryPoint, reason: str) -> click.Command:
    """A command that says why it is not there, whatever arguments and options were meant for it."""

    def refuse(arguments: tuple[str, ...]) -> None:  # noqa: ARG001 - taken so that click does not refuse them first
        raise click.ClickException(f"the command {offered.name!r} cannot be loaded: {reason}")

    return click.Command(
        offered.name,
        callback=refuse,
        params=[click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)],
        context_settings={"ignore_unknown_options": True},
        add_help_option=False,
        short_help=f"(cannot be loaded: {reason})",
    )


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="zae-limiter")
def cli() -> None:
    """Rate limiting with token buckets, from the command line."""


for _command in (
    acquire,
    audit,
    available,
    cfn_template,
    check,
    delete,
    deploy,
    entity,
    lambda_export,
    limits,
    list_limiters,
    local,
    namespace,
    rates,
    reset,
    resource,
    simulate,
    status,
    system,
    top,
    upgrade,
    usage,
    version,
):
    cli.add_command(_command)
