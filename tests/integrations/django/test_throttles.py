"""Django REST framework and Django Ninja: throttles that know the user of a token, and their refusals."""

from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.exceptions import ImproperlyConfigured
from django.test import AsyncClient, Client
from django.urls import path
from ninja import NinjaAPI
from ninja.errors import Throttled as NinjaThrottled
from ninja.security import HttpBearer
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import Throttled
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.views import exception_handler as usual_answer

from tests.integrations.django.project import at, project
from zae_limiter.testing import TurnableClock, faulty_limiter, memory_limiter, sync_memory_limiter
from zae_limiter_django import EXEMPT, rate_limit
from zae_limiter_django.ninja import ZaeThrottle as NinjaThrottle
from zae_limiter_django.ninja import exception_handler as ninja_answer
from zae_limiter_django.throttling import ZaeThrottle, exception_handler


class Known:
    is_authenticated = True

    def __init__(self, name: str) -> None:
        self.pk = name


class ByToken(BaseAuthentication):
    def authenticate(self, request: Any) -> Any:
        token = request.headers.get("Authorization", "")
        return (Known(token), token) if token else None


class Page(APIView):
    authentication_classes = [ByToken]
    throttle_classes = [ZaeThrottle]

    def get(self, request: Any) -> Response:
        request.zae_limiter.lease.adjust()
        return Response({"hello": request.user and getattr(request.user, "pk", None)})


class Uploads(Page):
    throttle_scope = "uploads"


class Told(Page):
    def get(self, request: Any) -> Response:
        return Response(request.zae_limiter.is_exempt)


def own_answer(exc: Exception, context: Any) -> Any:
    answer = usual_answer(exc, context)
    if isinstance(exc, Throttled) and answer is not None:
        answer.data = {"own": True}
    return answer


RULES = [
    {"match": "throttle:default", "key": "user", "limits": "2/day", "name": "default"},
    {"match": "throttle:uploads", "key": "user", "limits": "1/day", "name": "uploads"},
]
URLS = [at("page", Page.as_view()), at("uploads", Uploads.as_view())]


def _get(path: str, token: str = "", **headers: str) -> Any:
    return Client().get(path, headers={**({"Authorization": token} if token else {}), **headers})


def _standing(*, is_async: bool) -> Any:
    """A limiter whose clock stands still, so that every wait is told exactly."""
    return (memory_limiter if is_async else sync_memory_limiter)(clock=TurnableClock())


def test_a_throttle_limits_whom_the_key_of_a_rule_exempts_from_that_rule() -> None:
    rules = [{"key": lambda _: EXEMPT, "limits": "1/day", "name": "all"}, *RULES]
    with project([at("page", Told.as_view())], {"store": "memory:", "rules": rules}):
        answers = [_get("/page", "a") for _ in range(3)]
    assert [each.status_code for each in answers] == [200, 200, 429]
    assert answers[0].json() is False


def test_a_throttle_limits_nobody_who_is_exempt_from_everything() -> None:
    rules = [{"match": "/page", "exempt": True}, *RULES]
    with project([at("page", Told.as_view())], {"store": "memory:", "rules": rules}):
        answers = [_get("/page", "a") for _ in range(3)]
    assert [each.json() for each in answers] == [True] * 3


@pytest.mark.parametrize("is_async", [False, True])
def test_c83_two_tokens_of_one_address_have_buckets_of_their_own(is_async: bool) -> None:
    client: Any = async_to_sync(AsyncClient().get) if is_async else Client().get
    with project(URLS, {"limiter": _standing(is_async=is_async), "rules": RULES}):
        answers = [client("/page", headers={"Authorization": token}) for token in "aaabb"]
        assert [answer.status_code for answer in answers] == [200, 200, 429, 200, 200]
        assert answers[0].headers["RateLimit"] == '"rpd";r=1;t=43200'
        refused = answers[2]
        assert refused.headers["RateLimit"] == '"rpd";r=0;t=43200'
        assert refused.headers["Cache-Control"] == "no-store"


def test_the_scope_of_a_view_chooses_its_rules() -> None:
    with project(URLS, {"store": "memory:", "rules": RULES}):
        assert [_get("/uploads", "a").status_code for _ in range(2)] == [200, 429]
        assert _get("/page", "a").status_code == 200


def test_c83_of_several_throttles_that_refuse_the_longest_wait_is_told() -> None:
    class OfUploads(ZaeThrottle):
        def allow_request(self, request: Any, view: Any) -> bool:
            return super().allow_request(request, Uploads())

    class OfHours(ZaeThrottle):
        def allow_request(self, request: Any, view: Any) -> bool:
            return super().allow_request(request, type("Hours", (), {"throttle_scope": "hours"})())

    class All(Page):
        throttle_classes = [OfUploads, OfHours, ZaeThrottle]

    rules = [*RULES, {"match": "throttle:hours", "key": "user", "limits": "hours=1/36 hours", "name": "hours"}]
    limiter = sync_memory_limiter()
    with project([at("page", All.as_view())], {"limiter": limiter, "rules": rules}, REST_FRAMEWORK=_OURS):
        assert _get("/page", "a").status_code == 200
        refused = _get("/page", "a")
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "129600")
        assert refused.json()["violated-policies"] == ["hours"]
    assert limiter.available("user:a", "default", "2/day") == {"rpd": 1}


_OURS = {"EXCEPTION_HANDLER": "zae_limiter_django.throttling.exception_handler"}


def test_our_exception_handler_answers_with_problem_json() -> None:
    with project(URLS, {"store": "memory:", "rules": RULES}, REST_FRAMEWORK=_OURS):
        _get("/uploads")
        refused = _get("/uploads")
        assert refused.headers["Content-Type"] == "application/problem+json"
        assert refused.json()["retry_after"] == int(refused.headers["Retry-After"])


