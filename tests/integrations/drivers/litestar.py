"""Litestar: the plugin, and the middleware around the whole application."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, ClassVar

from litestar import Controller, Litestar, Request, Router, WebSocket, get, post, route, websocket
from litestar.config.cors import CORSConfig
from litestar.connection import ASGIConnection
from litestar.exceptions import WebSocketDisconnect
from litestar.response import Response, Stream

from tests.integrations.drivers.starlette import EXPOSED, SignedIn
from zae_limiter.blocking import run
from zae_limiter_asgi.litestar import (
    RateLimitExceeded,
    ZaeLimiterMiddleware,
    ZaeLimiterPlugin,
    current_lease,
    rate_limit,
)
from zae_limiter_http.conformance import Answer, Call, Interface, Route, Site, wrapped


class LitestarDriver:
    letter: ClassVar[str] = "L"
    interface: ClassVar[Interface] = "asgi"

    @contextmanager
    def serving(self, site: Site) -> Iterator[Any]:
        plugins = [_plugin(site) for _ in range(site.installed)]
        yield _app(site, plugins=plugins, middleware=[SignedIn] if site.signs_in else [])


class LitestarOutsideDriver(LitestarDriver):
    """Sees also what Litestar answers before its own middleware: unknown paths and methods."""

    @contextmanager
    def serving(self, site: Site) -> Iterator[Any]:
        app: Any = _app(site)
        for _ in range(site.installed):
            app = ZaeLimiterMiddleware(app, limiter=site.limiter, rules=site.rules, **site.settings)
        yield SignedIn(app) if site.signs_in else app


def _plugin(site: Site) -> ZaeLimiterPlugin:
    return ZaeLimiterPlugin(limiter=site.limiter, rules=site.rules, **site.settings)


def _app(site: Site, **words: Any) -> Litestar:
    groups: dict[str, list[Any]] = {}
    for each in site.routes:
        groups.setdefault(each.group, []).append(_place(each))
    if site.answer_429 is not None:
        words["exception_handlers"] = {RateLimitExceeded: lambda *_: Response(site.answer_429, status_code=429)}
    if site.events is not None:
        words["on_startup"] = [functools.partial(site.events, "startup")]
        words["on_shutdown"] = [functools.partial(site.events, "shutdown")]
    cors = CORSConfig(allow_origins=["*"], expose_headers=EXPOSED) if site.cors else None
    routers = [Router(f"/{group}", route_handlers=handlers) for group, handlers in groups.items()]
    return Litestar(routers, cors_config=cors, openapi_config=None, logging_config=None, **words)


def _place(each: Route) -> Any:
    path = each.path.replace("}", ":str}")
    opt: dict[str, Any] = {}
    if each.exempt:
        opt["zae_limiter"] = False
    elif each.limited is not None:
        opt["zae_limiter"] = rate_limit(**each.limited)
    if each.form == "websocket":
        return websocket(path, opt=opt)(_echo(each))
    if each.form == "class":
        return _controller(each, path, opt)
    methods: Any = [method for method in each.methods if method != "OPTIONS"]
    words: dict[str, Any] = {"sync_to_thread": False} if each.form == "sync" else {}
    view = _view(each)
    return route(path, http_method=methods, opt=opt, **words)(wrapped(view) if each.wrapped else view)


def _view(each: Route) -> Any:
    async def answered(request: Request[Any, Any, Any]) -> Response[Any]:
        return _response(await each.handler(_call(request)))

    def answered_at_once(request: Request[Any, Any, Any]) -> Response[Any]:
        return _response(run(_answer(each, _call(request, is_blocking=True))))

    return answered_at_once if each.form == "sync" else answered


async def _answer(each: Route, asked: Call) -> Answer:
    return await each.handler(asked)


def _controller(each: Route, place: str, opt: dict[str, Any]) -> type[Controller]:
    class Page(Controller):
        path = place

        @get(opt=opt)
        async def shown(self, request: Request[Any, Any, Any]) -> Response[Any]:
            return _response(await each.handler(_call(request)))

        @post()
        async def sent(self, request: Request[Any, Any, Any]) -> Response[Any]:
            return _response(await each.handler(_call(request)))

    return Page


def _echo(each: Route) -> Any:
    async def echoed(socket: WebSocket[Any, Any, Any]) -> None:
        await each.handler(_call(socket))
        await socket.accept()
        with suppress(WebSocketDisconnect):
            while True:
                await socket.send_text(await socket.receive_text())

    return echoed


def _call(request: ASGIConnection[Any, Any, Any, Any], *, is_blocking: bool = False) -> Call:
    return Call(request, request.state.zae_limiter, current_lease, is_blocking)


def _response(answer: Answer) -> Response[Any]:
    words: dict[str, Any] = {
        "status_code": answer.status,
        "headers": dict(answer.headers),
        "media_type": answer.media_type,
    }
    return Response(answer.body, **words) if answer.parts is None else Stream(answer.parts, **words)
