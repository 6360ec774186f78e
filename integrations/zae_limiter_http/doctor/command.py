"""`zae-limiter doctor`: what is wrong with an application, before its first request.

It ends with 0 when nothing is wrong, with 3 when something is, with 1 when the application cannot be read.
"""

import contextlib
import json
import sys

import click

from zae_limiter.exceptions import ZAELimiterError


@click.command()
@click.argument("application", required=False)
@click.option("--workers", type=click.IntRange(1), help="Processes that serve it; WEB_CONCURRENCY if not given.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def doctor(*, application: str | None, workers: int | None, as_json: bool) -> None:
    """Show which limits apply to each route of APPLICATION, and what is wrong.

    APPLICATION is module:name, or module:make() for one that is made; without it the Django project of
    DJANGO_SETTINGS_MODULE is examined.

    For example: zae-limiter doctor myapp:app
    """
    from zae_limiter_http.doctor.examination import read
    from zae_limiter_http.doctor.table import printed

    try:
        # What an application prints while it is imported is no part of the report.
        with contextlib.redirect_stdout(sys.stderr):
            report = read(application, workers=workers)
    except ZAELimiterError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps(report.as_dict(), indent=2))
    else:
        printed(report)
    sys.exit(0 if report.is_well else 3)
