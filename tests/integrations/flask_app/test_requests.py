"""How a request of Flask goes and ends: handlers of errors, streamed bodies, views that fail, a configuration."""

import copy
import gc
import json
from collections.abc import Callable, Iterator
from typing import Any, Self

import pytest
from flask import Blueprint, Flask, Response, jsonify, redirect, stream_with_context
from werkzeug.exceptions import HTTPException

from zae_limiter import SyncEmbeddedRepository, SyncRateLimiter
from zae_limiter.testing import sync_faulty_limiter, sync_memory_limiter
from zae_limiter_flask import (
    RateLimiterUnavailable,
    RateLimitExceeded,
    RequestRefused,
    RequestUnavailable,
    SettingsError,
    ZaeLimiter,
    current_lease,
)

ROWS: dict[str, Any] = {"limits": "rows=100/hour", "cost": {"rows": 10}}
IP = "ip4:127.0.0.1"


def guarded(limiter: SyncRateLimiter | Callable[[], SyncRateLimiter], default: str = "1/hour", **words: Any) -> Flask:
    app = Flask(__name__)
    ZaeLimiter(app, limiter=limiter, key="ip", default=default, **words)
    app.add_url_rule("/", "index", lambda: "x")
    return app


def broken() -> str:
    raise ZeroDivisionError


def refused(app: Flask, **words: Any) -> Any:
    client = app.test_client()
    client.get("/")
    return client.get("/", **words)


@pytest.mark.parametrize("kind", [429, RateLimitExceeded, RequestRefused, HTTPException])
def test_c85_a_handler_of_the_application_makes_the_body_and_our_headers_stay(
    zae_limiter_sync: SyncRateLimiter, kind: Any
) -> None:
    app = guarded(zae_limiter_sync)

    @app.errorhandler(kind)
    def slow_down(error: RequestRefused) -> Any:
        answer = jsonify(wait=error.retry_after, limits=[each.limit_name for each in error.violations])
        answer.headers["Cache-Control"], answer.headers["Vary"] = "public", "Cookie"
        return answer, 429

    answer = refused(app)
    assert (answer.status_code, answer.json) == (429, {"wait": 3600, "limits": ["rph"]})
    assert answer.headers.getlist("Retry-After") == ["3600"]
    assert answer.headers["RateLimit"] == '"rph";r=0;t=3600'
    assert (answer.headers["Cache-Control"], answer.headers["Vary"]) == ("no-store", "Cookie, Accept, HX-Request")


def test_a_handler_may_be_there_before_the_limiter_and_a_catch_all_does_not_hide_refusals(
    zae_limiter_sync: SyncRateLimiter,
) -> None:
    app = Flask(__name__)
    app.register_error_handler(RateLimitExceeded, lambda _: ("mine", 429))
    app.register_error_handler(Exception, lambda _: ("broken", 500))
    ZaeLimiter(app, limiter=zae_limiter_sync, key="ip", default="1/hour", hash_secret="x")
    app.add_url_rule("/", "index", broken)
    client = app.test_client()
    assert [client.get("/").text for _ in range(2)] == ["broken", "mine"]

    app = guarded(sync_memory_limiter())
    app.register_error_handler(Exception, lambda _: ("broken", 500))
    assert refused(app).status_code == 429


def test_a_handler_of_a_blueprint_is_for_its_views(zae_limiter_sync: SyncRateLimiter) -> None:
    app = guarded(zae_limiter_sync)
    blueprint = Blueprint("api", __name__)
    blueprint.register_error_handler(429, lambda _: ("of the blueprint", 429))
    blueprint.add_url_rule("/api", "index", lambda: "x")
    app.register_blueprint(blueprint)
    client = app.test_client()
    assert client.get("/").text == "x"
    assert client.get("/api").text == "of the blueprint"
    assert (client.get("/").json or {})["title"] == "Quota Exceeded"


def test_a_handler_that_sends_elsewhere_gets_no_fields(zae_limiter_sync: SyncRateLimiter) -> None:
    app = guarded(zae_limiter_sync)
    app.register_error_handler(429, lambda _: redirect("/slow-down"))
    answer = refused(app)
    assert (answer.status_code, "RateLimit" in answer.headers, "Retry-After" in answer.headers) == (302, False, False)


