"""How commands print: a table on a terminal, plain columns when piped, JSON when asked for."""

import contextlib
import json
import re
import sys
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from zae_limiter.models import Limit

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")

# What would end a line, move the cursor, or turn the direction of writing, such as escape sequences in a name.
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_PERIODS: Final = {1: "second", 60: "minute", 3_600: "hour", 86_400: "day"}


def show_json(data: object) -> None:
    """Print data as JSON."""
    text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(data, indent=2, allow_nan=False)
    click.echo(text)


def show_done(data: object, told: str, *, as_json: bool) -> None:
    """Print what was done, as data or in a line."""
    if as_json:
        show_json(data)
    else:
        click.echo(told)


def show_table(
    headings: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    right: Sequence[str] = (),
    nothing: str = "nothing is there",
) -> None:
    """Print rows under headings; the columns named by `right` are aligned to the right.

    Without rows a terminal gets the words `nothing`; what is piped keeps its headings.
    """
    texts = [["" if cell is None else _on_a_line(str(cell)) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        _show_plain(headings, texts)
        return
    if not texts:
        click.echo(nothing)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for heading in headings:
        table.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    for row in texts:
        # As text, so that what stands in brackets is no markup.
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def _on_a_line(text: str) -> str:
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _show_plain(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    lines = [
        [heading.upper().replace(" ", "-") for heading in headings],
        *([cell or "-" for cell in row] for row in rows),
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


@contextlib.contextmanager
def progress() -> Generator[Callable[[str], None], None, None]:
    """Tell how far long work has come, in one line of the terminal; where nobody looks, nothing is told."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    try:
        yield lambda text: click.echo(f"\r\x1b[K{text}", nl=False, err=True)
    finally:
        click.echo("\r\x1b[K", nl=False, err=True)


def show_limits(limits: "Sequence[Limit]", *, as_json: bool, nothing: str) -> None:
    """Print limits, or that there are none."""
    if as_json:
        show_json([limit.to_dict() for limit in limits])
    elif not limits:
        click.echo(nothing)
    else:
        rows = [(limit.name, f"{limit.capacity:,}", f"{limit.burst:,}", rate_of(limit), limit.unit) for limit in limits]
        show_table(("limit", "capacity", "burst", "rate", "unit"), rows, right=("capacity", "burst"))


def rate_of(limit: "Limit") -> str:
    """The rate of a limit in words: `100/minute`, `10/30 seconds`."""
    seconds = max(period for period in _PERIODS if limit.refill_period_seconds % period == 0)
    times = limit.refill_period_seconds // seconds
    return f"{limit.refill_amount:,}/" + (_PERIODS[seconds] if times == 1 else f"{times} {_PERIODS[seconds]}s")
