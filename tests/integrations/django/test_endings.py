"""What becomes of a request of Django when something of the project fails on its way, and who is told."""

import asyncio
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.core.management import call_command
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, AsyncRequestFactory, Client, RequestFactory

from tests.integrations.django.project import LIMITER, at, project
from zae_limiter import EmbeddedRepository, RateLimiter, RateLimiterUnavailable, SyncRateLimiter
from zae_limiter.testing import FaultyRepository, SyncFaultyRepository, memory_limiter, sync_memory_limiter
from zae_limiter_django import ZaeLimiterMiddleware, current_lease, limiter_unavailable, rate_limit
from zae_limiter_django.facts import facts
from zae_limiter_http import Event

IP = "ip4:127.0.0.1"


def _hello(request: HttpRequest) -> HttpResponse:
    return HttpResponse("hello")


async def _hello_async(request: HttpRequest) -> HttpResponse:
    return HttpResponse("hello")


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("hears_async", [False, True])
def test_who_listens_may_wait_or_ask_the_database_wherever_the_request_is_served(
    is_async: bool, hears_async: bool
) -> None:
    call_command("migrate", verbosity=0)
    heard: list[Any] = []

    def hear(event: Event) -> None:
        heard.append((event.kind, User.objects.count()))

    async def hear_async(event: Event) -> None:
        await asyncio.sleep(0)
        heard.append((event.kind, await User.objects.acount()))

    client: Any = async_to_sync(AsyncClient().get) if is_async else Client().get
    words = {
        "limiter": memory_limiter() if is_async else sync_memory_limiter(),
        "rules": [{"key": "ip", "limits": "1/day"}],
        "on_event": hear_async if hears_async else hear,
    }
    with project([at("page", _hello_async if is_async else _hello)], words):
        assert [client("/page").status_code for _ in range(2)] == [200, 429]
    assert heard == [("limited", 0)]


def _fails(_: Any) -> int:
    raise ZeroDivisionError


@pytest.mark.parametrize("middleware", [[LIMITER], []], ids=["middleware", "alone"])
@pytest.mark.parametrize("is_async", [False, True])
def test_a_price_that_cannot_be_told_ends_the_lease_of_its_request(is_async: bool, middleware: list[str]) -> None:
    limiter: Any = memory_limiter() if is_async else sync_memory_limiter()
    limited = rate_limit("rows=100/hour", key="ip", resource="rows", cost={"rows": 0}, cost_from_response=_fails)

    @limited
    def plain(request: HttpRequest) -> HttpResponse:
        current_lease().adjust(rows=50)
        return HttpResponse("rows")

    @limited
    async def awaited(request: HttpRequest) -> HttpResponse:
        lease: Any = current_lease()
        await lease.adjust(rows=50)
        return HttpResponse("rows")

    client: Any = async_to_sync(AsyncClient().get) if is_async else Client().get
    words = {"limiter": limiter}
    with project([at("page", awaited if is_async else plain)], words, MIDDLEWARE=middleware):
        with pytest.raises(ZeroDivisionError):
            client("/page")
        left: Any = limiter.available(IP, "rows", "rows=100/hour")
        assert (async_to_sync(_done)(left) if is_async else left) == {"rows": 50}


async def _done(found: Any) -> Any:
    return await found


@pytest.mark.parametrize("middleware", [[LIMITER], []], ids=["middleware", "alone"])
def test_a_client_that_leaves_pays_for_what_it_has_used(middleware: list[str]) -> None:
    limiter = memory_limiter()

    @rate_limit("rows=100/hour", key="ip", resource="rows", cost={"rows": 0}, refund_on="5xx")
    async def view(request: HttpRequest) -> HttpResponse:
        lease: Any = current_lease()
        await lease.adjust(rows=50)
        raise asyncio.CancelledError

    with project([at("page", view)], {"limiter": limiter}, MIDDLEWARE=middleware):
        with pytest.raises(asyncio.CancelledError):
            async_to_sync(AsyncClient().get)("/page")
        assert async_to_sync(limiter.available)(IP, "rows", "rows=100/hour") == {"rows": 50}


