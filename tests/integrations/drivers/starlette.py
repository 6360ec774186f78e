"""Starlette: plain routes, a mount for each group."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, ClassVar

from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, SimpleUser
from starlette.endpoints import HTTPEndpoint
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Mount, WebSocketRoute
from starlette.routing import Route as StarletteRoute
from starlette.websockets import WebSocket

from zae_limiter.blocking import run
from zae_limiter_asgi.starlette import (
    RateLimitExceeded,
    ZaeLimiterMiddleware,
    current_lease,
    rate_limit,
    rate_limit_exempt,
)
from zae_limiter_http.conformance import Answer, Call, Interface, Route, Site, wrapped

EXPOSED = ["Retry-After", "RateLimit", "RateLimit-Policy"]


class StarletteDriver:
    letter: ClassVar[str] = "S"
    interface: ClassVar[Interface] = "asgi"

    @contextmanager
    def serving(self, site: Site) -> Iterator[Any]:
        found: dict[str, list[Any]] = {}
        for route in site.routes:
            found.setdefault(route.group, []).append(_route(route))
        mounted = [Mount(f"/{group}", routes=routes) for group, routes in found.items() if group]
        app = Starlette(routes=[*found.get("", []), *mounted], lifespan=lifespan(site))
        yield guarded(app, site)


def _route(route: Route) -> Any:
    if route.form == "websocket":
        return WebSocketRoute(route.path, websocket(route))
    if route.form == "class":
        return StarletteRoute(route.path, _class(route))
    return StarletteRoute(route.path, marked(route, endpoint(route)), methods=list(route.methods))


def lifespan(site: Site) -> Any:
    """The application's own lifespan, which tells what happens."""

    @asynccontextmanager
    async def told(_: Any) -> AsyncIterator[None]:
        if site.events:
            site.events("startup")
        yield
        if site.events:
            site.events("shutdown")

    return told


def guarded(app: Any, site: Site) -> Any:
    """An application of Starlette or FastAPI with its middleware: CORS, authentication, limiter."""
    if site.answer_429 is not None:
        app.add_exception_handler(RateLimitExceeded, lambda *_: Response(site.answer_429, 429))
    for _ in range(site.installed):
        app.add_middleware(ZaeLimiterMiddleware, limiter=site.limiter, rules=site.rules, **site.settings)
    if site.signs_in:
        app.add_middleware(SignedIn)
    if site.cors:
        app.add_middleware(CORSMiddleware, allow_origins=["*"], expose_headers=EXPOSED)
    return app


def endpoint(route: Route) -> Any:
    """The endpoint of a route, a coroutine function or a plain one."""

    async def answered(request: Request) -> Response:
        return response(await route.handler(call(request)))

    def answered_in_a_thread(request: Request) -> Response:
        return response(run(_answer(route, call(request, is_blocking=True))))

    return answered_in_a_thread if route.form == "sync" else answered


async def _answer(route: Route, asked: Call) -> Answer:
    return await route.handler(asked)


def websocket(route: Route) -> Any:
    """Accepts, and sends back what comes."""

    async def echoed(socket: WebSocket) -> None:
        await route.handler(call(socket))
        await socket.accept()
        async for text in socket.iter_text():
            await socket.send_text(text)

    return echoed


def _class(route: Route) -> type[HTTPEndpoint]:
    class Page(HTTPEndpoint):
        async def get(self, request: Request) -> Response:
            return response(await route.handler(call(request)))

        async def post(self, request: Request) -> Response:
            return response(await route.handler(call(request)))

    if route.exempt:
        return rate_limit_exempt(Page)
    if route.limited is not None:
        rate_limit(**route.limited)(Page.get)
    return Page


def marked(route: Route, view: Any) -> Any:
    """The view with what stands at it."""
    if route.wrapped == "below":
        view = wrapped(view)
    if route.exempt:
        view = rate_limit_exempt(view)
    elif route.limited is not None:
        view = rate_limit(**route.limited)(view)
    return wrapped(view) if route.wrapped == "above" else view


def call(request: HTTPConnection, *, is_blocking: bool = False) -> Call:
    """A request of Starlette as the checks see it."""
    return Call(request, request.state.zae_limiter, current_lease, is_blocking)


def response(answer: Answer) -> Response:
    """A response of Starlette."""
    headers = dict(answer.headers)
    if answer.parts is not None:
        return StreamingResponse(answer.parts, answer.status, headers, answer.media_type)
    return Response(answer.body, answer.status, headers, answer.media_type)


class SignedIn:
    """Believes the header X-Name."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        name = dict(scope.get("headers", ())).get(b"x-name", b"").decode()
        if name:
            scope["user"], scope["auth"] = SimpleUser(name), AuthCredentials()
        await self.app(scope, receive, send)
