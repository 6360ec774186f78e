"""`flask zae-limiter`: which limits apply where, whether all is well, and the buckets of one entity."""

from typing import TYPE_CHECKING

import click
from flask import current_app
from flask.cli import AppGroup

from zae_limiter.cli.options import Refused, errors_told
from zae_limiter.cli.render import show_json, show_table

if TYPE_CHECKING:
    from zae_limiter_flask.serving import Served

commands = AppGroup("zae-limiter", help="The limits of this application.")


def _served() -> "Served":
    from zae_limiter_flask.serving import EXTENSION

    found: Served = current_app.extensions[EXTENSION]
    return found


@commands.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def routes(*, as_json: bool) -> None:
    """Show every route and the limits that apply to it; a route without any shows none."""
    from zae_limiter_flask.coverage import routes_of

    with errors_told():
        found = list(routes_of(current_app, _served()))
    if as_json:
        words = ("template", "method", "endpoint", "told")
        show_json([{word: getattr(route, word) for word in words} for route in found])
        return
    rows = [
        (route.method, route.template, route.endpoint, line) for route in found for line in route.told or ["no limit"]
    ]
    show_table(("method", "route", "endpoint", "limits"), rows)


@commands.command()
def check() -> None:
    """Ask the store for an answer, and look for limits on no route; exits with 3 when something is wrong."""
    from zae_limiter_flask.coverage import routes_of, stray_targets

    served = _served()
    with errors_told():
        limiter = served.gate.limiter
        address, is_available = limiter.repository.address, limiter.is_available()
        bare = sorted({route.endpoint for route in routes_of(current_app, served) if not route.told})
    strays = stray_targets(current_app, served)
    click.echo(f"the store {address} {'answers' if is_available else 'does not answer'}")
    if address == "memory:":
        click.echo("it counts in each process alone: with several workers as many times the limit is admitted")
    for target in strays:
        click.echo(f"the limit on {target} is on no route; register it, or take the limit away")
    click.echo(f"without any limit: {', '.join(bare)}" if bare else "every route has a limit or is exempt")
    if strays or not is_available:
        raise Refused("something is wrong")


@commands.command()
@click.argument("entity")
@click.argument("resource", required=False)
def show(entity: str, resource: str | None) -> None:
    """Show the limits of which ENTITY has used something, of RESOURCE alone where it is named.

    For example: flask zae-limiter show ip4:203.0.113.9
    """
    from zae_limiter_flask.coverage import counted

    served = _served()
    with errors_told():
        limiter = served.gate.limiter
        stored = limiter.repository.get_buckets(entity, resource)
        rows = [(each.resource, each.limit_name, each.tokens, each.burst) for each in stored]
        for place, limit in counted(current_app, served):
            if resource in (None, place):
                left = limiter.available(entity, place, [limit])[limit.name]
                rows.append((place, limit.name, left, limit.burst))
    used = sorted({row for row in rows if row[2] != row[3]})
    if not used:
        click.echo(f"{entity} has used nothing, or has got it back since")
        return
    show_table(("resource", "limit", "left", "burst"), used, right=("left", "burst"))


@commands.command()
@click.argument("entity")
@click.argument("resource", required=False)
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset(entity: str, resource: str | None, *, yes: bool) -> None:
    """Make the buckets of ENTITY full again, of RESOURCE alone where it is named."""
    if not yes:
        click.confirm(f"Make the buckets of {entity} full again?", abort=True)
    with errors_told():
        count = _served().gate.limiter.reset(entity, resource)
    click.echo(f"{count} bucket{'s' * (count != 1)} of {entity} made full")