@pytest.mark.parametrize("is_async", [False, True])
def test_a_rule_holds_below_the_prefix_of_a_server(is_async: bool) -> None:
    client: Any = async_to_sync(AsyncClient().get) if is_async else Client().get
    words = {
        "store": "memory:",
        "rules": [{"match": "/api/*", "key": "ip", "limits": "1/day"}],
        "exempt_paths": ["/api/free"],
    }
    view = _hello_async if is_async else _hello
    with project([at("api/page", view), at("api/free", view)], words, FORCE_SCRIPT_NAME="/below"):
        prefix = "/below" if is_async else ""  # a WSGI server cuts it off
        assert [client(f"{prefix}/api/page").status_code for _ in range(2)] == [200, 429]
        assert client(f"{prefix}/api/free").status_code == 200


class _Away(FaultyRepository):
    is_open = False

    async def open(self) -> None:
        raise RateLimiterUnavailable("it does not answer yet")


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(("action", "statuses"), [("block", [503, 503, 200]), ("allow", [200, 200, 200])])
def test_without_a_store_at_first_each_request_is_answered_and_told_as_the_settings_say(
    is_async: bool, action: str, statuses: list[int]
) -> None:
    store: Any = _Away(EmbeddedRepository(":memory:"))
    store.fail()
    blocking: Any = SyncFaultyRepository(store)
    heard: list[Any] = []

    def hear(sender: Any, exc: Any, **_: Any) -> None:
        heard.append(type(exc))

    def plain(request: HttpRequest) -> HttpResponse:
        current_lease().adjust(rpd=1)
        return HttpResponse("page")

    async def awaited(request: HttpRequest) -> HttpResponse:
        lease: Any = current_lease()
        await lease.adjust(rpd=1)
        return HttpResponse("page")

    words = {
        "limiter": RateLimiter(store) if is_async else SyncRateLimiter(blocking),
        "rules": [{"match": "/free", "exempt": True}, {"key": "ip", "limits": "9/day"}],
        "on_unavailable": action,
    }
    client: Any = async_to_sync(AsyncClient().get) if is_async else Client().get
    limiter_unavailable.connect(hear)
    with project([at(path, awaited if is_async else plain) for path in ("page", "free")], words):
        assert [client(path).status_code for path in ("/page", "/page", "/free")] == statuses
    assert limiter_unavailable.disconnect(hear)
    assert heard == [RateLimiterUnavailable if action == "block" else type(None)] * 2


def test_a_callable_that_asks_the_database_is_not_taken_for_a_later_one() -> None:
    def asked(function: Any) -> Any:
        return facts(RequestFactory().get("/"), is_async=True).ask(function, None)

    async def each() -> None:
        for _ in range(50):

            def count(_: Any) -> int:
                return User.objects.count()

            assert await asked(count) == 0
            del count

            async def tenant(_: Any) -> str:  # has the place of the other one where that is free
                return "tenant"

            assert await asked(tenant) == "tenant"

    call_command("migrate", verbosity=0)
    async_to_sync(each)()


@pytest.mark.parametrize("is_behind", [False, True])
def test_a_request_that_a_test_uses_again_is_charged_each_time(is_behind: bool) -> None:
    rules = [{"key": "ip", "limits": "9/day"}, {"key": "ip", "limits": "3/day", "name": "few"}]
    view: Any = rate_limit("2/day", key="ip")(_hello)
    with project([at("page", view)], {"store": "memory:", "rules": rules}):
        called: Any = ZaeLimiterMiddleware(_hello) if is_behind else view
        asked = RequestFactory().get("/")
        statuses = [called(asked).status_code for _ in range(4)]
    assert statuses == ([200, 200, 200, 429] if is_behind else [200, 200, 429, 429])


def test_an_async_request_that_a_test_uses_again_is_charged_each_time() -> None:
    view: Any = rate_limit("1/day", key="ip")(_hello_async)
    asked = AsyncRequestFactory().get("/")

    async def statuses() -> list[int]:
        return [(await view(asked)).status_code for _ in range(3)]

    with project([], {"store": "memory:"}):
        assert async_to_sync(statuses)() == [200, 429, 429]
