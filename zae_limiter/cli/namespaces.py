"""`zae-limiter namespace`: the walls between tenants of one store."""

from typing import TYPE_CHECKING

import click

from zae_limiter.cli.options import confirm, on_store, yes_option
from zae_limiter.cli.render import json_option, show_json, show_table

if TYPE_CHECKING:
    from zae_limiter.sync_limiter import SyncRateLimiter


@click.group()
def namespace() -> None:
    """The walls between tenants of one store."""


@namespace.command()
@click.argument("names", nargs=-1, required=True)
@json_option
@on_store
def register(limiter: "SyncRateLimiter", *, names: tuple[str, ...], as_json: bool) -> None:
    """Make namespaces NAMES where they are not there yet.

    For example: zae-limiter namespace register staging production
    """
    found = limiter.repository.register_namespaces(list(names))
    if as_json:
        show_json(found)
    else:
        show_table(("name", "id"), list(found.items()))


@namespace.command("list")
@json_option
@on_store
def list_namespaces(limiter: "SyncRateLimiter", *, as_json: bool) -> None:
    """List the namespaces in use.

    For example: zae-limiter namespace list
    """
    found = limiter.repository.list_namespaces()
    if as_json:
        show_json(found)
    else:
        rows = [(each["name"], each["namespace_id"], each["created_at"]) for each in found]
        show_table(("name", "id", "created"), rows)


@namespace.command()
@click.argument("called", metavar="NAME")
@json_option
@on_store
def show(limiter: "SyncRateLimiter", *, called: str, as_json: bool) -> None:
    """Show one namespace.

    For example: zae-limiter namespace show staging
    """
    found = limiter.repository.get_namespace(called)
    if found is None:
        raise click.ClickException(f"there is no namespace {called!r}; 'zae-limiter namespace register' makes one")
    if as_json:
        show_json(found)
    else:
        show_table(("field", "value"), [(key.replace("_", " "), value) for key, value in found.items()])


@namespace.command()
@click.argument("called", metavar="NAME")
@yes_option
@json_option
@on_store
def delete(limiter: "SyncRateLimiter", *, called: str, yes: bool, as_json: bool) -> None:
    """Take a namespace out of use; its data stays until it is purged.

    For example: zae-limiter namespace delete staging --yes
    """
    found = limiter.repository.get_namespace(called)
    if found is None:
        raise click.ClickException(f"there is no namespace {called!r}; nothing was deleted")
    confirm(f"Take {called} out of use?", yes=yes)
    limiter.repository.delete_namespace(called)
    namespace_id = found["namespace_id"]
    if as_json:
        show_json({"name": called, "namespace_id": namespace_id})
        return
    click.echo(f"{called} is out of use; 'namespace recover {namespace_id}' puts it back, 'namespace purge' removes it")


@namespace.command()
@click.argument("namespace_id")
@json_option
@on_store
def recover(limiter: "SyncRateLimiter", *, namespace_id: str, as_json: bool) -> None:
    """Put a deleted namespace back into use.

    For example: zae-limiter namespace recover NAMESPACE_ID
    """
    _check_deleted(limiter, namespace_id)
    called = limiter.repository.recover_namespace(namespace_id)
    if as_json:
        show_json({"name": called, "namespace_id": namespace_id})
    else:
        click.echo(f"{called} is in use again")


def _check_deleted(limiter: "SyncRateLimiter", namespace_id: str) -> None:
    """A typing error must not look like a purge that is done."""
    if all(each["namespace_id"] != namespace_id for each in limiter.repository.list_orphan_namespaces()):
        raise click.ClickException(
            f"there is no deleted namespace {namespace_id!r}; 'zae-limiter namespace orphans' lists them by id"
        )


@namespace.command()
@json_option
@on_store
def orphans(limiter: "SyncRateLimiter", *, as_json: bool) -> None:
    """List deleted namespaces, those in the middle of a purge too.

    For example: zae-limiter namespace orphans
    """
    found = limiter.repository.list_orphan_namespaces()
    if as_json:
        show_json(found)
    else:
        rows = [(each["namespace_id"], each["namespace"], each["status"], each["deleted_at"]) for each in found]
        show_table(("id", "name", "status", "deleted"), rows, nothing="no namespace is deleted")


@namespace.command()
@click.argument("namespace_id")
@yes_option
@json_option
@on_store
def purge(limiter: "SyncRateLimiter", *, namespace_id: str, yes: bool, as_json: bool) -> None:
    """Remove a deleted namespace with all its data; run it again if it was interrupted.

    For example: zae-limiter namespace purge NAMESPACE_ID --yes
    """
    _check_deleted(limiter, namespace_id)
    confirm(f"Remove {namespace_id} with all its data, for ever?", yes=yes)
    limiter.repository.purge_namespace(namespace_id)
    if as_json:
        show_json({"namespace_id": namespace_id})
    else:
        click.echo(f"removed {namespace_id}")
