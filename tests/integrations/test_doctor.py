"""The doctor reads applications of every framework as their users put them together."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import pytest
from click.testing import CliRunner
from django.core.handlers.wsgi import WSGIHandler
from django.urls import include, path
from fastapi import APIRouter, Depends, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from flask import Blueprint, Flask
from litestar import Litestar, Request, get
from litestar.config.cors import CORSConfig
from litestar.middleware import DefineMiddleware
from quart import Quart
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.responses import Response
from starlette.routing import Mount, Route
from werkzeug.middleware.proxy_fix import ProxyFix

from tests.integrations.django.project import AUTHENTICATION, LIMITER, at, project
from zae_limiter.cli import cli
from zae_limiter.testing import memory_limiter
from zae_limiter_asgi import Lease, Rule, ZaeLimiterMiddleware, rate_limit, rate_limit_exempt
from zae_limiter_asgi.litestar import ZaeLimiterPlugin
from zae_limiter_asgi.litestar import rate_limit as litestar_limit
from zae_limiter_asgi.starlette import rate_limit as limited
from zae_limiter_django import rate_limit as django_limit
from zae_limiter_flask import ZaeLimiter
from zae_limiter_http.doctor import Report, examine

STORE = "embedded:///var/lib/app/limits.db"
RULES = [Rule("/v1/*", key="ip", limits="9/minute"), Rule("/health", exempt=True)]


def _told(report: Report) -> dict[str, Any]:
    """What applies to each own route, by its path."""
    return {
        route.path: route.exempt or [(rule.place, rule.resource, rule.limits) for rule in route.rules]
        for route in report.routes
        if route.is_own
    }


def _numbers(report: Report) -> list[str]:
    return [finding.number for finding in report.findings]


async def plain(request: Any) -> Response:
    return Response("plain")


def test_starlette_with_mounts_classes_and_decorators() -> None:
    class Page(HTTPEndpoint):
        @limited("2/minute", key="ip")
        async def get(self, request: Any) -> Response:
            return Response("page")

    routes = [Route("/health", plain), Route("/page", Page), Mount("/v1", routes=[Route("/items/{id:int}", plain)])]
    app = Starlette(routes=routes)
    app.add_middleware(ZaeLimiterMiddleware, store=STORE, rules=RULES)
    report = examine(CORSMiddleware(app))
    assert _told(report) == {
        "/health": "rules[1]",
        "/page": [("view", "page", "2/minute")],
        "/v1/items/{id:int}": [("rules[0]", "http", "9/minute")],
    }
    assert (report.framework, report.store, report.findings) == ("Starlette", STORE, ())


def test_fastapi_with_routers_and_dependencies() -> None:
    app = FastAPI()
    app.add_middleware(CORSMiddleware)
    app.add_middleware(ZaeLimiterMiddleware, store=STORE, rules=RULES)
    router = APIRouter(prefix="/items")

    @router.get("/{name}", dependencies=[Depends(rate_limit("2/minute", key="ip"))])
    async def item(name: str) -> None: ...

    @router.post("/{name}")
    async def bought(lease: Annotated[Lease, Depends(rate_limit("3/minute", name="buying"))]) -> None: ...

    @app.get("/free")
    @rate_limit_exempt
    async def free() -> None: ...

    app.include_router(router, prefix="/v1")
    report = examine(app)
    first = ("rules[0]", "http", "9/minute")
    found = {(route.methods, route.path): route for route in report.routes if route.is_own}
    told = {key: route.exempt or [rule.resource for rule in route.rules] for key, route in found.items()}
    assert told == {
        (("GET",), "/v1/items/{name}"): ["http", "v1/items/_name_"],
        (("POST",), "/v1/items/{name}"): ["http", "buying"],
        (("GET",), "/free"): "view",
    }
    assert first in _told(report)["/v1/items/{name}"]
    assert _numbers(report) == ["D03", "D13"]


def test_litestar_by_its_plugin_from_outside_and_with_middleware_of_its_own() -> None:
    @get("/health")
    async def health() -> None: ...

    @get("/v1/{name:str}", opt={"zae_limiter": litestar_limit("2/minute", key="ip")}, name="named")
    async def named(request: Request[Any, Any, Any]) -> None: ...

    plugin = ZaeLimiterPlugin(store=STORE, rules=RULES)
    cors = CORSConfig(allow_origins=["*"])
    report = examine(Litestar([health, named], plugins=[plugin], cors_config=cors))
    assert _told(report) == {
        "/health": "rules[1]",
        "/v1/{name}": [("rules[0]", "http", "9/minute"), ("view", "v1/_name_", "2/minute")],
    }
    assert (report.framework, report.findings) == ("Litestar", ())
    outside: Any = ZaeLimiterMiddleware(Litestar([health, named], cors_config=cors), store=STORE, rules=RULES)
    assert _numbers(examine(outside)) == ["D03"]
    middleware: Any = ZaeLimiterMiddleware
    own = DefineMiddleware(middleware, limiter=memory_limiter(), rules=RULES)
    assert examine(Litestar([health, named], middleware=[own])).store == "memory:"


def test_quart_with_its_decorators() -> None:
    app = Quart("app")

    @app.get("/v1/<name>")
    @limited("2/minute", key="ip")
    async def named(name: str) -> str:
        return name

    @app.get("/health")
    async def health() -> str:
        return "well"

    guarded: Any = ZaeLimiterMiddleware(app.asgi_app, store=STORE, rules=RULES)
    app.asgi_app = guarded  # type: ignore[method-assign]
    report = examine(app)
    assert _told(report) == {
        "/v1/<name>": [("rules[0]", "http", "9/minute"), ("view", "v1/_name_", "2/minute")],
        "/health": "rules[1]",
    }
    assert (report.framework, report.findings) == ("Quart", ())


def test_flask_with_blueprints_and_a_proxy_that_is_trusted_twice() -> None:
    app = Flask("app")
    limiter = ZaeLimiter(app, store="memory:", key="ip", rules=RULES, proxy={"trusted_proxies_count": 1})
    blueprint = Blueprint("v1", "v1", url_prefix="/v1")

    @blueprint.get("/<name>")
    @limiter.limit("2/minute")
    def named(name: str) -> str:
        return name

    @app.get("/other")
    def other() -> str:
        return "other"

    app.register_blueprint(blueprint)
    app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]
    report = examine(app)
    assert _told(report) == {
        "/v1/<name>": [("rules[0]", "http", "9/minute"), ("view", "v1.named", "2/minute")],
        "/other": [],
    }
    assert _numbers(report) == ["D06", "D10", "D12", "D13"]
    assert _numbers(examine(Flask("bare"))) == ["D02"]


def test_django_by_its_settings_and_by_a_handler() -> None:
    @django_limit("2/minute", key="ip")
    def named(request: Any, name: str) -> None: ...

    urls = [at("v1/<str:name>/", named, "named")]
    limiter = {"store": STORE, "rules": [{"match": "/v1/*", "key": "user", "limits": "9/minute"}]}
    with project(urls, limiter, MIDDLEWARE=[LIMITER, *AUTHENTICATION]):
        report = examine()
        assert _told(report) == {
            "/v1/<str:name>/": [("rules[0]", "http", "9/minute"), ("view", "v1/_name_/", "2/minute")]
        }
        assert _numbers(examine(WSGIHandler())) == _numbers(report) == ["D05"]
    with project(urls, limiter, MIDDLEWARE=[]):
        assert _numbers(examine()) == ["D02"]
    with project(urls, {"store": STORE, "rules": [{"key": "ipp"}]}):
        assert _numbers(examine()) == ["D01"]


def test_a_throttle_inside_of_a_view_covers_it() -> None:
    with project([], {"store": STORE}):
        from rest_framework.routers import DefaultRouter
        from rest_framework.viewsets import ViewSet

        from zae_limiter_django.throttling import ZaeThrottle

        class Books(ViewSet):
            throttle_classes: tuple[type[ZaeThrottle], ...] = (ZaeThrottle,)

            def list(self, request: Any) -> None: ...

        class Bare(Books):
            throttle_classes = ()

        router = DefaultRouter(trailing_slash=False)
        router.include_format_suffixes = False
        router.register("books", Books, basename="book")
        router.register("bare", Bare, basename="bare")
    rules = [
        {"match": "throttle:default", "key": "user", "limits": "9/minute"},
        {"match": "throttle:others", "key": "user", "limits": "8/minute"},
        {"match": "/none", "exempt": True},
        {"match": "/api/bare", "methods": ["GET"], "exempt": True},
    ]
    with project([path("api/", include(router.urls))], {"store": STORE, "rules": rules}):
        report = examine()
        assert _told(report) == {"/api/^books": [("rules[0]", "http", "9/minute")], "/api/^bare": "rules[3]"}
        assert [route.methods for route in report.routes if route.is_own] == [("GET",), ("GET",)]
        told = [finding.text for finding in report.findings]
        assert told == [
            "rules[1] matches no route: 'throttle:others'.",
            "rules[2] matches no route: '/none'.",
        ]
    rates = {"user": "5/min", "anon": None}
    with project(router.urls, {"store": STORE}, REST_FRAMEWORK={"DEFAULT_THROTTLE_RATES": rates}):
        assert _told(examine()) == {"/books": [("view user", "user", "5/minute")], "/bare": []}


def test_a_throttle_of_ninja_covers_its_operations() -> None:
    with project([], {"store": STORE}):
        from ninja import NinjaAPI

        from zae_limiter_django.ninja import ZaeThrottle

        def summed(request: Any) -> None: ...

        api = NinjaAPI(urls_namespace="doctor")
        api.get("/sum", throttle=ZaeThrottle("9/minute", key="user", name="sums"))(summed)
        api.post("/sum")(summed)
    with project([path("", api.urls)], {"store": STORE}):
        report = examine()
    assert _told(report) == {"/sum": [("view sums", "sums", "9/minute")]}
    assert {rule.when for route in report.routes if route.is_own for rule in route.rules} == {"GET"}
    assert report.is_well


def test_mistakes_of_a_configuration_are_findings() -> None:
    app = FastAPI()
    app.add_middleware(ZaeLimiterMiddleware, store=STORE, rules=[Rule(key="ipp", limits="5/month")])
    assert _numbers(examine(app)) == ["D01", "D01"]
    assert _numbers(examine(FastAPI())) == ["D02"]


APP = """
from fastapi import FastAPI
from zae_limiter_asgi import Rule, ZaeLimiterMiddleware