@pytest.mark.parametrize("kind", [None, 503, RateLimiterUnavailable, RequestUnavailable])
def test_without_a_store_the_answer_is_a_503_that_a_handler_may_make(kind: Any) -> None:
    limiter, store = sync_faulty_limiter()
    store.fail()
    app = guarded(limiter)
    if kind is not None:
        app.register_error_handler(kind, lambda error: (f"later: {error.retry_after}", 503))
    answer = app.test_client().get("/")
    assert (answer.status_code, answer.headers["Retry-After"], "RateLimit" in answer.headers) == (503, "5", False)
    assert answer.headers["Cache-Control"] == "no-store"
    assert kind is None or answer.text == "later: 5"


class _AwayAtFirst(SyncRateLimiter):
    def __enter__(self) -> Self:
        raise RateLimiterUnavailable("the store does not answer yet")


def test_a_store_that_is_away_when_it_is_opened_is_each_requests_own_to_answer() -> None:
    app = guarded(_AwayAtFirst(SyncEmbeddedRepository(":memory:")))
    client = app.test_client()
    assert [client.get("/").status_code for _ in range(2)] == [200, 429]


def test_a_limiter_made_by_hand_stays_open_when_its_application_is_gone() -> None:
    limiter = SyncRateLimiter(SyncEmbeddedRepository(":memory:"))
    first = guarded(limiter)
    assert first.test_client().get("/").status_code == 200
    del first
    gc.collect()
    assert guarded(limiter).test_client().get("/").status_code == 429
    limiter.close()


def test_a_limiter_that_an_application_makes_is_closed_when_it_is_gone() -> None:
    made: list[SyncRateLimiter] = []

    def make() -> SyncRateLimiter:
        made.append(SyncRateLimiter(SyncEmbeddedRepository(":memory:")))
        return made[-1]

    app = guarded(make)
    assert app.test_client().get("/").status_code == 200
    del app
    gc.collect()
    assert [each.repository.is_open for each in made] == [False] * len(made)


def test_an_answer_that_a_handler_makes_of_the_error_itself_keeps_its_length(zae_limiter_sync: SyncRateLimiter) -> None:
    app = guarded(zae_limiter_sync)

    @app.errorhandler(HTTPException)
    def as_json(error: HTTPException) -> Any:
        answer: Any = error.get_response()
        answer.data = json.dumps({"code": error.code, "description": error.description})
        answer.content_type = "application/json"
        return answer

    answer = refused(app)
    assert answer.json["code"] == 429
    assert (answer.headers["Content-Length"], answer.headers["Retry-After"]) == (str(len(answer.data)), "3600")


def test_an_error_names_nobody(zae_limiter_sync: SyncRateLimiter) -> None:
    app = guarded(zae_limiter_sync)
    seen: list[str] = []

    @app.errorhandler(429)
    def handler(error: HTTPException) -> Any:
        seen.extend([str(error), repr(error), error.description or ""])
        again: Any = copy.copy(error)
        assert (again.retry_after, [each.limit_name for each in again.violations]) == (3_600, ["rph"])
        return error

    assert "127.0.0.1" not in refused(app).text
    assert len(seen) == 3
    assert "127.0.0.1" not in " ".join(seen)
    assert 'Rate limit "rph" exceeded' in seen[0]


@pytest.mark.parametrize("with_handler", [False, True])
def test_c52_a_refusal_inside_the_view_is_the_same_429(zae_limiter_sync: SyncRateLimiter, with_handler: bool) -> None:
    app = guarded(zae_limiter_sync, "5/hour")
    app.add_url_rule("/big", "big", lambda: current_lease().consume(rph=5) or "x")
    if with_handler:
        app.register_error_handler(429, lambda error: (f"mine {error.retry_after}", 429))
    answer = app.test_client().get("/big")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "720")
    assert answer.headers["RateLimit"] == '"rph";r=4;t=720'
    assert answer.text == "mine 720" if with_handler else "Quota Exceeded" in answer.text


def test_a_limiter_error_outside_of_its_request_stays_an_error() -> None:
    app = Flask(__name__)
    app.config["ZAE_LIMITER_STORE"] = "memory:"
    ZaeLimiter(app)

    def early() -> None:
        raise RateLimiterUnavailable("before the limiter has seen the request")

    app.before_request_funcs[None].insert(0, early)
    assert app.test_client().get("/").status_code == 500


