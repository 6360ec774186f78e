"""Where a request lands: below a prefix, at a host or a subdomain, at a websocket. A view's limit holds there too."""

import asyncio
from typing import Any

import pytest
from fastapi import FastAPI
from quart import Quart, websocket
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route, Router, WebSocketRoute
from starlette.testclient import TestClient

from zae_limiter.testing import memory_limiter
from zae_limiter_asgi import Rule, ZaeLimiterMiddleware
from zae_limiter_asgi.starlette import rate_limit
from zae_limiter_http.conformance import Ask
from zae_limiter_http.conformance.asgi import AsgiCaller, replied, scope_of
from zae_limiter_http.doctor import examine

limited = rate_limit("1/minute", key="ip")


async def _page(_: Any) -> PlainTextResponse:
    return PlainTextResponse("page")


async def _answer() -> str:
    return "page"


async def _accepted(socket: Any) -> None:
    await socket.accept()
    await socket.close()


def _guarded(app: Any, *rules: Rule) -> Any:
    return ZaeLimiterMiddleware(app, limiter=memory_limiter(), rules=rules)


def _statuses(app: Any, path: str, host: str = "test", root_path: str = "", times: int = 2) -> list[int]:
    found = []
    for _ in range(times):
        scope = scope_of(Ask(path))
        scope["headers"] = [(b"host", host.encode())]
        scope["root_path"] = root_path
        found.append(asyncio.run(replied(app, scope, Ask())).status)
    return found


def _handshakes(app: Any, path: str, tenant: str) -> list[str]:
    caller = AsgiCaller()
    scope = {**scope_of(Ask(path, headers=[("x-tenant", tenant)])), "type": "websocket", "scheme": "ws"}
    del scope["method"]
    messages: list[dict[str, Any]] = [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1000}]
    try:
        return [caller.run(app, {**scope}, messages)[0]["type"] for _ in range(2)]
    finally:
        caller.close()


def _of_the_tenant(connection: Any) -> Any:
    return connection.headers.get("x-tenant")


def _starlette() -> Any:
    return Starlette(routes=[Host(f"{name}.org", app=Router([Route("/", limited(_page))])) for name in "ab"])


def _fastapi() -> Any:
    app = FastAPI()
    for name in "ab":
        inner = FastAPI()
        inner.add_api_route("/", limited(_answer))
        app.host(f"{name}.org", inner)
    return app


@pytest.mark.parametrize("make", [_starlette, _fastapi])
def test_a_limit_at_a_view_holds_at_its_host_and_each_host_has_its_own(make: Any) -> None:
    app = _guarded(make())
    assert [_statuses(app, "/", host) for host in ("a.org", "b.org")] == [[200, 429], [200, 429]]


def test_the_doctor_sees_what_is_behind_a_host() -> None:
    assert [(route.path, len(route.rules)) for route in examine(_guarded(_starlette())).routes] == [
        ("/a.org/", 1),
        ("/b.org/", 1),
    ]


def _quart(**words: Any) -> Any:
    app = Quart(__name__, **words)
    app.asgi_app = _guarded(app.asgi_app)  # type: ignore[method-assign]

    @app.route("/page", subdomain="api" if words else None)
    @limited
    async def page() -> str:
        return "page"

    return app


def test_a_limit_at_a_view_of_quart_holds_below_a_prefix() -> None:
    assert _statuses(_quart(), "/api/page", root_path="/api") == [200, 429]
    assert _statuses(Starlette(routes=[Mount("/api", app=_quart())]), "/api/page") == [200, 429]
    assert _statuses(_quart(), "/page", root_path="/api") == _statuses(_quart(), "/api", root_path="/api") == [404, 404]


def test_a_limit_at_a_view_of_quart_holds_at_its_subdomain() -> None:
    app = _quart(subdomain_matching=True)
    app.config["SERVER_NAME"] = "example.org"
    assert _statuses(app, "/page", "api.example.org") == [200, 429]
    assert _statuses(app, "/page", "example.org") == [404, 404]


def test_a_callable_is_asked_with_the_connection_of_a_websocket() -> None:
    def by_tenant(app: Any) -> Any:
        return _guarded(app, Rule(key=_of_the_tenant, limits="1/minute"))

    quart = Quart(__name__)

    @quart.websocket("/ws")
    async def socket() -> None:
        await websocket.accept()

    quart.asgi_app = by_tenant(quart.asgi_app)  # type: ignore[method-assign]
    for app in (by_tenant(Starlette(routes=[WebSocketRoute("/ws", _accepted)])), quart):
        for tenant in ("a", "b"):
            assert _handshakes(app, "/ws", tenant) == ["websocket.accept", "websocket.close"]


def test_a_method_may_be_written_in_any_case() -> None:
    app = Quart(__name__)
    app.add_url_rule("/", "page", lambda: "page", methods=["POST"])
    guarded = _guarded(app.asgi_app, Rule(key="ip", limits="1/minute", methods=["POST"]))
    asks = [Ask(method=method) for method in ("POST", "post", "Post")]
    replies = [asyncio.run(replied(guarded, scope_of(ask), ask)).status for ask in asks]
    assert replies == [200, 429, 429]


def test_a_decorator_without_parentheses_says_so() -> None:
    app = Starlette(routes=[Route("/page", rate_limit(_page))])
    app.add_middleware(ZaeLimiterMiddleware, limiter=memory_limiter())
    with pytest.raises(TypeError, match=r"write @rate_limit\(\.\.\.\) with parentheses"):
        TestClient(app).get("/page")