def test_c85_an_exception_handler_of_the_user_keeps_its_body_and_gets_our_fields() -> None:
    handled = {"EXCEPTION_HANDLER": f"{__name__}.own_answer"}
    with project(URLS, {"store": "memory:", "rules": RULES}, REST_FRAMEWORK=handled):
        _get("/uploads")
        refused = _get("/uploads")
        assert (refused.status_code, refused.json()) == (429, {"own": True})
        assert {"Retry-After", "RateLimit", "RateLimit-Policy"} <= set(refused.headers)


def test_other_errors_keep_the_answers_of_the_framework() -> None:
    class Failing(Page):
        @rate_limit("tpd=100/day", key="user", cost={"tpd": 10}, resource="chat")
        def get(self, request: Any) -> Response:
            request.zae_limiter.lease.consume(tpd=1_000)
            raise AssertionError

    with project([at("page", Failing.as_view())], {"store": "memory:", "rules": RULES}, REST_FRAMEWORK=_OURS):
        refused = _get("/page", "a")
        assert (refused.status_code, refused.json()["retryable"]) == (429, False)
        assert Client().post("/page").status_code == 405
    assert exception_handler(ZeroDivisionError(), {"request": object()}) is None


@pytest.mark.parametrize(("path", "expected"), [("/page", [200, 429]), ("/uploads", [200, 200, 200, 429])])
def test_the_rates_of_the_framework_are_limits_too(path: str, expected: list[int]) -> None:
    rates = {"DEFAULT_THROTTLE_RATES": {"user": "1/min", "anon": None, "uploads": "3/hour"}}
    with project(URLS, {"store": "memory:"}, REST_FRAMEWORK=rates):
        assert [_get(path, "a").status_code for _ in expected] == expected
        assert _get("/page").status_code == 200


def test_a_throttle_with_nothing_to_apply_says_so() -> None:
    nothing: Any = {"DEFAULT_THROTTLE_RATES": {}}
    told = pytest.raises(ImproperlyConfigured, match="no limits for the scope 'uploads'")
    with project(URLS, {"store": "memory:"}, REST_FRAMEWORK=nothing), told:
        _get("/uploads")
    told = pytest.raises(ImproperlyConfigured, match=r"needs 'zae_limiter_django\.ZaeLimiterMiddleware'")
    with project(URLS, {"store": "memory:", "rules": RULES}, MIDDLEWARE=[]), told:
        _get("/page")


class Bearer(HttpBearer):
    def authenticate(self, request: Any, token: str) -> Any:
        return token


@pytest.fixture
def api() -> NinjaAPI:
    api = NinjaAPI(urls_namespace="ninja", auth=Bearer(), throttle=NinjaThrottle("2/day", key="user"), docs_url=None)

    @api.get("/plain")
    def plain(request: Any) -> str:
        return "hello"

    @api.get("/async")
    async def awaiting(request: Any) -> str:
        await request.zae_limiter.lease.adjust(rpd=0)
        return "hello"

    return api


def _ask(client: Any, path: str, token: str) -> Any:
    return client(path, headers={"Authorization": f"Bearer {token}"})


@pytest.mark.parametrize(("address", "is_async"), [("/plain", False), ("/plain", True), ("/async", False)])
def test_c84_a_throttle_of_ninja_limits_plain_and_async_operations_by_token(
    api: NinjaAPI, address: str, is_async: bool
) -> None:
    client: Any = async_to_sync(AsyncClient().get) if is_async else Client().get
    with project([path("", api.urls)], {"limiter": _standing(is_async=is_async)}):
        answers = [_ask(client, address, token) for token in "aaab"]
        assert [answer.status_code for answer in answers] == [200, 200, 429, 200]
        assert answers[0].headers["RateLimit"] == '"rpd";r=1;t=43200'
        assert answers[2].headers["RateLimit"] == '"rpd";r=0;t=43200'


def test_c84_on_the_loop_a_throttle_of_ninja_asks_the_store_that_the_settings_name(api: NinjaAPI) -> None:
    """Its clock goes on, so that the wait is told a little shorter on a slow machine."""
    with project([path("", api.urls)], {"store": "memory:"}):
        answers = [_ask(async_to_sync(AsyncClient().get), "/async", token) for token in "aaab"]
        assert [answer.status_code for answer in answers] == [200, 200, 429, 200]
        told = int(answers[2].headers["Retry-After"])
        assert 43_200 - 600 < told <= 43_200
        assert answers[2].headers["RateLimit"] == f'"rpd";r=0;t={told}'


def test_a_refusal_of_ninja_may_be_answered_with_problem_json(api: NinjaAPI) -> None:
    api.add_exception_handler(NinjaThrottled, ninja_answer)
    with project([path("", api.urls)], {"store": "memory:"}):
        answers = [_ask(Client().get, "/plain", "a") for _ in range(3)]
        assert answers[2].headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("limiter", [faulty_limiter()[0], memory_limiter()])
def test_what_has_to_be_waited_for_is_not_asked_on_the_loop(api: NinjaAPI, limiter: Any) -> None:
    told = pytest.raises(ImproperlyConfigured, match="put @rate_limit on its function instead")
    with project([path("", api.urls)], {"limiter": lambda: limiter}), told:
        _ask(async_to_sync(AsyncClient().get), "/async", "a")


def test_a_throttle_of_ninja_needs_the_middleware(api: NinjaAPI) -> None:
    told = pytest.raises(ImproperlyConfigured, match=r"needs 'zae_limiter_django\.ZaeLimiterMiddleware'")
    with project([path("", api.urls)], {"store": "memory:"}, MIDDLEWARE=[]), told:
        _ask(Client().get, "/plain", "a")
