"""Flask: an application of its own for each site, a blueprint for each group."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, ClassVar

from flask import Blueprint, Flask, Request, Response, request
from flask.views import MethodView
from flask_cors import CORS
from flask_login import LoginManager

from zae_limiter.blocking import run
from zae_limiter_flask import ZaeLimiter, current_lease
from zae_limiter_http.conformance import Answer, Call, Interface, Route, Site, wrapped

EXPOSED = ["Retry-After", "RateLimit", "RateLimit-Policy"]


class FlaskDriver:
    letter: ClassVar[str] = "F"
    interface: ClassVar[Interface] = "wsgi"

    @contextmanager
    def serving(self, site: Site) -> Iterator[Any]:
        app = Flask("site", static_folder=None)
        limiter = ZaeLimiter(limiter=site.limiter, rules=[*site.rules] * site.installed, **site.settings)
        limiter.init_app(app)
        if site.installed > 1:
            with suppress(RuntimeError):
                limiter.init_app(app)
        if site.cors:
            CORS(app, expose_headers=EXPOSED)
        if site.signs_in:
            LoginManager(app).request_loader(_signed_in)
        if site.answer_429 is not None:
            app.register_error_handler(429, lambda _: Response(site.answer_429, 429))
        groups = {group: Blueprint(group, __name__) for group in {route.group for route in site.routes} if group}
        for route in site.routes:
            _add(groups.get(route.group, app), limiter, route)
        for group, blueprint in groups.items():
            app.register_blueprint(blueprint, url_prefix=f"/{group}")
        yield app


def _add(target: Any, limiter: ZaeLimiter, route: Route) -> None:
    rule = route.path.replace("{", "<").replace("}", ">")
    endpoint = re.sub(r"\W+", "_", route.path).strip("_") or "index"
    if route.form == "class":
        target.add_url_rule(rule, view_func=_class(limiter, route).as_view(endpoint))
    else:
        target.add_url_rule(rule, endpoint, _decorated(limiter, route, _view(limiter, route)), methods=route.methods)


def _view(limiter: ZaeLimiter, route: Route) -> Any:
    def view(**_: str) -> Response:
        return _response(run(_answered(route, _call(limiter))))

    async def later(**_: str) -> Response:
        return _response(await _answered(route, _call(limiter)))

    # The usual view of Flask is a plain function; where a decorator is the subject, both kinds are asked.
    is_subject = route.limited is not None or route.exempt
    return later if route.form == "async" and is_subject else view


async def _answered(route: Route, call: Call) -> Answer:
    return await route.handler(call)


def _class(limiter: ZaeLimiter, route: Route) -> type[MethodView]:
    view = _view(limiter, route)

    class Page(MethodView):
        methods: ClassVar[Any] = [*route.methods, "HEAD"]

        def get(self, **words: str) -> Any:
            return view(**words)

        def post(self, **words: str) -> Any:
            return view(**words)

    Page.get = _decorated(limiter, route, Page.get)  # type: ignore[method-assign]
    return Page


def _decorated(limiter: ZaeLimiter, route: Route, view: Any) -> Any:
    if route.wrapped == "below":
        view = wrapped(view)
    if route.exempt:
        view = limiter.exempt(view)
    if route.limited is not None:
        view = limiter.limit(**route.limited)(view)
    return wrapped(view) if route.wrapped == "above" else view


def _call(limiter: ZaeLimiter) -> Call:
    return Call(request, limiter.current, current_lease, is_blocking=True)


def _response(answer: Answer) -> Response:
    body = answer.body if answer.parts is None else answer.blocking_parts()
    return Response(body, answer.status, list(answer.headers), content_type=answer.media_type)


class _User:
    is_authenticated = is_active = True

    def __init__(self, name: str) -> None:
        self.name = name

    def get_id(self) -> str:
        return self.name


def _signed_in(asked: Request) -> _User | None:
    name = asked.headers.get("X-Name")
    return _User(name) if name else None
