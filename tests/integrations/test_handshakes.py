"""Handshakes of websockets that something further in refuses: what is sent, and what is charged."""

import asyncio
from typing import Any

import pytest
from fastapi import Depends, FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute

from zae_limiter.testing import memory_limiter
from zae_limiter_asgi import Rule, ZaeLimiterMiddleware
from zae_limiter_asgi.fastapi import install_exception_handlers, rate_limit
from zae_limiter_http.conformance import Ask
from zae_limiter_http.conformance.asgi import AsgiCaller, scope_of

DENIAL = "websocket.http.response"


async def _accepted(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close()


def _shake(app: Any, *extensions: str) -> list[str]:
    """The types of the messages that answer a handshake."""
    caller = AsgiCaller()
    scope = {**scope_of(Ask("/ws")), "type": "websocket", "scheme": "ws", "extensions": {key: {} for key in extensions}}
    del scope["method"]
    messages: list[Any] = [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1000}]
    try:
        return [message["type"] for message in caller.run(app, scope, messages)]
    finally:
        caller.close()


@pytest.mark.parametrize("extensions", [(), (DENIAL,)], ids=["bare", "denial"])
def test_what_a_middleware_further_in_refuses_is_charged_nowhere(extensions: Any) -> None:
    limiter = memory_limiter()
    app: Any = Starlette(routes=[WebSocketRoute("/ws", _accepted)])
    for name, limits in (("inner", "1/minute"), ("outer", "9/minute")):
        app = ZaeLimiterMiddleware(app, limiter=limiter, rules=[Rule(key="ip", name=name, limits=limits)])
    assert [_shake(app, *extensions)[0] for _ in range(3)].count("websocket.accept") == 1
    assert asyncio.run(limiter.available("ip4:203.0.113.9", "outer", "9/minute")) == {"rpm": 8}


@pytest.mark.parametrize("has_handlers", [False, True])
def test_a_dependency_refuses_in_the_form_that_the_server_can_send(has_handlers: bool) -> None:
    app = FastAPI()
    app.add_middleware(ZaeLimiterMiddleware, limiter=memory_limiter())
    app.websocket("/ws", dependencies=[Depends(rate_limit("1/minute", key="ip"))])(_accepted)
    if has_handlers:
        install_exception_handlers(app)
    assert _shake(app) == ["websocket.accept", "websocket.close"]
    assert _shake(app) == ["websocket.close"]
    assert _shake(app, DENIAL) == [f"{DENIAL}.start", f"{DENIAL}.body"]
