"""The group that all commands hang on: ours, and those that other packages offer.

A package offers a command as an entry point of the group `zae_limiter.commands`.
What is slow to import is imported by the command that needs it, so that `--help` answers at once.
"""

from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import click

from zae_limiter import __version__
from zae_limiter.cli.rates import rates


def _installed_commands() -> Iterable[EntryPoint]:
    return entry_points(group="zae_limiter.commands")


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

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands, sorted."""
        return sorted({*super().list_commands(ctx), *(offered.name for offered in self._find_commands())})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name; one that another package offers is loaded here."""
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        offered = next((found for found in self._find_commands() if found.name == cmd_name), None)
        return None if offered is None else _loaded(offered)


def _loaded(offered: EntryPoint) -> click.Command:
    try:
        command = offered.load()
    except (ImportError, AttributeError) as error:
        return _broken(offered, str(error))
    if not isinstance(command, click.Command):
        return _broken(offered, f"{offered.value} is no click command")
    return command


def _broken(offered: EntryPoint, reason: str) -> click.Command:
    def refuse() -> None:
        raise click.ClickException(f"the command {offered.name!r} cannot be loaded: {reason}")

    return click.Command(offered.name, callback=refuse, short_help=f"(cannot be loaded: {reason})")


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="zae-limiter")
def cli() -> None:
    """Rate limiting with token buckets, from the command line."""


cli.add_command(rates)
