"""`zae-limiter acquire`, `available` and `reset`: charge by hand, look, and make full again."""

import contextlib
from collections.abc import Generator
from typing import TYPE_CHECKING

import click

from zae_limiter.cli.options import Refused, confirm, on_store, principal_option, yes_option
from zae_limiter.cli.parse import amounts_of
from zae_limiter.cli.render import json_option, show_json, show_table

if TYPE_CHECKING:
    from zae_limiter.models import LimitStatus
    from zae_limiter.sync_limiter import SyncRateLimiter

_consume_option = click.option(
    "--consume", "-c", "amounts", multiple=True, metavar="[NAME=]NUMBER", help="What it costs.  [default: 1]"
)


@click.command()
@click.argument("entity_id")
@click.argument("resource")
@_consume_option
@click.option("--limits", help="Limits in place of the stored ones, such as '100/minute'.")
@click.option("--max-wait", type=click.FloatRange(min=0), default=0.0, help="Seconds to wait for room.")
@json_option
@on_store
def acquire(
    limiter: "SyncRateLimiter",
    *,
    entity_id: str,
    resource: str,
    amounts: tuple[str, ...],
    limits: str | None,
    max_wait: float,
    as_json: bool,
) -> None:
    """Charge ENTITY_ID for RESOURCE; exits with 3 when it is refused.

    For example: zae-limiter acquire user-1 gpt-4 -c rpm=1 -c tpm=500
    """
    from zae_limiter.exceptions import RateLimitExceeded

    try:
        with (
            _limits_found(entity_id, resource, limits),
            limiter.acquire(entity_id, resource, amounts_of(amounts), limits, max_wait=max_wait) as lease,
        ):
            _show(lease.statuses, as_json=as_json, granted=True, wait=0.0)
    except RateLimitExceeded as refused:
        _show(refused.statuses, as_json=as_json, granted=False, wait=refused.retry_after_seconds)
        raise Refused(str(refused)) from refused


@click.command()
@click.argument("entity_id")
@click.argument("resource")
@click.option("--limits", help="Limits in place of the stored ones, such as '100/minute'.")
@json_option
@on_store
def available(limiter: "SyncRateLimiter", *, entity_id: str, resource: str, limits: str | None, as_json: bool) -> None:
    """Show what ENTITY_ID could take of RESOURCE now, its parents included; takes nothing.

    For example: zae-limiter available user-1 gpt-4
    """
    with _limits_found(entity_id, resource, limits):
        found = limiter.available(entity_id, resource, limits)
    if as_json:
        show_json(found)
    else:
        show_table(("limit", "available"), [(name, f"{left:,}") for name, left in found.items()], right=("available",))


@click.command()
@click.argument("entity_id")
@click.option("--resource", "-r", help="Of one resource; of all if not given.")
@yes_option
@principal_option
@json_option
@on_store
def reset(
    limiter: "SyncRateLimiter", *, entity_id: str, resource: str | None, yes: bool, principal: str | None, as_json: bool
) -> None:
    """Make the buckets of ENTITY_ID full again.

    For example: zae-limiter reset user-1 -r gpt-4 --yes
    """
    confirm(f"Make the buckets of {entity_id} full again?", yes=yes)
    found = limiter.reset(entity_id, resource, principal)
    if as_json:
        show_json({"buckets": found})
        return
    click.echo(f"{found} {'bucket is' if found == 1 else 'buckets are'} full again")


@contextlib.contextmanager
def _limits_found(entity_id: str, resource: str, limits: str | None) -> Generator[None, None, None]:
    """Say in the words of commands that no level has limits."""
    from zae_limiter.exceptions import ValidationError

    try:
        yield
    except ValidationError as error:
        if error.field != "limits" or limits is not None:
            raise
        raise click.ClickException(
            f"no limits are set for {entity_id!r} on {resource!r} at any level; give --limits '100/minute', "
            f"or store some with 'zae-limiter resource set-defaults {resource} -l rpm:100/minute'"
        ) from error


def _show(statuses: "list[LimitStatus]", *, as_json: bool, granted: bool, wait: float) -> None:
    if as_json:
        data = [
            {
                "entity_id": each.entity_id,
                "limit": each.limit_name,
                "available": each.available,
                "burst": each.limit.burst,
                "requested": each.requested,
                "exceeded": each.exceeded,
            }
            for each in statuses
        ]
        retry = None if wait == float("inf") else wait
        show_json({"granted": granted, "retry_after_seconds": retry, "limits": data})
        return
    click.echo("granted" if granted else "refused")
    headings = ("entity", "limit", "requested", "available", "burst")
    rows = [
        (each.entity_id, each.limit_name, f"{each.requested:,}", f"{each.available:,}", f"{each.limit.burst:,}")
        for each in statuses
    ]
    show_table(headings, rows, right=headings[2:])