def make(rules):
    app = FastAPI(openapi_url=None)
    app.add_middleware(ZaeLimiterMiddleware, store="memory:", rules=rules)
    app.get("/items/{name}")(lambda name: name)
    return app

class Apps:
    well = make([Rule(key="ip", limits="9/minute")])

def made():
    return make([])
"""


def test_the_command_ends_with_what_it_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "app_of_a_doctor.py").write_text(APP, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    ask = CliRunner().invoke
    well = ask(cli, ["doctor", "app_of_a_doctor:Apps.well"])
    assert (well.exit_code, "Nothing is wrong." in well.output) == (0, True)
    several = ask(cli, ["doctor", "app_of_a_doctor:Apps.well", "--workers", "2", "--json"])
    report = json.loads(several.output)
    assert (several.exit_code, report["is_well"]) == (3, False)
    assert [finding["number"] for finding in report["findings"]] == ["D10"]
    assert report["routes"][0]["rules"][0]["limits"] == "9/minute"
    bare = ask(cli, ["doctor", "app_of_a_doctor:made()"])
    assert (bare.exit_code, "D12 No rule covers GET /items/{name}." in bare.output) == (3, True)


SETTINGS = """
SECRET_KEY = "x"
ROOT_URLCONF = "urls_of_a_doctor"
INSTALLED_APPS = ["zae_limiter_django"]
MIDDLEWARE = ["zae_limiter_django.ZaeLimiterMiddleware"]
ZAE_LIMITER = {"store": "embedded:///var/lib/app/limits.db", "rules": [{"key": "ip", "limits": "9/minute"}]}
"""
URLS = """
from django.urls import include, path
urlpatterns = [path("page", lambda request: None)]
"""


def test_the_project_of_the_current_folder_is_found(tmp_path: Path) -> None:
    (tmp_path / "settings_of_a_doctor.py").write_text(SETTINGS, encoding="utf-8")
    (tmp_path / "urls_of_a_doctor.py").write_text(URLS, encoding="utf-8")
    folders = [folder for folder in sys.path if folder and Path(folder) != tmp_path]
    command = [sys.executable, "-P", "-c", "from zae_limiter.cli import cli; cli()", "doctor"]
    environ = {"DJANGO_SETTINGS_MODULE": "settings_of_a_doctor", "PYTHONPATH": os.pathsep.join(folders)}
    found = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, **environ}, capture_output=True, text=True, check=False
    )
    assert ("/page" in found.stdout, found.stderr, found.returncode) == (True, "", 0)


def test_an_application_that_fails_as_it_is_read_is_told_on_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = {"app": "import beside_of_a_doctor", "app-lib": "import below_of_a_doctor", "app/site-packages": ""}
    for (place, text), name in zip(places.items(), ("failing", "beside", "below"), strict=True):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / f"{name}_of_a_doctor.py").write_text(f"\n\n{text}\n", encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path / place)
    (tmp_path / "app/site-packages/below_of_a_doctor.py").write_text("import json\njson.loads('{')\n", "utf-8")
    monkeypatch.chdir(tmp_path / "app")
    found = CliRunner().invoke(cli, ["doctor", "failing_of_a_doctor:app"])
    assert (found.exit_code, found.output.count("\n")) == (1, 1)
    assert "cannot be read: JSONDecodeError: Expecting property name" in found.output
    assert "at failing_of_a_doctor.py line 3" in found.output


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("nonsense", "write it as module:name"),
        ("no_such_module_here:app", "cannot be read: No module named"),
        ("json:app", "there is no such name"),
        ("json:dumps", "must be an application of Starlette"),
    ],
)
def test_what_cannot_be_read_ends_with_one(target: str, told: str) -> None:
    found = CliRunner().invoke(cli, ["doctor", target])
    assert (found.exit_code, told in found.output) == (1, True)
