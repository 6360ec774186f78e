"""When the lease of a request of Flask ends, and that nothing of it is kept."""

import gc
import weakref
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, send_file

from tests.integrations.flask_app.asking import Pair, statuses
from zae_limiter import SyncRateLimiter
from zae_limiter_flask import ZaeLimiter, current_lease

ROWS: dict[str, Any] = {"limits": "rows=100/hour", "cost": {"rows": 10}}
IP = "ip4:127.0.0.1"


def test_the_lease_of_a_file_that_is_sent_ends_with_the_request(
    pair: Pair, zae_limiter_sync: SyncRateLimiter, tmp_path: Path
) -> None:
    app, limiter = pair
    (tmp_path / "rows.csv").write_text("a,b")

    @app.get("/")
    @limiter.limit(**ROWS, resource="files")
    def export() -> Response:
        current_lease().adjust(rows=5)
        return send_file(tmp_path / "rows.csv")

    answer = app.test_client().get("/")
    assert (answer.text, answer.headers["RateLimit"]) == ("a,b", '"rows";r=85;t=3060')
    answer.close()
    assert zae_limiter_sync.available(IP, "files", ROWS["limits"]) == {"rows": 85}


def test_an_application_that_nobody_has_any_more_is_gone_though_its_limiter_stays() -> None:
    limiter = ZaeLimiter(key="ip", store="memory:")

    def made() -> Flask:
        app = Flask(__name__)
        limiter.init_app(app)

        @app.get("/")
        @limiter.limit("1/minute")
        def index() -> str:
            return app.name

        return app

    known = []
    for _ in range(9):
        app = made()
        assert statuses(app, "/", 2) == [200, 429]
        known.append(weakref.ref(app))
    gc.collect()
    assert [each() for each in known[:-2]] == [None] * 7
    assert len(list(limiter.marks)) == 2


def test_a_blueprint_that_is_limited_again_for_each_application_carries_its_limit_once() -> None:
    limiter = ZaeLimiter(key="ip", store="memory:")
    blueprint = Blueprint("all", __name__)
    blueprint.add_url_rule("/", "index", lambda: "x")
    for _ in range(3):
        app = Flask(__name__)
        limiter.limit_blueprint(blueprint, "1/minute", methods=["GET"])
        limiter.init_app(app)
        app.register_blueprint(blueprint)
        assert statuses(app, "/", 2) == [200, 429]
        assert app.test_cli_runner().invoke(args=["zae-limiter", "check"]).exit_code == 0
    limiter.limit_blueprint(blueprint, "1/hour")
    assert len(list(limiter.marks)) == 2
