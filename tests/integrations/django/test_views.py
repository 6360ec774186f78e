"""What views say of themselves: decorators in every place where users put them, and attributes of classes."""

import functools
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, RequestFactory
from django.urls import include, path, re_path
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy
from django.views import View

from tests.integrations.django.project import at, project
from zae_limiter_django import SettingsError, current_lease, rate_limit, rate_limit_exempt

pytestmark = pytest.mark.anyio

MEMORY = {"store": "memory:"}


def _hello(request: HttpRequest, **_: Any) -> HttpResponse:
    return HttpResponse("hello")


async def _hello_async(request: HttpRequest) -> HttpResponse:
    return HttpResponse("hello")


def _statuses(client: Client, path: str, times: int = 3, method: str = "get") -> list[int]:
    return [getattr(client, method)(path).status_code for _ in range(times)]


async def _async_statuses(path: str, times: int = 3) -> list[int]:
    return [(await AsyncClient().get(path)).status_code for _ in range(times)]


def _logged(view: Any) -> Any:
    @functools.wraps(view)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return view(*args, **kwargs)

    return wrapper


two = rate_limit("2/day", key="ip")


async def test_c77_a_decorator_limits_its_view_alone_plain_and_async_under_both_servers() -> None:
    urls = [at("plain", two(_hello)), at("async", two(_hello_async)), at("free", _hello)]
    for place, expected in (("/plain", [200, 200, 429]), ("/async", [200, 200, 429]), ("/free", [200, 200, 200])):
        with project(urls, MEMORY):
            assert await _async_statuses(place) == expected


@pytest.mark.parametrize("path", ["/plain", "/async"])
def test_c77_a_decorator_limits_its_view_alone_under_wsgi(path: str) -> None:
    with project([at("plain", two(_hello)), at("async", two(_hello_async)), at("free", _hello)], MEMORY):
        assert _statuses(Client(), path) == [200, 200, 429]
        assert _statuses(Client(), "/free") == [200, 200, 200]


def test_c79_above_and_below_another_decorator_it_is_charged_once() -> None:
    with project([at("above", _logged(two(_hello))), at("below", two(_logged(_hello)))], MEMORY):
        assert _statuses(Client(), "/above") == [200, 200, 429]
        assert _statuses(Client(), "/below") == [200, 200, 429]


