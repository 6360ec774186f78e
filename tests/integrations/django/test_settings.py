"""The setting: import strings, what holds it while it changes, and the checks that tell what is wrong with it."""

import os
import traceback
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.checks import run_checks
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import include, path

from tests.integrations.django.project import AUTHENTICATION, LIMITER, at, project
from zae_limiter.testing import TurnableClock, memory_limiter, sync_memory_limiter
from zae_limiter_django import SettingsError, conf, rate_limit

pytestmark = pytest.mark.anyio

ONE = [{"key": "ip", "limits": "1/day"}]
HEADERS = "zae_limiter_django.ZaeLimiterHeaderMiddleware"
CACHES = ["django.middleware.cache.UpdateCacheMiddleware", "django.middleware.cache.FetchFromCacheMiddleware"]


def _hello(request: HttpRequest) -> HttpResponse:
    return HttpResponse("hello")


def _checked(limiter: Any, urls: Any = (), *, deploys: bool = False, **changed: Any) -> dict[str, str]:
    """The messages of our checks by their numbers; each has a hint."""
    with project(urls, limiter, **changed):
        found = run_checks(tags=["zae_limiter"], include_deployment_checks=deploys)
    assert [message.id for message in found if not message.hint] == []
    return {str(message.id).removeprefix("zae_limiter."): message.msg for message in found}


def tenant(request: HttpRequest) -> str | None:
    return request.headers.get("X-Tenant")


def by_plan(request: HttpRequest) -> str:
    return "3/day" if "X-Paid" in request.headers else "1/day"


def made() -> Any:
    return sync_memory_limiter()


def test_import_strings_stand_wherever_a_callable_may() -> None:
    here = __name__
    rule = {
        "match": "/page",
        "key": [f"{here}.tenant", "ip"],
        "limits": f"{here}:by_plan",
        "resource": f"{here}:by_plan",
    }
    with project([at("page", _hello)], {"limiter": f"{here}.made", "rules": [{**rule, "resource": "page"}]}):
        paid = [Client().get("/page", headers={"X-Tenant": "a", "X-Paid": "1"}).status_code for _ in range(4)]
        free = [Client().get("/page", headers={"X-Tenant": "b"}).status_code for _ in range(2)]
    assert (paid, free) == ([200, 200, 200, 429], [200, 429])


def test_c99_the_setting_may_change_under_a_client_that_runs() -> None:
    client = Client()
    with project([at("page", _hello)], {"store": "memory:", "rules": ONE}):
        assert [client.get("/page").status_code for _ in range(2)] == [200, 429]
        with override_settings(ZAE_LIMITER={"enabled": False}):
            answers = [client.get("/page") for _ in range(3)]
            assert {(answer.status_code, answer.headers.get("RateLimit")) for answer in answers} == {(200, None)}
        with override_settings(ZAE_LIMITER={"store": "memory:", "rules": [{"key": "ip", "limits": "2/day"}]}):
            assert [client.get("/page").status_code for _ in range(3)] == [200, 200, 429]


async def test_c99_the_setting_may_change_under_an_async_client_that_runs(tmp_path: Any) -> None:
    client = AsyncClient()
    with project([at("page", _hello)], {"store": f"embedded://{tmp_path}/limits.db", "rules": ONE}):
        assert [(await client.get("/page")).status_code for _ in range(2)] == [200, 429]
        with override_settings(ZAE_LIMITER={"enabled": False}):
            assert (await client.get("/page")).status_code == 200
        assert (await client.get("/page")).status_code == 429


def test_memory_is_one_for_plain_and_async_clients() -> None:
    with project([at("page", _hello)], {"store": "memory:", "rules": ONE}):
        assert Client().get("/page").status_code == 200
        assert async_to_sync(AsyncClient().get)("/page").status_code == 429


