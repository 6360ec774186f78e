"""`flask zae-limiter`: what applies where, what is wrong, and the buckets of one entity."""

import json
from typing import Any

import pytest
from flask import Blueprint, Flask
from flask.views import MethodView

from zae_limiter import SyncRateLimiter
from zae_limiter.testing import sync_faulty_limiter, sync_memory_limiter
from zae_limiter_flask import Rule, ZaeLimiter


def application(limiter: Any, **words: Any) -> tuple[Flask, ZaeLimiter]:
    app = Flask(__name__)
    extension = ZaeLimiter(app, limiter=limiter, key="ip", **words)
    return app, extension


def asked(app: Flask, *words: str, answer: str | None = None) -> tuple[int, str]:
    result = app.test_cli_runner().invoke(args=["zae-limiter", *words], input=answer)
    return result.exit_code, result.output


def plan_of(_: Any) -> str:
    return "9/minute"


def test_routes_shows_what_applies_to_each(zae_limiter_sync: SyncRateLimiter) -> None:
    rules = [
        Rule("/api/*", key=["header:X-API-Key", "ip"], limits="1000/day", last=True),
        Rule(bool, key=plan_of, limits=plan_of, resource=plan_of),
    ]
    app, limiter = application(zae_limiter_sync, rules=rules, default="50/hour", exempt_paths=["/health"])

    class Items(MethodView):
        @limiter.limit("2/minute")
        def get(self) -> str:
            return "x"

        def post(self) -> str:
            return "x"

    app.add_url_rule("/api/items", view_func=Items.as_view("items"))
    app.add_url_rule("/ping", "ping", limiter.exempt(lambda: "x"))
    app.add_url_rule("/health", "health", lambda: "x")
    app.add_url_rule("/", "index", limiter.limit(name="stored")(lambda: "x"))
    code, told = asked(app, "routes", "--json")
    found = {f"{row['method']} {row['template']}": row["told"] for row in json.loads(told)}
    perhaps = "perhaps what plan_of() says by plan_of(), counted as what plan_of() says"
    everyone = "50/hour by ip, counted as http"
    assert code == 0
    assert found == {
        "GET /": [everyone, "stored limits by ip, counted as stored", perhaps],
        "GET /api/items": [
            "1000/day by header:X-API-Key, ip, counted as http",
            "2/minute by ip, counted as items",
        ],
        "POST /api/items": ["1000/day by header:X-API-Key, ip, counted as http"],
        "GET /health": ["exempt"],
        "GET /ping": ["exempt"],
        "GET /static/<path:filename>": ["exempt"],
    } | {key: ["exempt"] for key in found if key.startswith("OPTIONS")}
    _, table = asked(app, "routes")
    assert "GET      /                        index     50/hour by ip, counted as http" in table


def test_check_finds_limits_on_no_route(zae_limiter_sync: SyncRateLimiter) -> None:
    app, limiter = application(zae_limiter_sync)
    app.add_url_rule("/", "index", lambda: "x")
    assert asked(app, "check")[1] == (
        "the store memory: answers\n"
        "it counts in each process alone: with several workers as many times the limit is admitted\n"
        "without any limit: index\n"
    )

    @limiter.limit("1/minute")
    def forgotten() -> None: ...

    limiter.limit_blueprint(Blueprint("unregistered", __name__), "1/minute")
    code, told = asked(app, "check")
    assert code == 3
    for target in ("test_check_finds_limits_on_no_route.<locals>.forgotten", "unregistered"):
        assert f"the limit on {target} is on no route; register it, or take the limit away\n" in told


def test_check_asks_the_store(tmp_path: Any) -> None:
    limiter, store = sync_faulty_limiter()
    store.fail("ping")
    app, _ = application(limiter, default="1/minute")
    code, told = asked(app, "check")
    assert (code, "the store memory: does not answer" in told) == (3, True)
    code, told = asked(application(sync_memory_limiter(), default="1/minute")[0], "check")
    assert (code, "every route has a limit or is exempt" in told) == (0, True)

    app = Flask(__name__)
    ZaeLimiter(app, store=f"embedded://{tmp_path}/gone/limits.db")
    code, told = asked(app, "check")
    assert code == 1
    assert "create it first" in told


def test_show_and_reset_look_at_the_buckets_of_an_entity(zae_limiter_sync: SyncRateLimiter) -> None:
    app, _ = application(zae_limiter_sync, default="5/minute")
    for _ in range(2):
        app.test_client().get("/")
    entity = "ip4:127.0.0.1"
    assert asked(app, "show", entity) == (0, "RESOURCE  LIMIT  LEFT  BURST\nhttp      rpm    3     5\n")
    assert asked(app, "show", entity, "other") == (0, f"{entity} has used nothing, or has got it back since\n")
    assert asked(app, "show", entity, "http")[1].endswith("http      rpm    3     5\n")
    zae_limiter_sync.set_limits(entity, "9/hour", resource="model")
    with zae_limiter_sync.acquire(entity, "model", 4):
        assert "model     rph    5     9\n" in asked(app, "show", entity)[1]
    assert asked(app, "reset", entity, answer="n\n")[0] == 1
    assert asked(app, "reset", entity, "--yes") == (0, f"2 buckets of {entity} made full\n")
    assert asked(app, "reset", entity, "http", answer="y\n")[0] == 0
    assert zae_limiter_sync.available(entity, "http", "5/minute") == {"rpm": 5}


@pytest.mark.parametrize("command", ["show", "reset"])
def test_an_entity_that_cannot_be_is_told(zae_limiter_sync: SyncRateLimiter, command: str) -> None:
    app, _ = application(zae_limiter_sync)
    code, told = asked(app, command, "no such#", *(["--yes"] if command == "reset" else []))
    assert code == 1
    assert told.startswith("Error: entity_id")
