"""`zae-limiter serve`: the page on a web server of its own, for this machine alone unless told otherwise."""

import asyncio
import contextlib
import secrets
import socket
from urllib.parse import quote

import click

from zae_limiter import RateLimiter, open_limiter
from zae_limiter.cli.options import StoreChoice, store_options


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", type=click.IntRange(0, 65_535), default=8080, show_default=True, help="0 for any free one.")
@click.option("--write", is_flag=True, help="Let limits be changed; the page only shows without it.")
@click.option("--token", envvar="ZAE_LIMITER_TOKEN", help="What a visitor must have; made up for other machines.")
@store_options
def serve(choice: StoreChoice, *, host: str, port: int, write: bool, token: str | None) -> None:
    """Show a store in the browser: entities, limits, buckets, usage, the audit trail.

    For example: zae-limiter serve --store embedded:///var/lib/app/limits.db
    """
    from zae_limiter_dashboard.app import is_loopback

    is_local = is_loopback(host)
    # A page that only this machine reaches needs none.
    token = token or (None if is_local else secrets.token_urlsafe(24))
    limiter = open_limiter(choice.address, **choice.limiter_options)
    with _listening(host, port) as place, contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(limiter, place, host, write=write, token=token, is_local=is_local))


async def _serve(
    limiter: RateLimiter, place: socket.socket, host: str, *, write: bool, token: str | None, is_local: bool
) -> None:
    import uvicorn

    from zae_limiter_dashboard.app import create_app

    # Opened before the server is: a store that is not there is told in one line, as by every command.
    async with limiter:
        named = f"[{host.strip('[]')}]" if ":" in host else host
        shown = f"http://{named}:{place.getsockname()[1]}/" + (f"?token={quote(token, safe='')}" if token else "")
        click.echo(f"{shown}  (Ctrl-C ends it)")
        app = create_app(limiter, writable=write, token=token, is_local=is_local)
        config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=3)
        await uvicorn.Server(config).serve(sockets=[place])


def _listening(host: str, port: int) -> socket.socket:
    place = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        place.bind((host.strip("[]"), port))
        # Before the address is told: whoever opens it at once waits for the server, and is not turned away.
        place.listen()
    except OSError as error:
        place.close()
        raise click.ClickException(f"cannot listen on {host}, port {port}: {error.strerror}") from error
    return place
