"""A decorator without parentheses above that of the route leaves its view without a limit; the doctor tells."""

from typing import Any

import pytest
from fastapi import Depends, FastAPI
from quart import Quart

from zae_limiter_asgi import fastapi, quart, starlette
from zae_limiter_http.doctor.examination import examine

_TOLD = "page() was taken for a callable of limits, and has no limit; write rate_limit(...) with parentheses"


async def _limits(_: str) -> str:
    return "1/minute"


def _guarded(**words: Any) -> FastAPI:
    app = FastAPI(**words)
    app.add_middleware(fastapi.ZaeLimiterMiddleware, store="memory:")
    return app


@pytest.mark.parametrize("decorator", [fastapi.rate_limit, starlette.rate_limit])
def test_it_is_told_of_fastapi(decorator: Any) -> None:
    app = _guarded()

    async def page(name: str) -> str:
        return name

    decorator(app.get("/{name}")(page))  # as the two stand above a view

    (finding,) = examine(app).findings
    assert finding.number == "D01"
    assert _TOLD in finding.text


def test_it_is_told_of_quart() -> None:
    app = Quart(__name__)

    @starlette.rate_limit
    @app.route("/<name>")
    async def page(name: str) -> str:
        return name

    (finding,) = examine(quart.ZaeLimiterMiddleware(app, store="memory:")).findings
    assert _TOLD in finding.text


def test_a_callable_of_limits_that_is_a_view_too_and_one_that_is_kept_for_later_are_right() -> None:
    app = _guarded(dependencies=[Depends(fastapi.rate_limit(_limits))])
    app.get("/limits/{_}")(_limits)
    starlette.rate_limit(lambda _: "1/minute")
    assert "D01" not in {finding.number for finding in examine(app).findings}
