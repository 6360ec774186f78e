"""`zae-limiter rates`: what a text of limits means, before it goes into a configuration.

The text is read by the same parser as everywhere else; nothing is stored or asked.
"""

import click

from zae_limiter.cli.options import errors_told
from zae_limiter.cli.render import json_option, show_limits


@click.command()
@click.argument("text")
@json_option
def rates(*, text: str, as_json: bool) -> None:
    """Show what TEXT means, limit by limit.

    For example: zae-limiter rates "100/minute+150; tpm=90000/minute"
    """
    from zae_limiter.models import limits_from_text

    with errors_told():
        limits = limits_from_text(text)
    show_limits(limits, as_json=as_json, nothing="")
