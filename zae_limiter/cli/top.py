"""`zae-limiter top`: the busiest buckets, live. It reads buckets and writes nothing.

What is used between two looks is reckoned from the levels; a refusal leaves no trace in a store, so a bucket
without a token left is marked instead.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

import click

from zae_limiter.cli.options import on_store
from zae_limiter.cli.parse import Seconds
from zae_limiter.cli.render import json_option, show_json, show_table

if TYPE_CHECKING:
    from rich.table import Table

    from zae_limiter.models import BucketState
    from zae_limiter.sync_limiter import SyncRateLimiter

_HEADINGS: Final = ("entity", "resource", "limit", "available", "burst", "used", "a second", "state")
_IN_CODE: Final = "what limits in an application's code let through: zae-limiter usage list -r RESOURCE"
Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Row:
    """One limit of a bucket: what is left, what is used in percent, tokens taken a second since the last look."""

    entity_id: str
    resource: str
    limit_name: str
    available: int
    burst: int
    used_pct: float
    taken_per_second: float | None
    is_empty: bool


@click.command()
@click.argument("resources", nargs=-1)
@click.option("--interval", type=Seconds(0.2, 86_400), default=2.0, show_default=True, help="Seconds.")
@click.option("--rows", "most", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many.")
@click.option("--looks", type=click.IntRange(min=1), help="End after so many looks.  [default: 1 when piped]")
@json_option
@on_store
def top(
    limiter: "SyncRateLimiter",
    *,
    resources: tuple[str, ...],
    interval: float,
    most: int,
    looks: int | None,
    as_json: bool,
) -> None:
    """Show the busiest buckets of RESOURCES, or of all resources that have limits; Ctrl-C ends it.

    Limits that stand in the code of an application are in no store, and their buckets are not shown.

    For example: zae-limiter top gpt-4 --interval 1
    """
    names = list(resources) or _configured(limiter)
    if not names:
        raise click.ClickException(f"no resource has limits of its own; name the resources to look at ({_IN_CODE})")
    from rich.console import Console

    console = Console()
    if looks is None and (as_json or not console.is_terminal):
        looks = 1
    watched = looks_at(limiter, names, most=most, looks=looks, pause=lambda: time.sleep(interval))
    if as_json or not console.is_terminal:
        for number, rows in enumerate(watched):
            if number and not as_json:
                click.echo()
            _print(rows, as_json=as_json)
            if not rows and not number:
                click.echo(f"no bucket of {', '.join(names)} has stored limits; {_IN_CODE}", err=True)
        return
    from rich.live import Live

    with Live(console=console, auto_refresh=False, screen=False) as live:
        try:
            for rows in watched:
                live.update(_table(rows), refresh=True)
        except KeyboardInterrupt:
            live.stop()


def busiest(before: "Mapping[Key, BucketState]", now: "Sequence[BucketState]", most: int) -> list[Row]:
    """The rows to show, those that lost most of their burst first."""
    rows = [_row(before.get(_key(state)), state) for state in now]
    return sorted(rows, key=lambda row: (-row.used_pct, -(row.taken_per_second or 0), row.entity_id))[:most]


def looks_at(
    limiter: "SyncRateLimiter",
    resources: Sequence[str],
    *,
    most: int,
    looks: int | None,
    pause: Callable[[], None],
) -> "Iterator[list[Row]]":
    """The rows of one look after another, so many times or for ever; `pause` waits between two."""
    before: dict[Key, BucketState] = {}
    number = 0
    while looks is None or number < looks:
        if number:
            pause()
        states = [state for name in resources for state in limiter.repository.get_resource_buckets(name)]
        yield busiest(before, states, most)
        before = {_key(state): state for state in states}
        number += 1


def _configured(limiter: "SyncRateLimiter") -> list[str]:
    from zae_limiter.naming import DEFAULT_RESOURCE

    custom = limiter.list_resources_with_entity_configs()
    return sorted({*limiter.list_resources_with_defaults(), *custom} - {DEFAULT_RESOURCE})


def _key(state: "BucketState") -> Key:
    return state.entity_id, state.resource, state.limit_name


def _row(before: "BucketState | None", state: "BucketState") -> Row:
    taken: float | None = None
    if before is not None and state.last_refill_ms > before.last_refill_ms:
        elapsed_ms = state.last_refill_ms - before.last_refill_ms
        # What came back meanwhile was taken too, unless the bucket was full by then.
        back = state.refill_amount_milli * elapsed_ms / state.refill_period_ms
        level = min(state.burst_milli, before.tokens_milli + back)
        taken = max(0.0, level - state.tokens_milli) / elapsed_ms
    used_pct = (state.burst_milli - state.tokens_milli) / state.burst_milli * 100
    is_empty = state.tokens_milli < 1000
    return Row(*_key(state), state.tokens, state.burst, round(used_pct, 1), taken, is_empty)


def _cells(row: Row) -> tuple[str, ...]:
    taken = "-" if row.taken_per_second is None else f"{row.taken_per_second:,.1f}"
    state = "empty" if row.is_empty else ""
    numbers = (f"{row.available:,}", f"{row.burst:,}", f"{row.used_pct:.1f} %", taken)
    return row.entity_id, row.resource, row.limit_name, *numbers, state


def _print(rows: Sequence[Row], *, as_json: bool) -> None:
    if as_json:
        show_json([asdict(row) for row in rows])
    else:
        show_table(_HEADINGS, [_cells(row) for row in rows])


def _table(rows: Sequence[Row]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(caption=None if rows else f"no bucket has stored limits; {_IN_CODE}")
    for heading in _HEADINGS:
        table.add_column(heading, justify="right" if heading in _HEADINGS[3:7] else "left")
    for row in rows:
        table.add_row(*(Text(cell) for cell in _cells(row)), style="red" if row.is_empty else None)
    return table