def test_in_development_a_file_of_the_current_folder_is_the_store(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with project([at("page", _hello)], {"rules": ONE}, DEBUG=True):
        assert [Client().get("/page").status_code for _ in range(2)] == [200, 429]
    assert (tmp_path / "zae-limiter.db").exists()


def test_outside_development_a_store_must_be_named() -> None:
    with project([at("page", _hello)], {"rules": ONE}), pytest.raises(SettingsError, match="store: say where to count"):
        Client().get("/page")
    assert _checked({"rules": ONE}) == {
        "E002": "ZAE_LIMITER.store: say where to count; without DEBUG there is no default"
    }
    assert _checked({"rules": ONE}, DEBUG=True) == {}


def test_a_limiter_of_the_wrong_kind_is_told() -> None:
    told = pytest.raises(SettingsError, match="must be a SyncRateLimiter here")
    with project([at("page", _hello)], {"limiter": memory_limiter()}), told:
        Client().get("/page")


def test_a_limiter_made_by_hand_is_left_open() -> None:
    clock = TurnableClock()
    limiter = sync_memory_limiter(clock=clock)
    with project([at("page", _hello)], {"limiter": limiter, "rules": ONE}):
        assert Client().get("/page").status_code == 200
    assert limiter.available("ip4:127.0.0.1", "http", "1/day") == {"rpd": 0}


def test_each_process_makes_its_own_limiter_after_the_fork(tmp_path: Any) -> None:
    with project([at("page", _hello)], {"store": f"embedded://{tmp_path}/limits.db", "rules": ONE}):
        before = conf.guard(is_async=False)
        assert conf.guard(is_async=False) is before
        child = os.fork()
        if child == 0:  # pragma: no cover - another process
            is_new = conf.guard(is_async=False) is not before
            os._exit(0 if is_new and Client().get("/page").status_code == 200 else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert conf.guard(is_async=False) is before
        assert Client().get("/page").status_code == 429


def test_a_good_setting_has_no_messages() -> None:
    rules = [*ONE, {"match": "view:shop:checkout", "key": "user", "limits": "x=5/hour", "name": "checkout"}]
    urls = [path("shop/", include(([path("buy", _hello, name="checkout")], "shop")))]
    assert _checked({"store": "memory:", "rules": rules}, urls, MIDDLEWARE=[*AUTHENTICATION, LIMITER]) == {}


def test_c96_every_mistake_has_its_message() -> None:
    found = _checked(None)
    assert found == {"E001": "ZAE_LIMITER: must be a dict such as {'store': 'memory:'}, got NoneType"}
    with project([], {"store": "memory:", "rulez": [], "rules": [{"key": "ipp", "limits": "5/month"}]}):
        messages = [message.msg for message in run_checks(tags=["zae_limiter"])]
    assert [message.partition(": ")[0] for message in messages] == [
        "ZAE_LIMITER.rulez",
        "ZAE_LIMITER.rules[0].key",
        "ZAE_LIMITER.rules[0].limits",
    ]
    assert "did you mean 'rules'?" in messages[0]


def test_c98_a_secret_beside_a_mistake_is_in_no_message() -> None:
    secret = "very-secret-0815"
    with project([], {"store": "memory:", "hash_secret": secret, "proxy": {"source": "xff"}, "header_style": ["y"]}):
        messages = run_checks(tags=["zae_limiter"])
        with pytest.raises(SettingsError) as failure:
            conf.read()
    assert len(messages) == 2
    assert secret not in f"{messages!r} {failure.value!r} {''.join(traceback.format_exception(failure.value))}"


def test_c97_a_misspelt_variable_has_its_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZAE_LIMITER_HEADER_STILE", "x")
    with project([], {"store": "memory:"}):
        (message,) = run_checks(tags=["zae_limiter"])
    assert (message.id, message.hint) == (
        "zae_limiter.E002",
        "Correct it where it stands: in the environment, or in the file.",
    )
    assert "did you mean ZAE_LIMITER_HEADER_STYLE?" in message.msg


@pytest.mark.parametrize(
    ("number", "limiter"),
    [
        ("E003", {"rules": [{"exempt_when": "no.such.module"}]}),
        ("E005", {"proxy": {"trusted_proxies": ["10.0.0.0/8"], "trusted_proxies_count": 1}}),
        ("E006", {"rules": [{"match": "view:shop:chekout", "limits": "1/day", "key": "ip"}]}),
        ("W003", {"rules": [{"key": ["header:X-API-Key", "ip"], "limits": "1/day"}]}),
        ("W004", {"proxy": {"trusted_proxies": ["0.0.0.0/0"]}}),
    ],
)
def test_c100_what_is_wrong_has_its_number(number: str, limiter: dict[str, Any]) -> None:
    assert set(_checked({"store": "memory:", **limiter}, [at("page", _hello, "page")])) == {number}


@pytest.mark.parametrize(
    ("number", "middleware", "key"),
    [
        ("E004", [LIMITER, *AUTHENTICATION], "auto"),
        ("E004", [LIMITER], "user"),
        (None, [LIMITER], "auto"),
        (None, [LIMITER, *AUTHENTICATION], "ip"),
        ("W005", [*CACHES, LIMITER], "ip"),
        (None, [HEADERS, *CACHES, LIMITER], "ip"),
        (None, [LIMITER, *CACHES], "ip"),
        ("W006", [], "ip"),
        (None, [LIMITER, "no.such.Middleware"], "ip"),
    ],
)
def test_c101_the_order_of_middleware_is_checked(number: str | None, middleware: list[str], key: str) -> None:
    rules = [{"key": key, "limits": "1/day"}]
    found = _checked({"store": "memory:", "rules": rules}, MIDDLEWARE=middleware)
    assert set(found) == ({number} if number else set())


def test_a_rule_of_a_view_asks_for_the_order_too() -> None:
    marked = rate_limit("1/day", key="user")(_hello)
    assert set(_checked({"store": "memory:"}, [at("page", marked)])) == {"E004"}
    assert set(_checked({"store": "memory:"}, [at("page", marked)], MIDDLEWARE=[])) == {"W006"}


def test_mistakes_in_the_attribute_of_a_class_are_told() -> None:
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    view.view_class = type("Page", (), {"rate_limits": {"GET": {"limits": "1/month"}, "POST": 5}})  # type: ignore[attr-defined]
    found = _checked({"store": "memory:"}, [at("page", view)])
    assert found["E002"].startswith("Page.rate_limits['GET'].limits")


@pytest.mark.parametrize(
    ("number", "limiter"),
    [("W001", {}), ("W002", {"store": "memory:"}), (None, {"store": "embedded:///a/b"}), (None, {"enabled": False})],
)
def test_what_is_for_development_alone_is_told_for_deployment(number: str | None, limiter: dict[str, Any]) -> None:
    found = _checked(limiter, deploys=True, DEBUG=True)
    assert set(found) == ({number} if number else set())
