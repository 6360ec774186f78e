"""One request through ASGI: the bare application, ours around it, slowapi around it."""

import asyncio
from typing import Any

from slowapi import Limiter
from slowapi.middleware import SlowAPIASGIMiddleware
from slowapi.util import get_remote_address
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from benchmarks.rounds import Contender, medians, shown
from zae_limiter_asgi import Rule, ZaeLimiterMiddleware

SCOPE: dict[str, Any] = {
    "type": "http",
    "asgi": {"version": "3.0"},
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "path": "/",
    "raw_path": b"/",
    "query_string": b"",
    "root_path": "",
    "headers": [(b"host", b"test"), (b"accept", b"*/*")],
    "client": ("203.0.113.9", 4711),
    "server": ("test", 80),
}


async def page(_: Request) -> PlainTextResponse:
    """The smallest answer there is."""
    return PlainTextResponse("hello")


def application() -> Starlette:
    """An application with one page."""
    return Starlette(routes=[Route("/", page)])


def asked(loop: asyncio.AbstractEventLoop, app: Any) -> Contender:
    """Asks an application in process."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        assert message.get("status", 200) == 200

    async def ask(calls: int) -> None:
        for _ in range(calls):
            await app(dict(SCOPE), receive, send)

    return lambda calls: loop.run_until_complete(ask(calls))


def main() -> None:
    """Compare, and print."""
    loop = asyncio.new_event_loop()
    guarded = application()
    rule = Rule(key="ip", limits="1000000/second")
    guarded.add_middleware(ZaeLimiterMiddleware, store="memory:", rules=[rule])
    slow = application()
    slow.state.limiter = Limiter(key_func=get_remote_address, default_limits=["1000000/second"], headers_enabled=True)
    slow.add_middleware(SlowAPIASGIMiddleware)
    found = medians(
        {
            "bare": asked(loop, application()),
            "with ours, memory": asked(loop, guarded),
            "with slowapi, memory": asked(loop, slow),
        }
    )
    shown("one request", found, base="bare")
    loop.close()


if __name__ == "__main__":
    main()
