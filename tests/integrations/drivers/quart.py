"""Quart: the middleware at `asgi_app`, decorators at views, a blueprint for each group."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from quart import Blueprint, Quart, Response, request, websocket
from quart.views import MethodView
from starlette.middleware.cors import CORSMiddleware

from tests.integrations.drivers.starlette import EXPOSED, SignedIn, marked
from zae_limiter.blocking import run
from zae_limiter_asgi.quart import (
    RateLimitExceeded,
    ZaeLimiterMiddleware,
    current_lease,
    rate_limit,
    rate_limit_exempt,
)
from zae_limiter_http.conformance import Answer, Call, Interface, Route, Site


class QuartDriver:
    letter: ClassVar[str] = "Q"
    interface: ClassVar[Interface] = "asgi"

    @contextmanager
    def serving(self, site: Site) -> Iterator[Any]:
        app = Quart("site")
        for number, route in enumerate(site.routes):
            _add(app, route, f"view{number}")
        if site.answer_429 is not None:
            app.register_error_handler(RateLimitExceeded, lambda _: (site.answer_429, 429))
        if site.events is not None:
            app.before_serving(functools.partial(site.events, "startup"))
            app.after_serving(functools.partial(site.events, "shutdown"))
        for _ in range(site.installed):
            guarded: Any = ZaeLimiterMiddleware(app.asgi_app, limiter=site.limiter, rules=site.rules, **site.settings)
            app.asgi_app = guarded  # type: ignore[method-assign]
        served: Any = SignedIn(app) if site.signs_in else app
        yield CORSMiddleware(served, allow_origins=["*"], expose_headers=EXPOSED) if site.cors else served


def _add(app: Quart, route: Route, name: str) -> None:
    path = route.path.replace("{", "<").replace("}", ">")
    place: Any = app
    if route.group:
        place = Blueprint(f"{route.group}-{name}", "site", url_prefix=f"/{route.group}")
    methods = [each for each in route.methods if each != "OPTIONS"]
    if route.form == "websocket":
        place.add_websocket(path, name, _echo(route))
    elif route.form == "class":
        place.add_url_rule(path, view_func=_class(route).as_view(name))
    else:
        place.add_url_rule(path, name, marked(route, _view(route)), methods=methods)
    if route.group:
        app.register_blueprint(place)


def _view(route: Route) -> Any:
    async def answered(**_: Any) -> Response:
        return _response(await route.handler(_call(request)))

    def answered_in_a_thread(**_: Any) -> Response:
        return _response(run(_answer(route, _call(request, is_blocking=True))))

    return answered_in_a_thread if route.form == "sync" else answered


async def _answer(route: Route, asked: Call) -> Answer:
    return await route.handler(asked)


def _class(route: Route) -> type[MethodView]:
    class Page(MethodView):
        async def get(self) -> Response:
            return _response(await route.handler(_call(request)))

        async def post(self) -> Response:
            return _response(await route.handler(_call(request)))

    if route.exempt:
        return rate_limit_exempt(Page)
    if route.limited is not None:
        rate_limit(**route.limited)(Page.get)
    return Page


def _echo(route: Route) -> Any:
    async def echoed() -> None:
        await route.handler(_call(websocket))
        await websocket.accept()
        while True:
            await websocket.send(await websocket.receive())

    return echoed


def _call(asked: Any, *, is_blocking: bool = False) -> Call:
    return Call(asked, asked.scope["zae_limiter"], current_lease, is_blocking)


def _response(answer: Answer) -> Response:
    body: Any = answer.body if answer.parts is None else answer.parts
    return Response(body, answer.status, dict(answer.headers), content_type=answer.media_type)
