"""Django under WSGI and under ASGI: settings changed for each site, a namespace for each group."""

import contextlib
import functools
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar

from asgiref.sync import markcoroutinefunction
from django.contrib.auth.models import AnonymousUser, User
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import include, path
from django.views import View

from tests.integrations.django.project import LIMITER, project
from zae_limiter.blocking import run
from zae_limiter_django import current_lease, rate_limit, rate_limit_exempt
from zae_limiter_django.views import is_async
from zae_limiter_http.conformance import Answer, Call, Interface, Route, Site

CORS = {"CORS_ALLOW_ALL_ORIGINS": True, "CORS_EXPOSE_HEADERS": ["Retry-After", "RateLimit", "RateLimit-Policy"]}


BODIES: ContextVar[contextlib.ExitStack] = ContextVar("bodies")


class DjangoDriver:
    letter: ClassVar[str] = "W"
    interface: ClassVar[Interface] = "wsgi"

    @contextmanager
    def serving(self, site: Site) -> Iterator[Any]:
        groups: dict[str, list[Any]] = {}
        for route in site.routes:
            template = route.path.removeprefix("/").replace("{", "<str:").replace("}", ">")
            groups.setdefault(route.group, []).append(path(template, self._view(route)))
        urls = groups.pop("", [])
        urls += [path(f"{group}/", include((patterns, group))) for group, patterns in groups.items()]
        middleware = ["corsheaders.middleware.CorsMiddleware"] if site.cors else []
        middleware += [f"{__name__}.SignedIn"] if site.signs_in else []
        limiter = {"limiter": site.limiter, "rules": site.rules or None, **site.settings}
        with project(urls, limiter, MIDDLEWARE=[*middleware, *[LIMITER] * site.installed], LANGUAGE_CODE="en", **CORS):
            yield self._handler()

    def _handler(self) -> Any:
        return WSGIHandler()

    def _view(self, route: Route) -> Any:
        # The usual view under WSGI is a plain function; where a decorator is the subject, both kinds are asked.
        is_subject = route.limited is not None or route.exempt
        return view_of(route, is_async=is_subject and route.form == "async")


class DjangoAsgiDriver(DjangoDriver):
    letter: ClassVar[str] = "G"
    interface: ClassVar[Interface] = "asgi"

    def _handler(self) -> Any:
        return ClosingHandler()

    def _view(self, route: Route) -> Any:
        return view_of(route, is_async=route.form != "sync")


class ClosingHandler(ASGIHandler):
    """Closes the body of a request also where sending has failed, which Django leaves to the collector."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        with contextlib.ExitStack() as bodies:
            BODIES.set(bodies)
            try:
                await super().__call__(scope, receive, send)
            except OSError as error:
                # What the collector does in its own time, since Django closes no response that it could not send.
                error.__traceback__ = error.__context__ = None
                gc.collect()
                raise

    async def read_body(self, receive: Any) -> Any:
        body = await super().read_body(receive)
        BODIES.get().callback(body.close)
        return body


def view_of(route: Route, *, is_async: bool) -> Any:
    """The view of a route."""
    if route.form == "class":
        view = _class(route, is_async=is_async).as_view()
        return rate_limit_exempt(view) if route.exempt else view
    return _decorated(route, _awaiting(route) if is_async else _plain(route))


def _plain(route: Route) -> Any:
    def view(request: Any, **_: str) -> Any:
        answer = run(_answered(route, Call(request, request.zae_limiter, current_lease, is_blocking=True)))
        return _response(request, answer, answer.body if answer.parts is None else answer.blocking_parts())

    return view


def _awaiting(route: Route) -> Any:
    async def view(request: Any, **_: str) -> Any:
        answer = await route.handler(Call(request, request.zae_limiter, current_lease))
        return _response(request, answer, answer.body if answer.parts is None else answer.parts)

    return view


async def _answered(route: Route, call: Call) -> Answer:
    return await route.handler(call)


def _response(request: Any, answer: Answer, body: Any) -> HttpResponseBase:
    if request.method == "HEAD":
        body = b""  # as a server makes it
    kind = HttpResponse if isinstance(body, bytes) else StreamingHttpResponse
    return kind(body, status=answer.status, headers=dict(answer.headers), content_type=answer.media_type)


def _class(route: Route, *, is_async: bool) -> type[View]:
    view = _awaiting(route) if is_async else _plain(route)

    def method(self: View, request: Any, **words: str) -> Any:
        return view(request, **words)

    async def awaited(self: View, request: Any, **words: str) -> Any:
        return await view(request, **words)

    chosen = awaited if is_async else method
    return type("Page", (View,), {"get": _decorated(route, chosen), "post": chosen, "options": chosen})


def _decorated(route: Route, view: Any) -> Any:
    if route.wrapped == "below":
        view = _wrapped(view)
    if route.exempt and route.form != "class":
        view = rate_limit_exempt(view)
    if route.limited is not None:
        view = rate_limit(**route.limited)(view)
    return _wrapped(view) if route.wrapped == "above" else view


def _wrapped(view: Any) -> Any:
    @functools.wraps(view)
    def wrapper(*args: Any, **words: Any) -> Any:
        return view(*args, **words)

    return markcoroutinefunction(wrapper) if is_async(view) else wrapper


class SignedIn:
    """An authentication that believes the header X-Name."""

    sync_capable = async_capable = True

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response
        if is_async(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any:
        user = User(pk=request.headers["X-Name"]) if "X-Name" in request.headers else AnonymousUser()

        async def auser() -> Any:
            return user

        request.user, request.auser = user, auser
        return self.get_response(request)
