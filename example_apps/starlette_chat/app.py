"""A chat over websockets: handshakes are limited by address, messages by member, in number and in characters.

The middleware charges the handshake; a message is charged where it is read, by the limiter itself.
"""

import asyncio
import contextlib
import math
import os
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from zae_limiter import Limit, RateLimitExceeded, open_limiter
from zae_limiter_asgi.starlette import Rule, ZaeLimiterMiddleware

STORE: Final = os.environ.get("ZAE_LIMITER_STORE", "embedded:///tmp/zae-limiter-chat.db")
MEMBERS: Final = {"token-ann": "ann", "token-bob": "bob"}
PATIENCE: Final = 10
LONGEST: Final = 1_000
PAGE: Final = (Path(__file__).parent / "page.html").read_text(encoding="utf-8")

limiter = open_limiter(STORE)
rooms: defaultdict[str, set[WebSocket]] = defaultdict(set)


async def page(_: Request) -> HTMLResponse:
    """A page to chat with."""
    return HTMLResponse(PAGE)


async def chat(socket: WebSocket) -> None:
    """One member in one room, until they leave or have been refused too often in a row."""
    member = MEMBERS.get(socket.query_params.get("token", ""))
    if member is None:
        await socket.close(1008)
        return
    await socket.accept()
    room = socket.path_params["room"]
    others = rooms[room]
    others.add(socket)
    try:
        await _listen(socket, member, others)
    except WebSocketDisconnect:
        pass
    finally:
        others.discard(socket)
        if not others:
            # Anybody may name a room; one that nobody is in any more takes no memory.
            del rooms[room]


async def _listen(socket: WebSocket, member: str, others: set[WebSocket]) -> None:
    refused_in_a_row = 0
    while refused_in_a_row < PATIENCE:
        text = await _heard(socket)
        if text is None:
            await socket.close(1003, "text only")
            return
        try:
            # A charge for each message, rather than more on the handshake's: a changed plan is in force at the next.
            async with limiter.acquire(f"custom:{member}", "chat", {"messages": 1, "characters": len(text)}):
                await _tell(others, {"from": member, "text": text})
            refused_in_a_row = 0
        except RateLimitExceeded as refused:
            refused_in_a_row += 1
            limits = sorted({status.limit_name for status in refused.violations})
            wait = math.ceil(refused.retry_after_seconds) if refused.retryable else None
            await socket.send_json({"refused": limits, "wait": wait})
    await socket.close(1013, "too many messages; come back later")


async def _heard(socket: WebSocket) -> str | None:
    """The next message, cut to what one may be; None for one that is no text."""
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message["code"])
    text: str | None = message.get("text")
    return None if text is None else text[:LONGEST]


async def _tell(others: set[WebSocket], message: dict[str, Any]) -> None:
    # One who has just left must not keep a message from the others.
    await asyncio.gather(*[socket.send_json(message) for socket in others], return_exceptions=True)


@contextlib.asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    """Store the plan of members unless an earlier start has done so; the middleware has opened the store by then."""
    if not await limiter.get_resource_defaults("chat"):
        messages = Limit.custom("messages", 5, 1, 2, unit="messages")
        characters = Limit.per_minute("characters", 1_000, unit="characters")
        await limiter.set_resource_defaults("chat", [messages, characters])
    yield


app = Starlette(
    routes=[Route("/", page), WebSocketRoute("/rooms/{room}", chat)],
    lifespan=lifespan,
    middleware=[
        Middleware(
            ZaeLimiterMiddleware,
            limiter=limiter,
            rules=[Rule("/rooms/*", key="ip", limits="10/minute", name="handshakes")],
        )
    ],
)
