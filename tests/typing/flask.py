"""The Flask side as a user types it: read by both type checkers, never run."""

from typing import assert_type

from flask import Blueprint, Flask, Request, Response, jsonify
from flask.views import MethodView

from zae_limiter import Limit, SyncRateLimiter
from zae_limiter_flask import (
    EXEMPT,
    RateLimitExceeded,
    RequestRefused,
    Rule,
    SyncLease,
    SyncPassed,
    ZaeLimiter,
    current_lease,
)

limiter = ZaeLimiter(store="embedded:///var/lib/app/limits.db", key="ip", default="200/day; 50/hour")
bp = Blueprint("api", __name__)


def create_app() -> Flask:
    app = Flask(__name__)
    limiter.init_app(app)
    app.register_blueprint(bp)
    return app


def tenant(request: Request) -> str | None:
    return request.headers.get("X-Tenant")


@bp.get("/slow")
@limiter.limit("1/second", cost=2)
def slow() -> Response:
    assert_type(current_lease(), SyncLease)
    current_lease().adjust(rps=1)
    return jsonify(ok=True)


shared = limiter.shared_limit("100/hour", resource="database")
limiter.limit_blueprint(bp, "10/minute", key=tenant)


@bp.get("/ping")
@limiter.exempt
def ping() -> str:
    return "pong"


@shared
def pages(count: int) -> int:
    with limiter.limit([Limit.per_hour("rows", 100)], cost={"rows": count}) as lease:
        assert_type(lease, SyncLease)
    return count


class Items(MethodView):
    @limiter.limit(lambda _: "10/minute", key=lambda _: EXEMPT, methods=["GET"])
    def get(self) -> str:
        assert_type(limiter.current, SyncPassed)
        return str(pages(3))


def with_rules(app: Flask, made: SyncRateLimiter) -> ZaeLimiter:
    api = Rule("/api/*", key=["user", tenant], limits="100/minute")
    return ZaeLimiter(
        app,
        limiter=made,
        rules=[api, {"match": "/health", "exempt": True}],
        header_style=("draft", "x"),
        refund_on="5xx",
    )


def handled(app: Flask) -> None:
    @app.errorhandler(RateLimitExceeded)
    def too_many(error: RequestRefused) -> tuple[str, int]:
        return f"wait {error.retry_after} s for {error.violations[0].limit_name}", 429
