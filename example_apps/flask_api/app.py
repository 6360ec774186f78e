"""An API whose keys have plans: a plan is stored as limits of its account, and changes while the application serves.

A text costs what it takes: one request, and a unit for every hundred characters that were looked at.
"""

import os
from typing import Any, Final

from flask import Flask, Request, Response, abort, g, jsonify, request

from zae_limiter import Limit, SyncRateLimiter
from zae_limiter_flask import ZaeLimiter, current_lease

STORE: Final = os.environ.get("ZAE_LIMITER_STORE", "embedded:///tmp/zae-limiter-flask-api.db")
ACCOUNTS: Final = {"key-ann": "ann", "key-bob": "bob"}
PLANS: Final = {
    "free": (Limit.per_day("rpd", 20), Limit.per_day("units", 100, unit="units")),
    "pro": (Limit.per_day("rpd", 2_000), Limit.per_day("units", 50_000, unit="units")),
}
RESOURCE: Final = "texts"
CHARACTERS_A_UNIT: Final = 100


def account_of(asked: Request) -> str | None:
    """The account behind an API key; None for a key that nobody was given, which is limited by its address."""
    return ACCOUNTS.get(asked.headers.get("X-API-Key", ""))


def cost_of(asked: Request) -> dict[str, int]:
    """What a request is charged before its body is read: by the length that it announces."""
    return {"rpd": 1, "units": units_of(asked.content_length or 0)}


def units_of(characters: int) -> int:
    """The units of a text: one for each hundred characters that were begun."""
    return -(-characters // CHARACTERS_A_UNIT)


limiter = ZaeLimiter(store=STORE, key=account_of)
texts = limiter.shared_limit(resource=RESOURCE, cost=cost_of)


def create_app() -> Flask:
    """The application; whoever has no plan of their own is on the free one."""
    app = Flask(__name__)
    limiter.init_app(app)
    app.before_request(sign_in)
    app.add_url_rule("/health", "health", health)
    app.add_url_rule("/v1/words", "words", words, methods=["POST"])
    app.add_url_rule("/v1/plan", "plan", plan, methods=["GET", "PUT"])
    with app.app_context():
        if not limiter.limiter.get_resource_defaults(RESOURCE):
            limiter.limiter.set_resource_defaults(RESOURCE, PLANS["free"])
    return app


def sign_in() -> None:
    """Turn away who has no key; by now the limiter has charged their address."""
    g.account = account_of(request)
    if g.account is None and request.endpoint != "health":
        abort(401, "send the header X-API-Key")


@limiter.exempt
def health() -> Response:
    """Whether the store answers; never limited."""
    return jsonify(ok=limiter.limiter.is_available())


@texts
def words() -> Response:
    """Count words. The announced length was charged, markup included; what was not looked at is given back."""
    body = request.get_json()
    text = str(body.get("text", "")) if isinstance(body, dict) else ""
    used = units_of(len(text))
    current_lease().adjust(units=used - units_of(request.content_length or 0))
    return jsonify(words=len(text.split()), units=used)


@limiter.limit("60/hour")
def plan() -> Response:
    """The plan of an account with what is left of it; PUT changes it, and it is in force at the next request."""
    entity = f"custom:{g.account}"
    counting: SyncRateLimiter = limiter.limiter
    if request.method == "PUT":
        wanted: Any = request.get_json()
        name = wanted.get("plan") if isinstance(wanted, dict) else None
        if name not in PLANS:
            abort(422, f"send a plan: one of {', '.join(PLANS)}")
        counting.set_limits(entity, PLANS[name], resource=RESOURCE)
    limits = counting.get_limits(entity, RESOURCE) or counting.get_resource_defaults(RESOURCE)
    named = next((name for name, found in PLANS.items() if list(found) == limits), "of their own")
    return jsonify(plan=named, left=counting.available(entity, RESOURCE))
