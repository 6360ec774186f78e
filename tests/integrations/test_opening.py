"""A store that cannot be reached when the first request comes, with no lifespan before it."""

import asyncio
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from zae_limiter import EmbeddedRepository, InfrastructureNotFoundError, RateLimiter, RateLimiterUnavailable
from zae_limiter.testing import FaultyRepository
from zae_limiter_asgi import Rule, ZaeLimiterMiddleware, current_lease


class _Away(FaultyRepository):
    """Fails to open with an error; without one it never answers."""

    is_open = False

    def __init__(self, error: Exception | None) -> None:
        super().__init__(EmbeddedRepository(":memory:"))
        self._error = error
        self.fail()

    async def open(self) -> None:
        if self._error is not None:
            raise self._error
        await asyncio.Event().wait()


async def _page(_: Any) -> PlainTextResponse:
    await current_lease().adjust(rpm=1)
    return PlainTextResponse("page")


def _client(error: Exception | None, **settings: Any) -> httpx.AsyncClient:
    store: Any = _Away(error)
    rules = [Rule("/free", exempt=True), Rule(key="ip", limits="9/minute")]
    app = Starlette(routes=[Route("/", _page), Route("/free", _page)])
    guarded: Any = ZaeLimiterMiddleware(app, limiter=RateLimiter(store), rules=rules, limiter_timeout=0.01, **settings)
    return httpx.AsyncClient(transport=httpx.ASGITransport(guarded), base_url="http://test")


@pytest.mark.anyio
@pytest.mark.parametrize("error", [RateLimiterUnavailable("it does not answer yet"), None], ids=["away", "silent"])
async def test_without_a_store_at_first_each_request_is_answered_as_the_settings_say(error: Exception | None) -> None:
    for action, status in (("block", 503), ("allow", 200)):
        async with _client(error, on_unavailable=action) as client:
            assert [(await client.get(path)).status_code for path in ("/", "/", "/free")] == [status, status, 200]


@pytest.mark.anyio
async def test_a_store_that_is_not_there_is_told_as_the_mistake_it_is() -> None:
    async with _client(InfrastructureNotFoundError("limits.db", "is not there")) as client:
        with pytest.raises(InfrastructureNotFoundError):
            await client.get("/")


class _Slow(_Away):
    async def open(self) -> None:
        await asyncio.sleep(0)  # lets the others come
        await super().open()


def test_a_store_may_be_away_on_one_event_loop_after_another() -> None:
    store: Any = _Slow(RateLimiterUnavailable("it does not answer yet"))
    app = Starlette(routes=[Route("/", _page)])
    words: Any = {"rules": [Rule(key="ip", limits="9/minute")], "on_unavailable": "allow"}
    guarded: Any = ZaeLimiterMiddleware(app, limiter=RateLimiter(store), **words)

    async def statuses() -> list[int]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(guarded), base_url="http://test") as client:
            return [answer.status_code for answer in await asyncio.gather(*[client.get("/") for _ in range(3)])]

    assert [asyncio.run(statuses()) for _ in range(2)] == [[200, 200, 200]] * 2
