"""Who is exempt, and what was let go: nothing else refuses it, and its handler goes on as if it were charged."""

from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from zae_limiter import ValidationError
from zae_limiter.testing import memory_limiter
from zae_limiter_asgi import EXEMPT, Lease, Rule, ZaeLimiterMiddleware, current_lease, rate_limit
from zae_limiter_asgi.starlette import rate_limit as limited

pytestmark = pytest.mark.anyio


def _client(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


@pytest.mark.parametrize(
    "words",
    [{"rules": [Rule("/page", exempt=True)]}, {"exempt_when": lambda _: True}, {"exempt_paths": ["/p*"]}],
    ids=["rule", "exempt_when", "path"],
)
async def test_who_is_exempt_from_all_rules_is_exempt_from_dependencies(words: Any) -> None:
    app = FastAPI()
    app.add_middleware(ZaeLimiterMiddleware, limiter=memory_limiter(), **words)

    @app.api_route("/page", methods=["GET", "OPTIONS"], dependencies=[Depends(rate_limit("1/minute", key="ip"))])
    async def page() -> str:
        return "page"

    async with _client(app) as client:
        for method in ("GET", "OPTIONS"):
            answers = [await client.request(method, "/page") for _ in range(2)]
            assert [(each.status_code, "ratelimit" in each.headers) for each in answers] == [(200, False)] * 2


@pytest.mark.parametrize(
    "words",
    [{"exempt_when": lambda _: True}, {"key": lambda _: EXEMPT}, {"shadow": True}, {"block": False}],
    ids=["exempt_when", "key", "shadow", "block"],
)
@pytest.mark.parametrize("is_current", [False, True])
async def test_a_handler_may_adjust_what_was_let_go(words: dict[str, Any], is_current: bool) -> None:
    limiter = memory_limiter()
    app = FastAPI()
    app.add_middleware(ZaeLimiterMiddleware, limiter=limiter, rules=[Rule(key="ip", limits="9/minute")])
    tokens = rate_limit("tpm=10/minute", resource="llm", cost={"tpm": 6}, **{"key": "ip", **words})

    @app.get("/")
    async def chat(lease: Annotated[Lease, Depends(tokens)]) -> dict[str, int]:
        await (current_lease() if is_current else lease).adjust(tpm=-1)
        return lease.consumed

    async with _client(app) as client:
        answers = [await client.get("/") for _ in range(3)]
    assert [each.status_code for each in answers] == [200, 200, 200]
    assert answers[2].json() == {}
    left = 10 if "key" in words or "exempt_when" in words else 5
    assert await limiter.available("ip4:127.0.0.1", "llm", "tpm=10/minute") == {"tpm": left}
    assert await limiter.available("ip4:127.0.0.1", "http", "9/minute") == {"rpm": 6}


async def test_a_misspelt_limit_is_told_where_everything_was_charged() -> None:
    app = FastAPI()
    app.add_middleware(ZaeLimiterMiddleware, limiter=memory_limiter())

    @app.get("/", dependencies=[Depends(rate_limit("tpm=10/minute", key="ip"))])
    async def chat() -> None:
        with pytest.raises(ValidationError, match="the lease has no such limit"):
            await current_lease().adjust(tmp=1)

    async with _client(app) as client:
        assert (await client.get("/")).status_code == 200


async def test_an_endpoint_may_adjust_what_its_decorator_let_go() -> None:
    @limited("tpm=10/minute", key="ip", cost={"tpm": 6}, shadow=True)
    async def chat(_: Any) -> PlainTextResponse:
        await current_lease().adjust(tpm=-1)
        return PlainTextResponse("chat")

    app = Starlette(routes=[Route("/", chat)])
    app.add_middleware(ZaeLimiterMiddleware, limiter=memory_limiter(), rules=[Rule(key="ip", limits="9/minute")])
    async with _client(app) as client:
        assert [(await client.get("/")).status_code for _ in range(3)] == [200, 200, 200]
