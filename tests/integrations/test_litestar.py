"""Litestar keeps every check, with the plugin or with the middleware around the whole application."""

from collections.abc import Mapping
from typing import Any, ClassVar

from litestar import Litestar, get
from litestar.middleware import DefineMiddleware
from litestar.testing import TestClient

from tests.integrations.drivers.litestar import LitestarDriver, LitestarOutsideDriver
from zae_limiter_asgi.litestar import Rule, ZaeLimiterMiddleware, current_lease
from zae_limiter_http.conformance import Conformance


class TestLitestar(Conformance):
    driver = LitestarDriver
    exceptions: ClassVar[Mapping[str, str]] = {
        "C34": "Litestar answers 405 to HEAD before any middleware; from outside it is refused",
        "C41": "Litestar answers 405 to HEAD before any middleware; from outside it is charged",
        "C76": "Litestar answers 404 before any middleware; from outside it is limited",
    }


class TestLitestarFromOutside(Conformance):
    driver = LitestarOutsideDriver
    exceptions: ClassVar[Mapping[str, str]] = {
        "C37": "the application's CORS stands inside the limiter here",
        "C38": "the application's CORS stands inside the limiter here",
    }


def _two_routes(*middleware: Any) -> Litestar:
    @get("/a")
    async def first() -> str:
        return "a"

    @get("/b")
    async def second() -> str:
        await current_lease().consume(rph=1)
        return "b"

    return Litestar([first, second], middleware=middleware)


def _defined(rules: list[Rule]) -> DefineMiddleware:
    middleware: Any = ZaeLimiterMiddleware
    return DefineMiddleware(middleware, store="memory:", rules=rules)


def test_middleware_that_litestar_makes_for_each_route_counts_in_one_store() -> None:
    app = _two_routes(_defined([Rule(key="ip", limits="4/hour")]))
    with TestClient(app) as client:
        assert [client.get(path).status_code for path in ("/a", "/b", "/a", "/b", "/a")] == [200, 200, 200, 429, 429]


def test_two_middleware_and_two_applications_keep_their_stores() -> None:
    rules = [Rule(key="ip", limits="1/hour")]
    for app in (_two_routes(_defined(rules)), _two_routes(_defined(rules), _defined([Rule(limits="5/hour")]))):
        with TestClient(app) as client:
            assert [client.get("/a").status_code for _ in range(2)] == [200, 429]


def test_slashes_that_litestar_passes_over_lead_around_no_rule() -> None:
    app: Any = ZaeLimiterMiddleware(_two_routes(), store="memory:", rules=[Rule("/a", key="ip", limits="1/hour")])
    with TestClient(app) as client:
        statuses = [client.get(f"http://testserver{path}").status_code for path in ("/a", "//a", "/a/")]
    assert statuses == [200, 429, 429]
