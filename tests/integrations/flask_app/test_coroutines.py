"""Coroutine functions as callables of rules and decorators: Flask runs them as it runs async views."""

import asyncio
import sys
from typing import Any

import pytest
from flask import Flask, Request, request

from tests.integrations.flask_app.asking import Pair, statuses
from zae_limiter.testing import sync_memory_limiter
from zae_limiter_flask import EXEMPT, SettingsError, ZaeLimiter, current_lease
from zae_limiter_http import Event


async def _tenant(asked: Request) -> Any:
    assert request.path == asked.path  # the context of the request is that of the coroutine, too
    return EXEMPT if asked.args.get("who") == "staff" else asked.args.get("who")


class _Limits:
    """Not a function, and its call is a coroutine all the same."""

    async def __call__(self, asked: Request) -> str:
        return "2/minute" if asked.args.get("who") == "ann" else "1/minute"


async def _cost(_: Request) -> int:
    return 1


async def _is_free(asked: Request) -> bool:
    return asked.path == "/free"


def _statuses(app: Flask, who: str, path: str = "/") -> list[int]:
    return statuses(app, f"{path}?who={who}", 3)


def test_a_decorator_takes_coroutine_functions_in_every_word(pair: Pair) -> None:
    app, limiter = pair
    view = limiter.limit(_Limits(), key=[_tenant, "ip"], cost=_cost, exempt_when=_is_free)(lambda: "x")
    app.add_url_rule("/", "index", view)
    app.add_url_rule("/free", "free", view)
    assert _statuses(app, "ann") == [200, 200, 429]
    assert _statuses(app, "bob") == [200, 429, 429]
    assert _statuses(app, "staff") == _statuses(app, "bob", "/free") == [200, 200, 200]


def test_rules_and_settings_take_them_too() -> None:
    app = Flask("app")
    rule = {"match": _is_free, "key": _tenant, "limits": "1/minute"}
    ZaeLimiter(app, limiter=sync_memory_limiter(), rules=[rule], key=_tenant, default=_Limits())
    app.add_url_rule("/", "index", lambda: "x")
    app.add_url_rule("/free", "free", lambda: "x")
    assert _statuses(app, "ann") == [200, 200, 429]
    assert _statuses(app, "staff", "/free") == [200, 200, 200]


def test_a_coroutine_function_is_told_what_happens() -> None:
    heard: list[str] = []

    async def hear(event: Event) -> None:
        await asyncio.sleep(0)
        heard.append(event.kind)

    app = Flask("app")
    ZaeLimiter(app, limiter=sync_memory_limiter(), default="1/minute", on_event=hear)
    app.add_url_rule("/", "index", lambda: "x")
    assert statuses(app, "/") == [200, 429, 429]
    assert heard == ["limited", "limited"]


def test_a_block_in_an_async_view_tells_that_it_takes_plain_functions(pair: Pair) -> None:
    app, limiter = pair

    @app.get("/")
    async def index() -> str:
        with (
            pytest.raises(RuntimeError, match="give the limit of a block plain functions"),
            limiter.limit("1/minute", key=_tenant),
        ):
            raise AssertionError("entered")
        with limiter.limit("1/minute", key=lambda _: "ann"):
            return "x"

    assert statuses(app, "/", 2) == [200, 429]


def test_without_the_extra_of_flask_they_are_told_where_they_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asgiref", None)
    limiter = ZaeLimiter(limiter=sync_memory_limiter(), rules=[{"key": _tenant, "limits": "1/minute"}])
    for make, place in (
        (lambda: limiter.limit("1/minute", cost=_cost), "limit.cost"),
        (_init(limiter), "rules[0].key"),
    ):
        with pytest.raises(SettingsError) as failure:
            make()
        assert failure.value.mistakes == [f"{place}: is a coroutine function; {_HINT}"]


_HINT = "Flask runs those with its extra: pip install 'flask[async]'"


def _init(limiter: ZaeLimiter) -> Any:
    return lambda: limiter.init_app(Flask("app"))


def test_tasks_of_a_view_are_each_in_blocks_of_their_own(pair: Pair) -> None:
    app, limiter = pair

    @app.get("/")
    @limiter.limit("9/minute")
    async def index() -> list[Any]:
        both, first_is_out = asyncio.Barrier(2), asyncio.Event()

        async def first() -> Any:
            with limiter.limit("rows=100/hour", resource="first"), limiter.limit("rows=9/day", resource="nested"):
                await both.wait()
                found = current_lease().consumed
            first_is_out.set()
            return found

        async def second() -> Any:
            with limiter.limit("cols=100/hour", resource="second") as lease:
                await both.wait()
                await first_is_out.wait()
                lease.adjust(cols=5)
                return current_lease().consumed

        return list(await asyncio.gather(first(), second()))

    assert app.test_client().get("/").json == [{"rows": 1}, {"cols": 6}]
    with app.app_context():
        assert limiter.limiter.available("ip4:127.0.0.1", "second", "cols=100/hour") == {"cols": 94}
