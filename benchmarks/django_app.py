"""One request through Django: bare, and with ours, django-ratelimit, django-smart-ratelimit; memory, one limit."""

import asyncio
import io
from collections.abc import Callable
from typing import Any

import django
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.test.utils import override_settings

from benchmarks.rounds import Contender, medians, shown

OURS = "zae_limiter_django.ZaeLimiterMiddleware"
SMART = "django_smart_ratelimit.middleware.RateLimitMiddleware"
ENVIRON: dict[str, Any] = {
    "REQUEST_METHOD": "GET",
    "SCRIPT_NAME": "",
    "QUERY_STRING": "",
    "SERVER_NAME": "test",
    "SERVER_PORT": "80",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "HTTP_HOST": "test",
    "HTTP_ACCEPT": "*/*",
    "REMOTE_ADDR": "203.0.113.9",
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "http",
    "wsgi.errors": io.StringIO(),
    "wsgi.multithread": True,
    "wsgi.multiprocess": False,
    "wsgi.run_once": False,
}
urlpatterns: list[Any] = []


def configured() -> None:
    """Make the settings that all of them share, and a view for each."""
    settings.configure(
        SECRET_KEY="of-benchmarks",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        INSTALLED_APPS=["zae_limiter_django"],
        CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
        RATELIMIT_BACKEND="memory",
        RATELIMIT_MIDDLEWARE={"DEFAULT_RATE": "1000000/s", "BACKEND": "memory"},
        ZAE_LIMITER={"store": "memory:", "rules": [{"match": "/page", "key": "ip", "limits": "1000000/second"}]},
        LOGGING_CONFIG=None,
    )
    django.setup()
    from django.urls import path
    from django_ratelimit.decorators import ratelimit
    from django_smart_ratelimit import rate_limit as smart_limit

    from zae_limiter_django import rate_limit

    views: dict[str, Callable[[Any], Any]] = {
        "page": page,
        "ours": rate_limit("1000000/second", key="ip")(page),
        "ratelimit": ratelimit(key="ip", rate="1000000/s")(page),
        "smart": smart_limit(key="ip", rate="1000000/s", algorithm="fixed_window")(page),
    }
    urlpatterns.extend(path(name, view) for name, view in views.items())


def page(request: HttpRequest) -> HttpResponse:  # noqa: ARG001
    """A page."""
    return HttpResponse("hello")


def asked(path: str, *middleware: str) -> Contender:
    """Asks a page under WSGI in process."""
    with override_settings(MIDDLEWARE=[*middleware]):
        handler = WSGIHandler()

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:  # noqa: ARG001
        assert status == "200 OK", status

    def ask(calls: int) -> None:
        for _ in range(calls):
            body: Any = handler({**ENVIRON, "PATH_INFO": path, "wsgi.input": io.BytesIO()}, start_response)
            b"".join(body)
            body.close()

    return ask


def asked_async(loop: asyncio.AbstractEventLoop, path: str, *middleware: str) -> Contender:
    """Asks a stack under ASGI in process, without what Django itself does around it for each connection."""
    with override_settings(MIDDLEWARE=[*middleware]):
        handler = ASGIHandler()
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "headers": [(b"host", b"test"), (b"accept", b"*/*")],
        "client": ("203.0.113.9", 1),
        "server": ("test", 80),
    }

    async def ask(calls: int) -> None:
        for _ in range(calls):
            request, _error = handler.create_request(scope, io.BytesIO())
            assert request is not None
            response = await handler.get_response_async(request)
            assert response.status_code == 200

    return lambda calls: loop.run_until_complete(ask(calls))


def main() -> None:
    """Compare, and print."""
    configured()
    found = medians(
        {
            "bare": asked("/page"),
            "with ours, a rule": asked("/page", OURS),
            "with ours, a decorator": asked("/ours", OURS),
            "with django-ratelimit, a decorator": asked("/ratelimit"),
            "with django-smart-ratelimit, a decorator": asked("/smart"),
            "with django-smart-ratelimit, middleware": asked("/page", SMART),
        }
    )
    shown("one request through Django under WSGI", found, base="bare")
    loop = asyncio.new_event_loop()
    found = medians({"bare": asked_async(loop, "/page"), "with ours, a rule": asked_async(loop, "/page", OURS)})
    shown("one request through Django under ASGI", found, base="bare")
    loop.close()


if __name__ == "__main__":
    main()
