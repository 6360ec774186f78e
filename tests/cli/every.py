"""Every command, and those that read a store or write to one."""

from collections.abc import Iterator

import click

from zae_limiter.cli import cli

READING = {
    "audit list": ["-e", "user-1"],
    "available": ["user-1", "api"],
    "check": [],
    "entity children": ["acme"],
    "entity get-limits": ["user-1"],
    "entity list": ["--with-custom-limits", "api"],
    "entity list-resources": [],
    "entity show": ["user-1"],
    "limits diff": ["-f", "limits.json"],
    "limits export": [],
    "limits plan": ["-f", "limits.json"],
    "namespace list": [],
    "namespace orphans": [],
    "namespace show": ["default"],
    "resource capacity": ["api", "rpm"],
    "resource get-defaults": ["api"],
    "resource list": [],
    "status": [],
    "system get-defaults": [],
    "top": [],
    "usage list": ["-e", "user-1"],
    "usage summary": ["-r", "api"],
    "version": [],
}
"""Commands that read a store, with what they need."""

WRITING = {
    "acquire",
    "entity create",
    "entity delete",
    "entity delete-limits",
    "entity set-limits",
    "entity update",
    "limits apply",
    "namespace delete",
    "namespace purge",
    "namespace recover",
    "namespace register",
    "reset",
    "resource delete-defaults",
    "resource set-defaults",
    "system delete-defaults",
    "system set-defaults",
    "usage rollup",
}
"""Commands that write to a store."""


def leaves(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield " ".join(path), command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from leaves(found, (*path, name))


COMMANDS = dict(leaves(cli))
