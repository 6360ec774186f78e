"""Beyond a hard refusal: the response sets the price, the view decides, a limit only counts, a request waits."""

from typing import Any

import pytest
from flask import Flask, Response, abort, jsonify

from tests.integrations.flask_app.asking import Pair, fresh, statuses
from zae_limiter import SyncRateLimiter
from zae_limiter.testing import TurnableClock
from zae_limiter_flask import ZaeLimiter


def left(pair: Pair, resource: str, limits: str) -> dict[str, int]:
    app, limiter = pair
    with app.app_context():
        return limiter.limiter.available("ip4:127.0.0.1", resource, limits)


def test_a_response_may_be_free(pair: Pair) -> None:
    app, limiter = pair

    @app.get("/<int:code>")
    @limiter.limit("2/minute", deduct_when=lambda response: response.status_code == 401)
    def login(code: int) -> str:
        if code != 200:
            abort(code)
        return "in"

    assert statuses(app, "/200", 5) == [200] * 5
    assert statuses(app, "/401") == [401, 401, 429]


def test_a_response_may_tell_its_cost_and_is_flasks_own(pair: Pair) -> None:
    app, limiter = pair

    def rows(response: Any) -> dict[str, int]:
        assert isinstance(response, Response)
        return {"rows": len(response.get_json())}

    @app.get("/<int:count>")
    @limiter.limit("rows=10/hour", cost={"rows": 1}, cost_from_response=rows)
    def export(count: int) -> Response:
        return jsonify(list(range(count)))

    client = app.test_client()
    assert client.get("/7").headers["RateLimit"] == '"rows";r=3;t=1080'
    assert client.get("/9").headers["RateLimit"] == '"rows";r=0;t=2520'
    assert client.get("/1").status_code == 429
    assert left(pair, "export", "rows=10/hour") == {"rows": -6}


def test_a_view_may_decide_for_itself(pair: Pair) -> None:
    app, limiter = pair

    @app.get("/")
    @limiter.limit("1/minute", block=False)
    def index() -> str:
        current = limiter.current
        if current.limited and current.refusal is not None:
            return f"a smaller page, for {current.refusal.wait_seconds} s"
        return "the whole page"

    client = app.test_client()
    assert [client.get("/").text for _ in range(2)] == ["the whole page", "a smaller page, for 60 s"]


def test_a_limit_may_only_count(pair: Pair) -> None:
    app, limiter = pair
    app.add_url_rule("/", "index", limiter.limit("1/minute", shadow=True)(fresh()))
    assert statuses(app, "/") == [200] * 3


def test_a_request_may_wait_for_room(pair: Pair, zae_limiter_clock: TurnableClock) -> None:
    app, limiter = pair
    app.add_url_rule("/", "index", limiter.limit("1/minute", max_wait=90)(fresh()))
    begun = zae_limiter_clock.now_ns()
    assert statuses(app, "/", 2) == [200, 200]
    assert zae_limiter_clock.now_ns() - begun >= 60_000_000_000


@pytest.mark.parametrize(("action", "status"), [("pass", 200), ("deny", 403)])
def test_a_request_that_no_rule_covers_is_treated_as_told(
    zae_limiter_sync: SyncRateLimiter, action: Any, status: int
) -> None:
    app = Flask(__name__)
    heard: list[str] = []
    limiter = ZaeLimiter(
        app, limiter=zae_limiter_sync, key="ip", on_unmapped=action, on_event=lambda event: heard.append(event.kind)
    )
    app.add_url_rule("/", "index", fresh())
    app.add_url_rule("/limited", "limited", limiter.limit("1/minute")(fresh()))
    assert statuses(app, "/", 1) == [status]
    assert statuses(app, "/limited", 2) == [200, 429]
    assert heard == (["unmapped", "limited"] if action == "deny" else ["limited"])


def test_a_request_that_is_denied_is_for_the_handler_of_its_status(zae_limiter_sync: SyncRateLimiter) -> None:
    app = Flask(__name__)
    ZaeLimiter(app, limiter=zae_limiter_sync, on_unmapped="deny")
    app.register_error_handler(503, lambda _: ("away", 503))
    app.register_error_handler(403, lambda error: (f"mine: {error.description}", 403))
    answer = app.test_client().get("/")
    assert (answer.status_code, answer.text.partition(":")[0]) == (403, "mine")
    assert answer.headers["Cache-Control"] == "no-store"
