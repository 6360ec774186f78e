"""One request through ASGI: the bare application, ours around it, and what else is put around it; all in memory.

slowapi, asgi-ratelimit and fastapi-limiter stand as their pages tell; fastapi-limiter is for FastAPI alone.
"""

import asyncio
from typing import Any

from fastapi import Depends, FastAPI
from fastapi_limiter.depends import RateLimiter as FastAPILimiter
from pyrate_limiter import Duration, Limiter, Rate
from ratelimit import RateLimitMiddleware
from ratelimit import Rule as OtherRule
from ratelimit.backends.simple import MemoryBackend
from slowapi import Limiter as SlowLimiter
from slowapi.middleware import SlowAPIASGIMiddleware
from slowapi.util import get_remote_address
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from benchmarks.rounds import Contender, medians, shown
from zae_limiter import Charge, RateLimiter, open_limiter
from zae_limiter_asgi import Rule, ZaeLimiterMiddleware, rate_limit

LIMIT = "1000000/second"
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


def guarded(app: Any, *rules: Rule) -> Any:
    """An application with our middleware."""
    app.add_middleware(ZaeLimiterMiddleware, store="memory:", rules=rules)
    return app


def fastapi(*dependencies: Any) -> FastAPI:
    """An application of FastAPI with one page, and what it depends on."""
    app = FastAPI()

    async def answered() -> PlainTextResponse:
        return PlainTextResponse("hello")

    app.add_api_route("/", answered, dependencies=[Depends(each) for each in dependencies])
    return app


def with_slowapi(*, headers: bool) -> Starlette:
    """An application with slowapi's middleware, the one that is plain ASGI."""
    app = application()
    app.state.limiter = SlowLimiter(key_func=get_remote_address, default_limits=[LIMIT], headers_enabled=headers)
    app.add_middleware(SlowAPIASGIMiddleware)
    return app


async def peer(scope: Any) -> tuple[str, str]:
    """Whom asgi-ratelimit counts: its own function takes public addresses alone."""
    return scope["client"][0], "default"


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


def charged(loop: asyncio.AbstractEventLoop, limiter: RateLimiter) -> Contender:
    """The charge that a request makes, without any request."""

    async def charge(calls: int) -> None:
        for _ in range(calls):
            async with limiter.acquire_all([Charge("ip4:203.0.113.9", "http", 1, LIMIT)]):
                pass

    return lambda calls: loop.run_until_complete(charge(calls))


def main() -> None:
    """Compare, and print."""
    loop = asyncio.new_event_loop()
    limiter = open_limiter("memory:")
    rule = Rule(key="ip", limits=LIMIT)
    untyped: Any = MemoryBackend
    other = RateLimitMiddleware(application(), peer, untyped(), {"^/": [OtherRule(second=1_000_000)]})
    starlette = {
        "bare": asked(loop, application()),
        "the charge alone, memory": charged(loop, limiter),
        "with ours": asked(loop, guarded(application(), rule)),
        "with slowapi": asked(loop, with_slowapi(headers=True)),
        "with slowapi, no headers": asked(loop, with_slowapi(headers=False)),
        "with asgi-ratelimit (it has no headers)": asked(loop, other),
    }
    _told("one request through Starlette", medians(starlette))
    fast = FastAPILimiter(Limiter(Rate(1_000_000, Duration.SECOND)))
    ours = guarded(fastapi(rate_limit(LIMIT, key="ip")))
    found = {
        "bare": asked(loop, fastapi()),
        "the charge alone, memory": charged(loop, limiter),
        "with ours, a rule": asked(loop, guarded(fastapi(), rule)),
        "with ours, a dependency": asked(loop, ours),
        "with fastapi-limiter, a dependency (it has no headers)": asked(loop, fastapi(fast)),
    }
    _told("one request through FastAPI", medians(found))
    loop.run_until_complete(limiter.close())
    loop.close()


def _told(title: str, found: dict[str, float]) -> None:
    shown(title, found, base="bare")
    ours = next(name for name in found if name.startswith("with ours"))
    over = found[ours] - found["bare"] - found["the charge alone, memory"]
    print(f"{ours}: {over:.1f} µs over the charge itself; at most 40 are wanted\n")


if __name__ == "__main__":
    main()
