"""`zae-limiter limits`: limits declared in a file, compared with the store, and applied."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from zae_limiter.cli.options import Refused, confirm, on_store, principal_option, yes_option
from zae_limiter.cli.render import json_option, progress, show_json, show_table

if TYPE_CHECKING:
    from zae_limiter.cli.manifest import Difference, Level, Setting
    from zae_limiter.sync_limiter import SyncRateLimiter

_PAGE: Final = 500

_file_option = click.option(
    "--file",
    "-f",
    "path",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The declared limits: YAML, or JSON in a file that ends in .json.",
)
_prune_option = click.option("--prune", is_flag=True, help="Also remove limits that are not declared.")


@click.group()
def limits() -> None:
    """Limits declared in a file: compare them with the store, and apply them."""


@limits.command()
@_file_option
@_prune_option
@json_option
@on_store
def plan(limiter: "SyncRateLimiter", *, path: Path, prune: bool, as_json: bool) -> None:
    """Show what `apply` would do; nothing is written.

    For example: zae-limiter limits plan -f limits.yaml
    """
    _show(_differences(limiter, path, prune=prune), as_json=as_json)


@limits.command()
@_file_option
@_prune_option
@json_option
@on_store
def diff(limiter: "SyncRateLimiter", *, path: Path, prune: bool, as_json: bool) -> None:
    """The same as `plan`, and exits with 3 when the store is not as declared.

    For example: zae-limiter limits diff -f limits.yaml --prune
    """
    found = _differences(limiter, path, prune=prune)
    _show(found, as_json=as_json)
    if found:
        raise Refused(f"the store differs in {_levels(found)}; 'zae-limiter limits apply' makes it as declared")


@limits.command()
@_file_option
@_prune_option
@yes_option
@principal_option
@json_option
@on_store
def apply(
    limiter: "SyncRateLimiter", *, path: Path, prune: bool, yes: bool, principal: str | None, as_json: bool
) -> None:
    """Make the store as declared. One that was interrupted goes on when it is run again.

    For example: zae-limiter limits apply -f limits.yaml --yes
    """
    found = _differences(limiter, path, prune=prune)
    _show(found, as_json=as_json)
    if not found:
        return
    confirm(f"Change {_levels(found)}?", yes=yes)
    if not yes and _differences(limiter, path, prune=prune) != found:
        raise click.ClickException(
            "the store or the file has changed since this was shown; nothing was done, run it again"
        )
    _apply_all(limiter, found, principal, path, prune=prune)
    if not as_json:
        click.echo(f"changed {_levels(found)}")


def _apply_all(
    limiter: "SyncRateLimiter", found: "Sequence[Difference]", principal: str | None, path: Path, *, prune: bool
) -> None:
    """Change level by level; where it ends too early, say what is done and what to do next."""
    from zae_limiter.exceptions import ZAELimiterError

    with progress() as tell:
        for number, each in enumerate(found):
            try:
                tell(f"{number} of {_levels(found)} changed")
                _apply(limiter, each, principal)
            except (ZAELimiterError, KeyboardInterrupt) as error:
                reason = str(error) or "it was interrupted"
                again = f"zae-limiter limits apply -f {shlex.quote(str(path))}" + (" --prune" if prune else "")
                raise click.ClickException(
                    f"{number} of {_levels(found)} changed, {each.level} and what follows it not yet: {reason}; "
                    f"'{again}' does the rest"
                ) from error


@limits.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of YAML.")
@on_store
def export(limiter: "SyncRateLimiter", *, as_json: bool) -> None:
    """Print all limits that are stored, as a file for `apply`.

    For example: zae-limiter limits export > limits.yaml
    """
    from zae_limiter.cli.documents import as_yaml
    from zae_limiter.cli.manifest import manifest_of

    data = manifest_of(stored_settings(limiter))
    if as_json:
        show_json(data)
    else:
        click.echo(as_yaml(data), nl=False)


def stored_settings(limiter: "SyncRateLimiter") -> "dict[Level, Setting]":
    """Every level that the store has something for."""
    from zae_limiter.cli.manifest import SYSTEM, Level, Setting

    found: dict[Level, Setting] = {}
    system, action = limiter.get_system_defaults()
    if system or action:
        found[SYSTEM] = Setting(tuple(system), action)
    for resource in limiter.list_resources_with_defaults():
        found[Level("", resource)] = Setting(tuple(limiter.get_resource_defaults(resource)))
    for resource in limiter.list_resources_with_entity_configs():
        cursor: str | None = None
        while True:
            page, cursor = limiter.list_entities_with_custom_limits(resource, _PAGE, cursor)
            for entity_id in page:
                found[Level(entity_id, resource)] = Setting(tuple(limiter.get_limits(entity_id, resource)))
            if cursor is None:
                break
    return found


def _differences(limiter: "SyncRateLimiter", path: Path, *, prune: bool) -> "list[Difference]":
    from zae_limiter.cli.documents import read_document
    from zae_limiter.cli.manifest import differences, read_manifest
    from zae_limiter.exceptions import ValidationError

    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{path} cannot be read: {error}") from error
    document = read_document(text, is_json=path.suffix == ".json")
    try:
        declared = read_manifest(document.data)
    except ValidationError as error:
        line = document.line_of(error.field, error.value)
        raise click.ClickException(f"{error}" + (f", line {line} of {path}" if line else "")) from error
    return differences(declared, stored_settings(limiter), prune=prune)


def _apply(limiter: "SyncRateLimiter", difference: "Difference", principal: str | None) -> None:
    from zae_limiter.cli.manifest import SYSTEM
    from zae_limiter.models import OnUnavailable

    level, after = difference.level, difference.after
    if level == SYSTEM and after is not None:
        action = None if after.on_unavailable is None else OnUnavailable(after.on_unavailable)
        limiter.set_system_defaults(after.limits, action, principal)
    elif level == SYSTEM:
        limiter.delete_system_defaults(principal)
    elif not level.entity_id and after is not None:
        limiter.set_resource_defaults(level.resource, after.limits, principal)
    elif not level.entity_id:
        limiter.delete_resource_defaults(level.resource, principal)
    elif after is not None:
        limiter.set_limits(level.entity_id, after.limits, level.resource, principal)
    else:
        limiter.delete_limits(level.entity_id, level.resource, principal)


def _show(found: "list[Difference]", *, as_json: bool) -> None:
    if as_json:
        show_json([each.as_dict() for each in found])
    elif not found:
        click.echo("the store is as declared")
    else:
        rows = [(each.kind, each.level, each.before or "", each.after or "") for each in found]
        show_table(("do", "level", "now", "then"), rows)


def _levels(found: "Sequence[Difference]") -> str:
    return "1 level" if len(found) == 1 else f"{len(found)} levels"