@pytest.mark.parametrize("leaves_early", [False, True])
@pytest.mark.parametrize("with_context", [False, True])
def test_c54_the_lease_of_a_streamed_body_ends_with_its_last_byte(
    zae_limiter_sync: SyncRateLimiter, leaves_early: bool, with_context: bool
) -> None:
    app = Flask(__name__)
    limiter = ZaeLimiter(app, limiter=zae_limiter_sync, key="ip")
    leases: list[Any] = []

    @app.get("/")
    @limiter.limit(**ROWS)
    def export() -> Response:
        lease = current_lease()
        leases.append(lease)

        def rows() -> Iterator[str]:
            for number in range(5):
                if with_context:
                    assert current_lease().is_open
                lease.adjust(rows=1)
                yield f"{number}\n"

        return Response(stream_with_context(rows()) if with_context else rows())

    response = app.test_client().get("/", buffered=False)
    assert response.headers["RateLimit"].startswith('"rows";r=90;')
    parts = iter(response.response)
    assert next(parts) == b"0\n"
    assert leases[0].is_open
    if not leaves_early:
        assert list(parts) == [b"1\n", b"2\n", b"3\n", b"4\n"]
    response.close()
    assert not leases[0].is_open
    left = zae_limiter_sync.available(IP, "export", "rows=100/hour")
    assert left == {"rows": 89 if leaves_early else 85}


@pytest.mark.parametrize("propagates", [False, True])
@pytest.mark.parametrize(("refund_on", "left"), [("never", 90), ("5xx", 100)])
def test_a_view_that_fails_ends_its_lease_whoever_catches_the_error(
    zae_limiter_sync: SyncRateLimiter, propagates: bool, refund_on: Any, left: int
) -> None:
    app = Flask(__name__)
    app.testing = propagates
    limiter = ZaeLimiter(app, limiter=zae_limiter_sync, key="ip", refund_on=refund_on)
    leases: list[Any] = []

    @app.get("/")
    @limiter.limit(**ROWS)
    def index() -> str:
        leases.append(current_lease())
        return broken()

    if propagates:
        with pytest.raises(ZeroDivisionError):
            app.test_client().get("/")
    else:
        assert app.test_client().get("/").status_code == 500
    assert not leases[0].is_open
    assert zae_limiter_sync.available(IP, "index", "rows=100/hour") == {"rows": left}


def test_requests_in_one_application_context_do_not_share_anything(zae_limiter_sync: SyncRateLimiter) -> None:
    app = guarded(zae_limiter_sync, "2/hour")
    with app.app_context():
        client = app.test_client()
        assert [client.get("/").headers["RateLimit"] for _ in range(2)] == ['"rph";r=1;t=1800', '"rph";r=0;t=1800']
        assert client.get("/").status_code == 429


def test_c99_it_can_be_switched_off_and_on_while_it_serves(zae_limiter_sync: SyncRateLimiter) -> None:
    app = guarded(zae_limiter_sync)
    client = app.test_client()
    assert [client.get("/").status_code for _ in range(2)] == [200, 429]
    app.config["ZAE_LIMITER_ENABLED"] = False
    answer = client.get("/")
    assert (answer.status_code, "RateLimit" in answer.headers) == (200, False)
    for word, status in (("false", 200), (" Off ", 200), ("0", 200), ("yes", 429), (True, 429)):
        app.config["ZAE_LIMITER_ENABLED"] = word
        assert client.get("/").status_code == status
    del app.config["ZAE_LIMITER_ENABLED"]
    for name in ("enabled", "ENABLED"):
        app.config["ZAE_LIMITER"] = {name: False}
        assert client.get("/").status_code == 200
    app.config["ZAE_LIMITER"] = {}
    assert client.get("/").status_code == 429


def test_what_is_switched_off_from_the_start_serves_all_the_same(zae_limiter_sync: SyncRateLimiter) -> None:
    app = guarded(zae_limiter_sync, enabled=False)
    assert refused(app).status_code == 200
    app.config["ZAE_LIMITER_ENABLED"] = True
    assert refused(app).status_code == 429


