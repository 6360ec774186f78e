"""`zae-limiter rates`: what a text of limits means, before it goes into a configuration.

The text is read by the same parser as everywhere else; nothing is stored or asked.
"""

import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from zae_limiter.models import Limit


@click.command()
@click.argument("text")
@click.option("--json", "as_json", is_flag=True, help="Print the limits as JSON.")
def rates(*, text: str, as_json: bool) -> None:
    """Show what TEXT means, limit by limit.

    For example: zae-limiter rates "100/minute+150; tpm=90000/minute"
    """
    limits = _limits(text)
    if as_json:
        click.echo(json.dumps([limit.to_dict() for limit in limits], indent=2))
    else:
        _print_table(limits)


def _limits(text: str) -> "tuple[Limit, ...]":
    from zae_limiter.exceptions import ValidationError
    from zae_limiter.models import limits_from_text

    try:
        return limits_from_text(text)
    except ValidationError as error:
        raise click.ClickException(str(error)) from error


def _print_table(limits: "tuple[Limit, ...]") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("limit")
    for heading in ("capacity", "burst", "refill"):
        table.add_column(heading, justify="right")
    for limit in limits:
        refill = f"{limit.refill_amount:,} in {limit.refill_period_seconds:,} s"
        table.add_row(limit.name, f"{limit.capacity:,}", f"{limit.burst:,}", refill)
    Console().print(table)