class OnGet(View):
    @rate_limit("2/day", key="ip")
    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("got")

    def post(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("posted")


class AsyncOnGet(View):
    @rate_limit("2/day", key="ip")
    async def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("got")


class ByMethod(OnGet):
    rate_limits = {"get": "2/day"}

    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("got")


@rate_limit("2/day", key="ip")
class Whole(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("got")


@method_decorator(two, name="dispatch")
class Dispatched(Whole):
    pass


class ByWords(View):
    rate_limits = {"limits": "2/day", "key": "ip", "resource": "shared"}

    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("got")


@pytest.mark.parametrize("kind", [OnGet, ByMethod, Whole, Dispatched, ByWords, AsyncOnGet])
def test_c78_a_class_is_limited_by_method_by_decorator_and_by_attribute(kind: Any) -> None:
    with project([at("page", kind.as_view())], MEMORY):
        assert _statuses(Client(), "/page") == [200, 200, 429]


@pytest.mark.parametrize("kind", [OnGet, ByMethod])
def test_c78_post_is_free_and_head_counts_as_get(kind: Any) -> None:
    with project([at("page", kind.as_view())], MEMORY):
        assert _statuses(Client(), "/page", 1, "head") == [200]
        assert _statuses(Client(), "/page", 3, "post") == [200, 200, 200]
        assert _statuses(Client(), "/page", 2) == [200, 429]


@pytest.mark.parametrize("kind", [OnGet, Whole, ByWords, AsyncOnGet])
async def test_a_class_is_limited_under_asgi(kind: Any) -> None:
    with project([at("page", kind.as_view())], MEMORY):
        assert await _async_statuses("/page") == [200, 200, 429]


@pytest.mark.parametrize("kind", [OnGet, ByMethod, Whole, AsyncOnGet])
def test_a_class_with_limits_of_its_own_is_covered_by_them(kind: Any) -> None:
    with project([at("page", kind.as_view()), at("free", _hello)], {**MEMORY, "on_unmapped": "deny"}):
        assert _statuses(Client(), "/page") == [200, 200, 429]
        assert _statuses(Client(), "/free", 1) == [403]


@pytest.mark.parametrize(
    "urls",
    [
        [path("shop/<int:pk>/", include([path("buy", two(_hello))]))],
        [path("shop/1/", include([path("<str:what>", two(_hello))]))],
        [re_path(r"^sh.p/", include([path("1/buy", two(_hello))]))],
        [path(gettext_lazy("shop/1/"), include([path("buy", two(_hello))]))],
        [path("<path:all>", two(_hello))],
    ],
)
def test_a_view_is_covered_by_its_decorator_whatever_its_url_looks_like(urls: Any) -> None:
    with project([*urls, at("free", _hello)], {**MEMORY, "on_unmapped": "deny"}, LANGUAGE_CODE="en"):
        assert _statuses(Client(), "/shop/1/buy") == [200, 200, 429]


@rate_limit_exempt
class Health(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        assert request.zae_limiter.is_exempt  # type: ignore[attr-defined]
        return HttpResponse("well")


async def test_c80_an_exempt_view_is_never_limited_and_has_no_fields() -> None:
    urls = [at("health", Health.as_view()), at("ping", rate_limit_exempt(_hello)), at("other", _hello)]
    with project(urls, {**MEMORY, "rules": [{"key": "ip", "limits": "1/day"}]}):
        assert _statuses(Client(), "/health", 5) == [200] * 5
        assert await _async_statuses("/ping", 5) == [200] * 5
        assert "RateLimit" not in Client().get("/ping").headers
        assert _statuses(Client(), "/other", 2) == [200, 429]


def test_a_decorator_that_refuses_gives_back_what_the_rules_have_charged() -> None:
    limits = {**MEMORY, "rules": [{"key": "ip", "limits": "5/day", "name": "all"}]}
    urls = [at("page", OnGet.as_view()), at("marked", rate_limit("1/day", key="ip")(_hello)), at("free", _hello)]
    with project(urls, limits):
        assert _statuses(Client(), "/page", 5) == [200, 200, 429, 429, 429]
        assert _statuses(Client(), "/marked", 3) == [200, 429, 429]
        assert Client().get("/free").headers["RateLimit"] == '"rpd";r=1;t=17280'


def test_a_view_without_the_middleware_is_limited_by_its_decorator_all_the_same() -> None:
    with project([at("page", two(_hello))], MEMORY, MIDDLEWARE=[]):
        answers = [Client().get("/page") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert answers[0].headers["RateLimit"] == '"rpd";r=1;t=43200'
        assert answers[2].headers["Content-Type"] == "application/problem+json"


async def test_an_async_view_without_the_middleware_is_limited_by_its_decorator_all_the_same() -> None:
    with project([at("page", two(_hello_async))], MEMORY, MIDDLEWARE=[]):
        assert await _async_statuses("/page") == [200, 200, 429]


def test_a_view_that_a_test_calls_by_itself_is_limited() -> None:
    with project([], MEMORY, MIDDLEWARE=[]):
        view = two(_hello)
        assert [view(RequestFactory().get("/anything")).status_code for _ in range(3)] == [200, 200, 429]
        assert view(RequestFactory().options("/anything")).status_code == 200
        with pytest.raises(TypeError, match="no request is among the first two arguments"):
            view("no request")  # type: ignore[arg-type] # as a mistake makes it


def test_the_lease_blocks_in_a_plain_view_and_is_awaited_in_an_async_one() -> None:
    limits = rate_limit("tpd=1000/day", key="ip", cost={"tpd": 100}, resource="chat")

    @limits
    def plain(request: Any) -> HttpResponse:
        request.zae_limiter.lease.adjust(tpd=10)
        current_lease().consume(tpd=5)
        return HttpResponse("plain")

    @limits
    async def awaiting(request: Any) -> HttpResponse:
        await request.zae_limiter.lease.adjust(tpd=10)
        await request.zae_limiter.lease.consume(tpd=5)
        return HttpResponse("async")

    with project([at("plain", plain), at("async", awaiting)], MEMORY):
        told = [
            Client().get("/plain"),
            Client().get("/async"),
            async_to_sync(AsyncClient().get)("/plain"),
            async_to_sync(AsyncClient().get)("/async"),
        ]
    left = [answer.headers["RateLimit"].split(";")[1] for answer in told]
    assert left == ["r=885", "r=770", "r=655", "r=540"]


def test_outside_a_request_there_is_no_lease() -> None:
    with pytest.raises(RuntimeError, match="no lease is open here"):
        current_lease()


def test_every_mistake_of_a_decorator_is_told_where_it_is_written() -> None:
    with pytest.raises(SettingsError) as failure:
        rate_limit("5/month", kez="ip")
    assert [mistake.partition(":")[0] for mistake in failure.value.mistakes] == ["rate_limit.kez", "rate_limit.limits"]


def test_a_decorator_without_parentheses_says_so() -> None:
    with pytest.raises(TypeError, match=r"write @rate_limit\(\.\.\.\) with parentheses"):
        rate_limit(_hello)(RequestFactory().get("/"))  # type: ignore[type-var]