def test_the_configuration_goes_before_the_constructor_and_flat_names_before_the_mapping() -> None:
    app = Flask(__name__)
    app.config["ZAE_LIMITER"] = {"DEFAULT": "2/hour", "header_style": ["x"], "STORE": "memory:", "key": "ip"}
    app.config["ZAE_LIMITER_DEFAULT"] = "3/hour"
    ZaeLimiter(app, default="1/hour", limiter=sync_memory_limiter(), key="header:X-Name")
    app.add_url_rule("/", "index", lambda: "x")
    client = app.test_client()
    answers = [client.get("/") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert (answers[0].headers["X-RateLimit-Limit"], "RateLimit" in answers[0].headers) == ("3", False)


def test_the_configuration_may_hand_in_a_limiter_where_the_code_names_a_store() -> None:
    app = Flask(__name__)
    own = sync_memory_limiter()
    app.config["ZAE_LIMITER_LIMITER"] = own
    limiter = ZaeLimiter(app, store="embedded:///no/such/folder/limits.db")
    with app.app_context():
        assert limiter.limiter is own


def test_settings_come_from_prefixed_variables_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = [{"MATCH": "/api/*", "limits": "1/hour"}]
    monkeypatch.setenv("FLASK_ZAE_LIMITER__RULES", json.dumps(rules))
    monkeypatch.setenv("FLASK_ZAE_LIMITER_KEY", "ip")
    monkeypatch.setenv("FLASK_ZAE_LIMITER__PROXY__TRUSTED_PROXIES", '["127.0.0.0/8"]')
    monkeypatch.setenv("FLASK_ZAE_LIMITER_STORE", "memory:")
    app = Flask(__name__)
    app.config.from_prefixed_env()
    ZaeLimiter(app)
    client = app.test_client()
    asked = [client.get("/api/x", headers={"X-Forwarded-For": f"198.51.100.{number}"}) for number in (1, 1, 2)]
    assert [answer.status_code for answer in asked] == [404, 429, 404]


def test_c96_every_mistake_is_told_at_once_with_its_place() -> None:
    app = Flask(__name__)
    app.config.update(ZAE_LIMITER_HEADER_STILE=["x"], ZAE_LIMITER_RULES=[{"LIMITS": "x"}, {"metods": ["GET"]}])
    with pytest.raises(SettingsError) as failure:
        ZaeLimiter(app, default="5/month", key="ipp", store="memory:", hash_secret="very-secret")
    told = failure.value.mistakes
    for place in (
        "rules[0].limits",
        "rules[1].metods: no such word; did you mean 'methods'?",
        "default: ",
        "key: ",
        "header_stile: no such setting; did you mean 'header_style'?",
    ):
        assert any(mistake.startswith(place) for mistake in told), (place, told)
    assert "very-secret" not in str(failure.value)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({}, "store: say where to count"),
        ({"ZAE_LIMITER": ["x"]}, "ZAE_LIMITER: must be a mapping of settings, got list"),
        ({"ZAE_LIMITER_STORE": "redis://"}, "store: "),
        ({"ZAE_LIMITER_STORE": "memory:", "ZAE_LIMITER_RULES": "x"}, "rules: must be a list of rules"),
        ({"ZAE_LIMITER_LIMITER": "no.such:limiter"}, "limiter: "),
        ({"ZAE_LIMITER_STORE": "memory:", "ZAE_LIMITER_KEY": "ipp"}, "key: no such kind"),
        ({"ZAE_LIMITER_STORE": "memory:", "ZAE_LIMITER_DEFAULT": ["x"]}, "default[0]: "),
    ],
)
def test_a_configuration_that_cannot_work_is_told_by_init_app(config: dict[str, Any], told: str) -> None:
    app = Flask(__name__)
    app.config.update(config)
    with pytest.raises(SettingsError) as raised:
        ZaeLimiter(app)
    assert any(mistake.startswith(told) for mistake in raised.value.mistakes), raised.value.mistakes


def test_an_application_in_debug_mode_counts_in_a_file_of_its_folder(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    app = Flask(__name__)
    app.debug = True
    ZaeLimiter(app, default="1/hour")
    app.add_url_rule("/", "index", lambda: "x")
    assert refused(app).status_code == 429
    assert (tmp_path / "zae-limiter.db").is_file()


def test_a_limiter_that_comes_after_the_first_request_is_refused_by_flask() -> None:
    app = Flask(__name__)
    app.test_client().get("/")
    with pytest.raises(AssertionError, match="setup method"):
        ZaeLimiter(app, store="memory:")


def test_a_store_that_cannot_be_reached_is_told_at_the_first_request(tmp_path: Any) -> None:
    app = Flask(__name__)
    ZaeLimiter(app, store=f"embedded://{tmp_path}/gone/limits.db", default="1/hour")
    assert app.test_client().get("/").status_code == 500
    (tmp_path / "gone").mkdir()
    assert app.test_client().get("/").status_code == 404
