"""One request through Litestar and through Quart: the bare application, and ours in it, over memory with one limit."""

import asyncio
from typing import Any

from litestar import Litestar, get
from quart import Quart

from benchmarks.asgi import LIMIT, SCOPE, asked
from benchmarks.rounds import Contender, medians, shown
from zae_limiter_asgi import Rule, ZaeLimiterMiddleware
from zae_limiter_asgi.litestar import ZaeLimiterPlugin

RULES = [Rule(key="ip", limits=LIMIT)]


def litestar(*plugins: Any) -> Litestar:
    """An application with one page."""

    @get("/", media_type="text/plain")
    async def page() -> str:
        return "hello"

    return Litestar([page], plugins=plugins, openapi_config=None, logging_config=None)


def quart() -> Quart:
    """An application with one page."""
    app = Quart("benchmark", static_folder=None)

    async def page() -> str:
        return "hello"

    app.add_url_rule("/", "page", page)
    return app


def listened(loop: asyncio.AbstractEventLoop, app: Any) -> Contender:
    """Asks an application that listens until the client is gone, as Quart does: nothing comes after the body."""

    async def send(message: Any) -> None:
        assert message.get("status", 200) == 200

    async def ask(calls: int) -> None:
        for _ in range(calls):
            coming = [{"type": "http.request", "body": b"", "more_body": False}]

            async def receive(coming: list[dict[str, Any]] = coming) -> dict[str, Any]:
                return coming.pop() if coming else await loop.create_future()

            await app(dict(SCOPE), receive, send)

    return lambda calls: loop.run_until_complete(ask(calls))


def main() -> None:
    """Compare, and print."""
    loop = asyncio.new_event_loop()
    plugin = ZaeLimiterPlugin(store="memory:", rules=RULES)
    outside: Any = ZaeLimiterMiddleware(litestar(), store="memory:", rules=RULES)
    found = medians(
        {
            "bare": asked(loop, litestar()),
            "with ours, the plugin": asked(loop, litestar(plugin)),
            "with ours, from outside": asked(loop, outside),
        }
    )
    shown("one request through Litestar", found, base="bare")
    guarded: Any = ZaeLimiterMiddleware(quart(), store="memory:", rules=RULES)
    found = medians({"bare": listened(loop, quart()), "with ours": listened(loop, guarded)})
    shown("one request through Quart", found, base="bare")
    loop.close()


if __name__ == "__main__":
    main()
