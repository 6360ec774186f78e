"""Limits inside a view of Flask, several applications in one process, and what is told of mistakes."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Blueprint, Flask, abort

from tests.integrations.flask_app.asking import Pair, statuses
from zae_limiter.testing import TurnableClock, sync_memory_limiter
from zae_limiter_flask import RateLimitExceeded, SettingsError, ZaeLimiter, current_lease


def test_a_block_is_charged_each_time_it_is_entered(pair: Pair) -> None:
    app, limiter = pair
    page = limiter.limit("rows=10/hour", cost={"rows": 2})

    @app.get("/<int:pages>")
    @limiter.limit("9/minute")
    def export(pages: int) -> list[str]:
        outer = current_lease().statuses[0].limit_name
        for _ in range(pages):
            with page as lease:
                lease.adjust(rows=1)
                assert current_lease().consumed == {"rows": 3}
        return [outer, current_lease().statuses[0].limit_name]

    client = app.test_client()
    answer = client.get("/2")
    assert answer.json == ["rpm", "rpm"]
    assert answer.headers["RateLimit"] == '"rpm";r=8;t=54, "rows";r=4;t=1440'
    refused = client.get("/2")
    assert (refused.status_code, refused.headers["RateLimit"]) == (429, '"rows";r=1;t=360')
    assert (refused.json or {})["violated-policies"] == ["rows"]


@pytest.mark.parametrize(("code", "left"), [(404, 8), (503, 10), (None, 10)])
def test_a_block_that_fails_is_given_back_where_its_words_say_so(pair: Pair, code: int | None, left: int) -> None:
    app, limiter = pair

    @app.get("/")
    def index() -> str:
        with limiter.limit("rows=10/hour", cost={"rows": 2}, refund_on="5xx"):
            if code is None:
                raise ZeroDivisionError
            abort(code)

    assert statuses(app, "/", 1) == [code or 500]
    with app.app_context():
        assert limiter.limiter.available("ip4:127.0.0.1", "index", "rows=10/hour") == {"rows": left}


def test_a_view_may_answer_itself_when_a_block_is_refused(pair: Pair) -> None:
    app, limiter = pair

    @app.get("/")
    def index() -> str:
        try:
            with limiter.limit("1/hour"):
                return "fresh"
        except RateLimitExceeded as refused:
            return f"from the cache for {refused.retry_after_seconds:.0f} s"

    client = app.test_client()
    assert [client.get("/").text for _ in range(2)] == ["fresh", "from the cache for 3600 s"]


def test_an_asynchronous_view_adjusts_its_lease_without_awaiting(pair: Pair) -> None:
    app, limiter = pair

    @app.get("/")
    @limiter.limit("rows=10/hour", cost={"rows": 1})
    async def index() -> str:
        current_lease().adjust(rows=6)
        return "x"

    client = app.test_client()
    assert client.get("/").headers["RateLimit"] == '"rows";r=3;t=1080'
    assert client.get("/").headers["RateLimit"] == '"rows";r=0;t=1800'
    assert client.get("/").status_code == 429


def test_two_applications_of_one_limiter_and_two_limiters_do_not_meet(zae_limiter_clock: TurnableClock) -> None:
    shared = ZaeLimiter(key="ip")
    own = ZaeLimiter(key="ip", limiter=sync_memory_limiter(clock=zae_limiter_clock))
    both = own.limit("1/minute")(shared.limit("2/minute")(lambda: "x"))
    apps = [Flask("first"), Flask("second"), Flask("third")]
    for app, limiter in zip(apps, (shared, shared, own), strict=True):
        app.add_url_rule("/", "index", both)
        app.config["ZAE_LIMITER_STORE"] = "memory:" if limiter is shared else None
        limiter.init_app(app)
    assert [statuses(app, "/", 3) for app in apps] == [[200, 200, 429], [200, 200, 429], [200, 429, 429]]


def test_a_lease_is_found_in_a_request_that_nobody_pays_for(pair: Pair) -> None:
    app, limiter = pair

    @app.get("/")
    @limiter.exempt
    def index() -> str:
        current_lease().adjust(rows=10)
        return str(limiter.current.is_exempt)

    assert app.test_client().get("/").text == "True"


def test_what_is_asked_out_of_place_says_what_is_missing(pair: Pair) -> None:
    app, limiter = pair
    with pytest.raises(RuntimeError, match="no request is being served here"):
        current_lease()
    with pytest.raises(RuntimeError, match="no application is current here"):
        _ = limiter.limiter
    other = Flask("other")
    with other.test_request_context(), pytest.raises(RuntimeError, match="no limiter has seen this request"):
        _ = limiter.current
    with other.app_context(), pytest.raises(RuntimeError, match="does not serve the current application"):
        _ = limiter.limiter
    with pytest.raises(RuntimeError, match=r"flask_app\.conftest' has a limiter already"):
        limiter.init_app(app)


@pytest.mark.parametrize("target", [len, "x".join, 3])
def test_what_cannot_carry_a_limit_is_told(pair: Pair, target: Any) -> None:
    with pytest.raises(TypeError, match="cannot be limited; give a view function, a view class or a blueprint"):
        pair[1].limit("1/minute")(target)


@pytest.mark.parametrize(
    ("mark", "told"),
    [
        (lambda limiter: limiter.limit("5/month"), "limit.limits: "),
        (lambda limiter: limiter.limit("5/minute", kye="ip"), "limit.kye: no such word; did you mean 'key'?"),
        (lambda limiter: limiter.shared_limit("5/minute", resource="a b"), "shared_limit.resource: "),
        (lambda limiter: limiter.limit_blueprint(Blueprint("x", "x"), "x"), "limit_blueprint.limits: "),
    ],
)
def test_a_mistake_in_a_decorator_is_told_where_it_stands(
    pair: Pair, mark: Callable[[ZaeLimiter], Any], told: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        mark(pair[1])
    assert raised.value.mistakes[0].startswith(told)


def test_decorators_that_are_at_odds_over_the_bucket_they_name_are_told_at_once(pair: Pair) -> None:
    view = pair[1].limit("5/minute", name="login")(lambda: "x")
    with pytest.raises(SettingsError, match=r"^limits: 'rpm' of resource 'login' is another in"):
        pair[1].limit("9/minute", name="login")(view)
    assert pair[1].limit("9/minute", name="wide")(view) is view


def test_a_block_may_be_written_in_many_ways_and_is_the_limit_it_says(pair: Pair) -> None:
    app, limiter = pair

    class Odd(list[str]):
        """A list of its own kind, as a framework may hand one in."""

    ways: list[dict[str, Any]] = [
        {"limits": "rows=9/hour", "cost": {"rows": 1}, "name": "a"},
        {"limits": "rows=9/hour", "cost": {"rows": 2}, "name": "a"},
        {"limits": ["rows=9/hour"], "cost": {"rows": 3}, "name": "a", "key": ["ip"], "methods": {"GET"}},
        {"limits": ["rows=9/hour"], "cost": {"rows": 3}, "name": "a", "methods": Odd(["GET"])},
    ]
    with app.test_request_context("/", environ_base={"REMOTE_ADDR": "192.0.2.1"}):
        app.preprocess_request()
        for _ in range(300):
            with limiter.limit("9000/hour", name="many", key=lambda _: "x"):
                pass
        held = []
        for way in [*ways[:2], *ways[:3], ways[3]]:
            try:
                with limiter.limit(**way) as lease:
                    held.append(lease.consumed["rows"])
            except RateLimitExceeded:
                held.append(0)
    assert held == [1, 2, 1, 2, 3, 0]


def test_a_handler_of_errors_sees_what_the_limiter_said_of_the_request(pair: Pair) -> None:
    app, limiter = pair
    app.add_url_rule("/", "index", limiter.limit("1/hour")(lambda: "x"))

    @app.errorhandler(429)
    def handler(_: Exception) -> tuple[str, int]:
        current = limiter.current
        assert current.limited
        assert current.refusal is not None
        with pytest.raises(RuntimeError, match="the request was refused"):
            current_lease()
        with pytest.raises(RuntimeError, match="nothing more is charged"), limiter.limit("1/hour"):
            raise AssertionError("entered")
        return current.refusal.detail, 429

    client = app.test_client()
    assert [client.get("/").text for _ in range(2)] == ["x", 'Rate limit "rph" exceeded. Retry in 3600 seconds.']


def test_a_block_in_a_loop_makes_the_request_no_slower_to_answer(pair: Pair) -> None:
    app, limiter = pair

    @app.get("/")
    @limiter.limit("rows=9/minute")
    def index() -> str:
        for name in ["a", "b"] * 20:
            with limiter.limit("99/hour", resource=name), limiter.limit("50/day"):
                assert current_lease().consumed == {"rpd": 1}
        assert current_lease().consumed == {"rows": 1}
        core = limiter.current._core
        # Each question costs what there is of these: not what was entered and left.
        assert (len(core.claims), core.entered) == (4, [])
        return "x"

    answer = app.test_client().get("/")
    assert answer.status_code == 200
    assert answer.headers["RateLimit"].startswith('"rows";r=8;t=54, "rule2.rph";r=79;')


def test_an_error_of_a_view_that_goes_on_without_its_block_is_its_own(pair: Pair) -> None:
    app, limiter = pair

    @app.get("/")
    def index() -> str:
        try:
            with limiter.limit("1/hour"):
                return "fresh"
        except RateLimitExceeded:
            abort(404)

    client = app.test_client()
    answers = [client.get("/") for _ in range(2)]
    assert [(each.status_code, "Retry-After" in each.headers) for each in answers] == [(200, False), (404, False)]
