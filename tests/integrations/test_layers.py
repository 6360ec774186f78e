"""A limit at a function holds where a partial function or an object is the view."""

import functools
from typing import Any

import httpx
import pytest
from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse
from django.test import Client
from fastapi import FastAPI
from flask import Flask
from quart import Quart
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tests.integrations.django.project import at, project
from tests.integrations.flask_app.asking import statuses
from zae_limiter.testing import memory_limiter
from zae_limiter_asgi import ZaeLimiterMiddleware
from zae_limiter_asgi.starlette import rate_limit
from zae_limiter_django import rate_limit_exempt
from zae_limiter_flask import ZaeLimiter

limited = rate_limit("1/minute", key="ip")


@limited
async def _page(text: str = "page") -> str:
    return text


@limited
async def _endpoint(_: Any, text: str = "page") -> PlainTextResponse:
    return PlainTextResponse(text)


class _Application:
    @limited
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("page")(scope, receive, send)


def _starlette(endpoint: Any) -> Any:
    return Starlette(routes=[Route("/", endpoint)])


def _fastapi(endpoint: Any) -> Any:
    app = FastAPI()
    app.add_api_route("/", endpoint)
    return app


def _quart(endpoint: Any) -> Any:
    app = Quart(__name__)
    app.add_url_rule("/", "page", endpoint)
    return app.asgi_app


async def _asked(app: Any) -> list[int]:
    guarded: Any = ZaeLimiterMiddleware(app, limiter=memory_limiter())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(guarded), base_url="http://test") as client:
        return [(await client.get("/")).status_code for _ in range(2)]


@pytest.mark.parametrize(
    ("make", "endpoint"),
    [
        (_starlette, functools.partial(functools.partial(_endpoint), text="text")),
        (_starlette, _Application()),
        (_fastapi, functools.partial(_page, text="text")),
        (_quart, functools.partial(_page, text="text")),
    ],
)
def test_in_asgi(make: Any, endpoint: Any) -> None:
    assert async_to_sync(_asked)(make(endpoint)) == [200, 429]


def test_in_flask() -> None:
    app = Flask(__name__)
    limiter = ZaeLimiter(app, store="memory:", key="ip")

    @limiter.limit("1/minute")
    def page(text: str) -> str:
        return text

    class View:
        @limiter.limit("1/minute")
        def __call__(self) -> str:
            return "page"

    app.add_url_rule("/partial", "partial", functools.partial(page, text="text"))
    app.add_url_rule("/object", "object", View())
    assert statuses(app, "/partial", 2) == statuses(app, "/object", 2) == [200, 429]


def test_an_exemption_in_django() -> None:
    @rate_limit_exempt
    def page(request: HttpRequest, text: str) -> HttpResponse:
        return HttpResponse(text)

    rules = [{"key": "ip", "limits": "1/day"}]
    with project([at("page", functools.partial(page, text="text"))], {"store": "memory:", "rules": rules}):
        assert [Client().get("/page").status_code for _ in range(2)] == [200, 200]
