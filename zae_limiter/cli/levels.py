"""`zae-limiter system` and `zae-limiter resource`: limits for everybody, and limits of a resource."""

from typing import TYPE_CHECKING

import click

from zae_limiter.cli.options import confirm, on_store, principal_option, yes_option
from zae_limiter.cli.parse import limit_option, limits_of
from zae_limiter.cli.render import json_option, show_done, show_json, show_limits

if TYPE_CHECKING:
    from zae_limiter.sync_limiter import SyncRateLimiter


@click.group()
def system() -> None:
    """Limits of last resort, and what to do without a store."""


@system.command("set-defaults")
@limit_option
@click.option("--on-unavailable", type=click.Choice(["allow", "block"]), help="What a charge does without a store.")
@click.option("--clear-on-unavailable", is_flag=True, help="Forget what was stored for an outage.")
@principal_option
@json_option
@on_store
def set_system(
    limiter: "SyncRateLimiter",
    *,
    texts: tuple[str, ...],
    on_unavailable: str | None,
    clear_on_unavailable: bool,
    principal: str | None,
    as_json: bool,
) -> None:
    """Replace the limits of last resort; what is stored for an outage stays unless it is given.

    For example: zae-limiter system set-defaults -l rpm:100/minute --on-unavailable allow
    """
    from zae_limiter.models import OnUnavailable

    limits = limits_of(texts)
    action = None if on_unavailable is None else OnUnavailable(on_unavailable)
    if action is None and not clear_on_unavailable:
        _, stored = limiter.get_system_defaults()
        action = None if stored is None else OnUnavailable(stored)
    limiter.set_system_defaults(limits, action, principal)
    show_limits(limits, as_json=as_json, nothing="")


@system.command("get-defaults")
@json_option
@on_store
def get_system(limiter: "SyncRateLimiter", *, as_json: bool) -> None:
    """Show the limits of last resort.

    For example: zae-limiter system get-defaults --json
    """
    limits, action = limiter.get_system_defaults()
    if as_json:
        show_json({"limits": [limit.to_dict() for limit in limits], "on_unavailable": action})
        return
    show_limits(limits, as_json=False, nothing="no limits are set for the system")
    click.echo(f"on-unavailable: {action or 'not set (block)'}")


@system.command("delete-defaults")
@yes_option
@principal_option
@json_option
@on_store
def delete_system(limiter: "SyncRateLimiter", *, yes: bool, principal: str | None, as_json: bool) -> None:
    """Remove the limits of last resort, and what to do without a store.

    For example: zae-limiter system delete-defaults --yes
    """
    confirm("Remove the limits of the system?", yes=yes)
    limiter.delete_system_defaults(principal)
    show_done({"level": "system"}, "removed the limits of the system", as_json=as_json)


@click.group()
def resource() -> None:
    """Limits of a resource, for entities that have none of their own."""


@resource.command("set-defaults")
@click.argument("resource")
@limit_option
@principal_option
@json_option
@on_store
def set_resource(
    limiter: "SyncRateLimiter", *, resource: str, texts: tuple[str, ...], principal: str | None, as_json: bool
) -> None:
    """Replace the limits of RESOURCE.

    For example: zae-limiter resource set-defaults gpt-4 -l rpm:100/minute -l tpm:90000/minute::tokens
    """
    limits = limits_of(texts)
    limiter.set_resource_defaults(resource, limits, principal)
    show_limits(limits, as_json=as_json, nothing="")


@resource.command("get-defaults")
@click.argument("resource")
@json_option
@on_store
def get_resource(limiter: "SyncRateLimiter", *, resource: str, as_json: bool) -> None:
    """Show the limits of RESOURCE.

    For example: zae-limiter resource get-defaults gpt-4
    """
    limits = limiter.get_resource_defaults(resource)
    show_limits(limits, as_json=as_json, nothing=f"no limits are set for {resource}")


@resource.command("delete-defaults")
@click.argument("resource")
@yes_option
@principal_option
@json_option
@on_store
def delete_resource(
    limiter: "SyncRateLimiter", *, resource: str, yes: bool, principal: str | None, as_json: bool
) -> None:
    """Remove the limits of RESOURCE.

    For example: zae-limiter resource delete-defaults gpt-4 --yes
    """
    confirm(f"Remove the limits of {resource}?", yes=yes)
    limiter.delete_resource_defaults(resource, principal)
    show_done({"resource": resource}, f"removed the limits of {resource}", as_json=as_json)


@resource.command("list")
@json_option
@on_store
def list_resources(limiter: "SyncRateLimiter", *, as_json: bool) -> None:
    """List the resources that have limits.

    For example: zae-limiter resource list
    """
    show_names(limiter.list_resources_with_defaults(), as_json=as_json)


@resource.command("capacity")
@click.argument("resource")
@click.argument("limit_name")
@click.option("--parents-only", is_flag=True, help="Only stored entities that have no parent.")
@json_option
@on_store
def capacity(limiter: "SyncRateLimiter", *, resource: str, limit_name: str, parents_only: bool, as_json: bool) -> None:
    """Show how much of LIMIT_NAME is left over all entities that used RESOURCE.

    For example: zae-limiter resource capacity gpt-4 rpm
    """
    from dataclasses import asdict

    from zae_limiter.cli.render import show_table

    found = limiter.get_resource_capacity(resource, limit_name, parents_only)
    if as_json:
        show_json(asdict(found))
        return
    rows = [(each.entity_id, each.capacity, each.available, f"{each.utilization_pct:.1f} %") for each in found.entities]
    total = ("total", found.total_capacity, found.total_available, f"{found.utilization_pct:.1f} %")
    headings = ("entity", "capacity", "available", "used")
    show_table(headings, [*rows, total], right=headings[1:])


def show_names(names: list[str], *, as_json: bool) -> None:
    """Print names, one a line."""
    if as_json:
        show_json(names)
    for name in () if as_json else names:
        click.echo(name)
