"""`zae-limiter entity`: who is charged, who stands above whom, and limits of their own."""

from typing import TYPE_CHECKING, Final

import click

from zae_limiter.cli.levels import show_names
from zae_limiter.cli.options import confirm, on_store, principal_option, resource_option, yes_option
from zae_limiter.cli.parse import limit_option, limits_of, metadata_of
from zae_limiter.cli.render import json_option, show_done, show_json, show_limits, show_table

if TYPE_CHECKING:
    from zae_limiter.models import Entity
    from zae_limiter.sync_limiter import SyncRateLimiter

_PAGE: Final = 500
_metadata_option = click.option("--metadata", "-m", multiple=True, metavar="KEY=VALUE", help="May be repeated.")


@click.group()
def entity() -> None:
    """Who is charged: users, keys, tenants, and limits of their own."""


@entity.command()
@click.argument("entity_id")
@click.option("--display-name", help="A name to show; the id if not given.")
@click.option("--parent", help="The entity above this one.")
@click.option("--cascade/--no-cascade", default=False, help="Charges count at the parent too.  [default: no]")
@_metadata_option
@principal_option
@json_option
@on_store
def create(
    limiter: "SyncRateLimiter",
    *,
    entity_id: str,
    display_name: str | None,
    parent: str | None,
    cascade: bool,
    metadata: tuple[str, ...],
    principal: str | None,
    as_json: bool,
) -> None:
    """Store the entity ENTITY_ID.

    For example: zae-limiter entity create user-1 --parent acme --cascade
    """
    made = limiter.create_entity(entity_id, display_name, parent, cascade, metadata_of(metadata), principal)
    _show(made, as_json=as_json)


@entity.command()
@click.argument("entity_id")
@json_option
@on_store
def show(limiter: "SyncRateLimiter", *, entity_id: str, as_json: bool) -> None:
    """Show an entity.

    For example: zae-limiter entity show user-1
    """
    found = limiter.get_entity(entity_id)
    if found is None:
        raise click.ClickException(f"there is no entity {entity_id!r}; 'zae-limiter entity create' stores one")
    _show(found, as_json=as_json)


@entity.command()
@click.argument("entity_id")
@click.option("--display-name", help="A name to show.")
@click.option("--parent", help="The entity above this one; '' for none.")
@click.option("--cascade/--no-cascade", default=None, help="Whether charges count at the parent too.")
@_metadata_option
@principal_option
@json_option
@on_store
def update(
    limiter: "SyncRateLimiter",
    *,
    entity_id: str,
    display_name: str | None,
    parent: str | None,
    cascade: bool | None,
    metadata: tuple[str, ...],
    principal: str | None,
    as_json: bool,
) -> None:
    """Change what is given of an entity.

    For example: zae-limiter entity update user-1 --parent globex
    """
    changed = limiter.update_entity(
        entity_id,
        name=display_name,
        parent_id=parent,
        cascade=cascade,
        metadata=metadata_of(metadata),
        principal=principal,
    )
    _show(changed, as_json=as_json)


@entity.command()
@click.argument("entity_id")
@yes_option
@principal_option
@json_option
@on_store
def delete(limiter: "SyncRateLimiter", *, entity_id: str, yes: bool, principal: str | None, as_json: bool) -> None:
    """Remove an entity with its limits, buckets and usage; its audit events stay.

    For example: zae-limiter entity delete user-1 --yes
    """
    confirm(f"Remove {entity_id} with its limits, buckets and usage?", yes=yes)
    limiter.delete_entity(entity_id, principal)
    show_done({"entity_id": entity_id}, f"removed {entity_id}", as_json=as_json)


@entity.command()
@click.argument("parent_id")
@json_option
@on_store
def children(limiter: "SyncRateLimiter", *, parent_id: str, as_json: bool) -> None:
    """List the entities directly below PARENT_ID.

    For example: zae-limiter entity children acme
    """
    found = limiter.get_children(parent_id)
    if as_json:
        show_json([_data(each) for each in found])
        return
    rows = [(each.id, each.name, "yes" if each.cascade else "no", each.created_at) for each in found]
    show_table(("entity", "name", "cascade", "created"), rows)


@entity.command("set-limits")
@click.argument("entity_id")
@resource_option
@limit_option
@principal_option
@json_option
@on_store
def set_limits(
    limiter: "SyncRateLimiter",
    *,
    entity_id: str,
    resource: str,
    texts: tuple[str, ...],
    principal: str | None,
    as_json: bool,
) -> None:
    """Replace the limits of an entity for a resource, or for all.

    For example: zae-limiter entity set-limits user-1 -r gpt-4 -l rpm:500/minute
    """
    limits = limits_of(texts)
    limiter.set_limits(entity_id, limits, resource, principal)
    show_limits(limits, as_json=as_json, nothing="")


@entity.command("get-limits")
@click.argument("entity_id")
@resource_option
@json_option
@on_store
def get_limits(limiter: "SyncRateLimiter", *, entity_id: str, resource: str, as_json: bool) -> None:
    """Show the limits that are stored for an entity.

    For example: zae-limiter entity get-limits user-1 -r gpt-4
    """
    limits = limiter.get_limits(entity_id, resource)
    show_limits(limits, as_json=as_json, nothing=f"no limits of its own are set for {entity_id} on {resource}")


@entity.command("delete-limits")
@click.argument("entity_id")
@resource_option
@yes_option
@principal_option
@json_option
@on_store
def delete_limits(
    limiter: "SyncRateLimiter", *, entity_id: str, resource: str, yes: bool, principal: str | None, as_json: bool
) -> None:
    """Remove the limits of an entity; those of the next level are in force then.

    For example: zae-limiter entity delete-limits user-1 -r gpt-4 --yes
    """
    confirm(f"Remove the limits of {entity_id} on {resource}?", yes=yes)
    limiter.delete_limits(entity_id, resource, principal)
    told = f"removed the limits of {entity_id} on {resource}"
    show_done({"entity_id": entity_id, "resource": resource}, told, as_json=as_json)


@entity.command("list")
@click.option("--with-custom-limits", "resource", required=True, metavar="RESOURCE", help="Which resource.")
@click.option("--limit", "most", type=click.IntRange(min=1), help="At most so many.")
@json_option
@on_store
def list_entities(limiter: "SyncRateLimiter", *, resource: str, most: int | None, as_json: bool) -> None:
    """List the entities that have limits of their own for a resource.

    For example: zae-limiter entity list --with-custom-limits gpt-4
    """
    found: list[str] = []
    cursor: str | None = None
    while most is None or len(found) < most:
        page = None if most is None else min(_PAGE, most - len(found))
        names, cursor = limiter.list_entities_with_custom_limits(resource, page, cursor)
        found += names
        if cursor is None:
            break
    show_names(found, as_json=as_json)


@entity.command("list-resources")
@json_option
@on_store
def list_resources(limiter: "SyncRateLimiter", *, as_json: bool) -> None:
    """List the resources for which an entity has limits of its own.

    For example: zae-limiter entity list-resources
    """
    show_names(limiter.list_resources_with_entity_configs(), as_json=as_json)


def _data(entity: "Entity") -> dict[str, object]:
    from dataclasses import asdict

    return asdict(entity)


def _show(entity: "Entity", *, as_json: bool) -> None:
    data = _data(entity)
    if as_json:
        show_json(data)
        return
    shown = {**data, "cascade": "yes" if entity.cascade else "no"}
    shown["metadata"] = ", ".join(f"{key}={value}" for key, value in entity.metadata.items())
    show_table(("field", "value"), [(key.replace("_", " "), value) for key, value in shown.items() if value])
