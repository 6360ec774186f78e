"""`zae-limiter audit`: what was changed, when and by whom."""

from typing import TYPE_CHECKING

import click

from zae_limiter.cli.options import on_store
from zae_limiter.cli.render import json_option, show_json, show_table

if TYPE_CHECKING:
    from zae_limiter.sync_limiter import SyncRateLimiter


@click.group()
def audit() -> None:
    """What was changed, when and by whom."""


@audit.command("list")
@click.option(
    "--entity-id", "-e", required=True, help="The entity; $RESOURCE:name and $SYSTEM are the levels above entities."
)
@click.option("--limit", "-l", type=click.IntRange(min=1), default=100, show_default=True, help="At most so many.")
@click.option("--start-event-id", help="Go on after this event.")
@json_option
@on_store
def list_events(
    limiter: "SyncRateLimiter", *, entity_id: str, limit: int, start_event_id: str | None, as_json: bool
) -> None:
    """List the changes of one entity, newest first.

    For example: zae-limiter audit list -e user-1 -l 20
    """
    events = limiter.get_audit_events(entity_id, limit, start_event_id)
    if as_json:
        show_json([event.to_dict() for event in events])
        return
    rows = [(each.timestamp, each.action, each.principal, each.resource, each.event_id) for each in events]
    show_table(
        ("time", "action", "principal", "resource", "event"), rows, nothing=f"nothing has been changed of {entity_id}"
    )
    if len(events) == limit:
        click.echo(f"more: --start-event-id {events[-1].event_id}", err=True)
