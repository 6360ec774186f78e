"""`zae-limiter usage`: what was used, by window or in all."""

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from zae_limiter.cli.options import StoreChoice, TableChoice, on_store, store_options
from zae_limiter.cli.render import json_option, progress, show_json, show_table

if TYPE_CHECKING:
    from zae_limiter.models import UsageSnapshot, UsageSummary
    from zae_limiter.sync_limiter import SyncRateLimiter

_BAR: Final = 40
_FILTERS: Final = (
    click.option("--entity-id", "-e", help="Of one entity."),
    click.option("--resource", "-r", help="Of one resource."),
    click.option("--window", "-w", type=click.Choice(["hourly", "daily", "monthly"]), help="Windows of one length."),
    click.option("--start", help="From this time on, as 2026-01-31 or 2026-01-31T12:00:00Z."),
    click.option("--end", help="Up to this time."),
)


def _filtered(function: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_FILTERS):
        function = option(function)
    return function


@click.group()
def usage() -> None:
    """What was used, by window or in all. Name an entity, a resource, or both."""


@usage.command("list")
@_filtered
@click.option("--limit", "-l", type=click.IntRange(min=1), default=100, show_default=True, help="Windows on a page.")
@click.option("--next-key", help="The key of the next page, as the page before told it.")
@click.option("--plot", "-p", is_flag=True, help="Bars in place of a table, one chart for each limit.")
@json_option
@on_store
def list_windows(
    limiter: "SyncRateLimiter",
    *,
    entity_id: str | None,
    resource: str | None,
    window: str | None,
    start: str | None,
    end: str | None,
    limit: int,
    next_key: str | None,
    plot: bool,
    as_json: bool,
) -> None:
    """List what was used window by window, newest first.

    For example: zae-limiter usage list -e user-1 -w daily
    """
    _needs_one(entity_id, resource)
    found, key = limiter.get_usage_snapshots(entity_id, resource, window, start, end, limit, _key(next_key))
    if as_json:
        from dataclasses import asdict

        show_json({"snapshots": [asdict(each) for each in found], "next_key": key})
        return
    headings = ("window start", "type", "entity", "resource", "events", "used")
    if plot:
        _show_plot(found)
    else:
        show_table(headings, [_row(each) for each in found], right=("events",), nothing="no usage is recorded")
    if key is not None:
        click.echo(f"more: --next-key '{json.dumps(key)}'", err=True)


@usage.command()
@_filtered
@json_option
@on_store
def summary(
    limiter: "SyncRateLimiter",
    *,
    entity_id: str | None,
    resource: str | None,
    window: str | None,
    start: str | None,
    end: str | None,
    as_json: bool,
) -> None:
    """Add up what was used.

    For example: zae-limiter usage summary -r gpt-4 -w hourly --start 2026-01-31
    """
    _needs_one(entity_id, resource)
    found = limiter.get_usage_summary(entity_id, resource, window, start, end)
    if as_json:
        from dataclasses import asdict

        show_json(asdict(found))
        return
    if not found.snapshot_count:
        click.echo("no usage is recorded")
        return
    click.echo(_spanned(found))
    rows = [(name, f"{total:,}", f"{found.average[name]:,.2f}") for name, total in sorted(found.total.items())]
    show_table(("limit", "total", "average"), rows, right=("total", "average"))


@usage.command()
@click.option("--windows", default="hourly,daily", show_default=True, help="Some of hourly, daily and monthly.")
@click.option("--retention-days", type=click.IntRange(1, 3_650), default=90, show_default=True, help="Kept so long.")
@json_option
@store_options
def rollup(choice: StoreChoice, *, windows: str, retention_days: int, as_json: bool) -> None:
    """Count what a DynamoDB table's stream holds and is not counted yet, as the function of the stack would.

    An embedded store counts by itself; there is nothing to do then.
    For example: zae-limiter usage rollup --name my-app
    """
    chosen = tuple(window.strip() for window in windows.split(","))
    unknown = sorted(set(chosen) - {"hourly", "daily", "monthly"})
    if unknown:
        raise click.BadParameter(f"{unknown[0]!r}: choose among hourly, daily and monthly", param_hint="--windows")
    if not choice.address.startswith("dynamodb:"):
        found = {"records": 0, "counted": 0, "skipped": 0}
        told = "this store counts usage by itself; there is nothing to do"
    else:
        found = _rolled_up(TableChoice.at(choice.address), chosen, retention_days)
        told = f"{found['records']:,} records read, {found['counted']:,} changes counted"
    if as_json:
        show_json(found)
    else:
        click.echo(told)
    if found["skipped"]:
        raise click.ClickException(f"{found['skipped']} records could not be read and are not counted")


def _rolled_up(table: TableChoice, windows: tuple[str, ...], retention_days: int) -> dict[str, int]:
    from zae_limiter.aggregator.stream import roll_up

    with progress() as tell:
        found = roll_up(
            table.name,
            region=table.region,
            endpoint_url=table.endpoint_url,
            windows=windows,
            retention_days=retention_days,
            told=lambda so_far: tell(f"{so_far.records:,} records read"),
        )
    return {"records": found.records, "counted": found.counted, "skipped": len(found.skipped)}


def _show_plot(snapshots: "Sequence[UsageSnapshot]") -> None:
    """A chart for each limit and kind of window, oldest first; entities of one window are added up."""
    used: dict[tuple[str, str], dict[str, int]] = {}
    for each in snapshots:
        for name, amount in each.counters.items():
            windows = used.setdefault((name, each.window_type), {})
            windows[each.window_start] = windows.get(each.window_start, 0) + amount
    if not used:
        click.echo("no usage is recorded")
    for (name, window_type), windows in sorted(used.items()):
        most = max(1, *windows.values())
        click.echo(f"{name}, {window_type}")
        for start, amount in sorted(windows.items()):
            bar = "█" * (max(1, amount * _BAR // most) if amount > 0 else 0)
            click.echo(f"  {start}  {bar:<{_BAR}}  {amount:,}")


def _spanned(found: "UsageSummary") -> str:
    """How much was added up; a window has one snapshot for each entity and resource."""
    first, last = found.min_window_start, found.max_window_start
    if found.snapshot_count == 1:
        return f"1 snapshot of a window that begins at {first}"
    when = f"at {first}" if first == last else f"from {first} to {last}"
    return f"{found.snapshot_count:,} snapshots of windows that begin {when}"


def _needs_one(entity_id: str | None, resource: str | None) -> None:
    if entity_id is None and resource is None:
        raise click.UsageError("name an entity with --entity-id, a resource with --resource, or both")


def _key(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        key = json.loads(text)
    except (ValueError, RecursionError):
        key = None
    if not isinstance(key, dict):
        raise click.BadParameter("give it as the page before printed it", param_hint="--next-key")
    return key


def _row(snapshot: "UsageSnapshot") -> tuple[object, ...]:
    used = ", ".join(f"{name}={amount:,}" for name, amount in sorted(snapshot.counters.items()))
    return (
        snapshot.window_start,
        snapshot.window_type,
        snapshot.entity_id,
        snapshot.resource,
        f"{snapshot.total_events:,}",
        used,
    )
