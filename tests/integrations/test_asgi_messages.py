"""Checks C93 and C94: messages that are no plain response, and middleware of the other kind around and inside."""

import asyncio
import gc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar

import pytest
from starlette.middleware.base import BaseHTTPMiddleware

from tests.integrations.drivers.every import DRIVERS
from tests.integrations.drivers.starlette import StarletteDriver
from zae_limiter.testing import memory_limiter
from zae_limiter_asgi import Rule, ZaeLimiterMiddleware, fastapi, litestar, quart, starlette
from zae_limiter_http.conformance import Ask, Interface, Site, World
from zae_limiter_http.conformance.asgi import replied, scope_of
from zae_limiter_http.conformance.charging import Charging
from zae_limiter_http.conformance.refusals import Refusals

ENDED = {"type": "http.response.body"}
MIDDLEWARE = {"S": starlette, "A": fastapi, "L": litestar, "Q": quart}
BEGIN = {"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"1"), (b"x-own", b"2")]}


@pytest.mark.parametrize("module", MIDDLEWARE.values(), ids=list(MIDDLEWARE))
@pytest.mark.parametrize(
    "messages",
    [
        [
            {**BEGIN, "trailers": True},
            {"type": "http.response.body"},
            {"type": "http.response.trailers", "headers": []},
        ],
        [BEGIN, {"type": "http.response.pathsend", "path": "/some/file"}],
        [BEGIN, {"type": "http.response.zerocopysend", "file": 3, "count": 10}],
        [{"type": "http.response.early_hint", "links": [b"</a>"]}, BEGIN, {"type": "http.response.body", "body": b"x"}],
        [
            {"type": "http.response.debug", "info": {}},
            BEGIN,
            {"type": "http.response.push", "path": "/", "headers": []},
        ],
    ],
    ids=["trailers", "pathsend", "zerocopysend", "early_hint", "debug and push"],
)
@pytest.mark.anyio
async def test_c93_other_messages_pass_through_unchanged(messages: list[Any], module: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    guarded = module.ZaeLimiterMiddleware(app, limiter=memory_limiter(), rules=[Rule(key="ip", limits="2/minute")])
    await guarded(scope_of(Ask()), receive, send)
    assert [message for message in sent if message["type"] != "http.response.start"] == [
        message for message in messages if message["type"] != "http.response.start"
    ]
    start = next(message for message in sent if message["type"] == "http.response.start")
    assert start["headers"][:2] == BEGIN["headers"]
    assert {key: value for key, value in start.items() if key != "headers"} == {
        key: value for key, value in messages[sent.index(start)].items() if key != "headers"
    }


@pytest.mark.anyio
async def test_a_request_that_has_ended_is_freed_at_once() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["state"]["witness"] = witness = _Witness()
        seen.append(weakref.ref(witness))
        await send(BEGIN)
        await send(ENDED)

    async def nothing(*_: Any) -> Any: ...

    guarded = ZaeLimiterMiddleware(app, limiter=memory_limiter(), rules=[Rule(key="ip", limits="2/minute")])
    gc.disable()
    try:
        await guarded(scope_of(Ask()), nothing, nothing)
        assert [each() for each in seen] == [None]
    finally:
        gc.enable()


class _Witness:
    """Stands for what a request holds."""


class _Passing(BaseHTTPMiddleware):
    async def dispatch(self, request: Any, call_next: Any) -> Any:
        return await call_next(request)


class _Around:
    """The middleware outside an application of any framework."""

    letter: ClassVar[str] = "S"
    interface: ClassVar[Interface] = "asgi"

    def __init__(self, name: str) -> None:
        self._driver = DRIVERS[name]()

    @contextmanager
    def serving(self, site: Site) -> Iterator[Any]:
        with self._driver.serving(site) as app:
            yield _Passing(app)


class _Inside(StarletteDriver):
    interface: ClassVar[Interface] = "asgi"

    @contextmanager
    def serving(self, site: Site) -> Iterator[Any]:
        with super().serving(site) as app:
            # The newest stands outermost, so the last of the list is the innermost.
            app.user_middleware.append(type(app.user_middleware[0])(_Passing))
            yield app


AROUND = [name for name, driver in DRIVERS.items() if driver.interface == "asgi"]


@pytest.mark.parametrize(
    "driver", [*(partial(_Around, name) for name in AROUND), _Inside], ids=[*AROUND, "inside starlette"]
)
@pytest.mark.parametrize(
    "check",
    [
        Refusals().test_c01_with_quota_left_status_and_body_are_the_applications,
        Refusals().test_c02_without_quota_the_answer_is_429_and_the_handler_does_not_run,
        Charging().test_c54_an_adjustment_in_the_stream_lands_after_the_headers,
    ],
    ids=["C01", "C02", "C54"],
)
def test_c94_middleware_of_starlettes_own_kind_changes_nothing(driver: Any, check: Any) -> None:
    world = World(driver())
    check(world)
    world.close()


@pytest.mark.anyio
async def test_a_price_that_cannot_be_told_makes_the_answer_an_error_and_is_refunded_as_one() -> None:
    limiter = memory_limiter()
    rule = Rule(key="ip", limits="9/minute", refund_on="5xx", cost_from_response=lambda _: 1 // 0)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(BEGIN)
        await send(ENDED)

    guarded = ZaeLimiterMiddleware(app, limiter=limiter, rules=[rule])
    assert (await replied(guarded, scope_of(Ask()), Ask())).status == 500
    assert await limiter.available("ip4:203.0.113.9", "http", "9/minute") == {"rpm": 9}


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.anyio
async def test_nobody_asks_for_messages_once_a_request_that_waited_for_room_is_answered(kind: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in (BEGIN, ENDED) if kind == "http" else ({"type": "websocket.accept"},):
            await send(message)

    async def send(_: Any) -> None:
        """A client that reads everything."""

    guarded = ZaeLimiterMiddleware(
        app, limiter=memory_limiter(), rules=[Rule(key="ip", limits="1/minute", max_wait=90)]
    )
    others = asyncio.all_tasks()
    for _ in range(2):
        connect = iter([{"type": "websocket.connect"}] if kind == "websocket" else [])

        async def receive(connect: Iterator[Any] = connect) -> Any:
            return next(connect, None) or await asyncio.Event().wait()

        await guarded({**scope_of(Ask()), "type": kind}, receive, send)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == others
