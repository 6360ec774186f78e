"""An application whose rules wait for room, on the real clock; it tells on standard error what comes and goes."""

import os
import sys
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from zae_limiter_asgi import Rule, ZaeLimiterMiddleware


async def _page(_: Request) -> PlainTextResponse:
    return PlainTextResponse("in")


_guarded = ZaeLimiterMiddleware(
    Starlette(routes=[Route("/soon", _page), Route("/late", _page)]),
    store=os.environ["SERVED_STORE"],
    rules=[
        Rule("/soon", key="ip", limits="1/second", max_wait=20, name="soon"),
        Rule("/late", key="ip", limits="1/hour", max_wait=3_600, name="late"),
    ],
)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Tells when a request comes and when its call has ended."""
    path = scope.get("path", scope["type"])
    print("came", path, file=sys.stderr, flush=True)
    try:
        await _guarded(scope, receive, send)
    finally:
        print("went", path, file=sys.stderr, flush=True)
