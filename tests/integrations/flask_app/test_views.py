"""The forms that users of Flask write: decorators, blueprints, classes of views, rules."""

from typing import Any

from flask import Blueprint, Flask, Request
from flask.views import MethodView, View

from tests.integrations.flask_app.asking import Pair, fresh, passed_through, statuses
from zae_limiter import SyncRateLimiter
from zae_limiter_flask import EXEMPT, Rule, ZaeLimiter


def test_a_decorator_stands_above_or_below_the_route_and_other_decorators(pair: Pair) -> None:
    app, limiter = pair

    @app.get("/below")
    @limiter.limit("2/minute")
    def below() -> str:
        return "x"

    @limiter.limit("2/minute")
    @app.get("/above")
    def above() -> str:
        return "x"

    @app.get("/outer")
    @limiter.limit("2/minute")
    @passed_through
    def outer() -> str:
        return "x"

    @app.get("/inner")
    @passed_through
    @limiter.limit("2/minute")
    def inner() -> str:
        return "x"

    app.add_url_rule("/free", "free", fresh())
    for path in ("/below", "/above", "/outer", "/inner"):
        assert statuses(app, path) == [200, 200, 429]
    assert statuses(app, "/free") == [200, 200, 200]


def test_what_is_put_on_a_wrapper_does_not_limit_what_it_wraps(pair: Pair) -> None:
    app, limiter = pair
    view = limiter.limit("9/minute", name="all")(fresh())
    app.add_url_rule("/", "plain", view)
    app.add_url_rule("/wrapped", "wrapped", limiter.limit("1/minute")(passed_through(view)))
    assert statuses(app, "/wrapped", 2) == [200, 429]
    assert statuses(app, "/", 2) == [200, 200]


def test_limits_of_several_decorators_are_charged_together_or_not_at_all(pair: Pair) -> None:
    app, limiter = pair

    @app.get("/")
    @limiter.limit("9/hour")
    @limiter.limit("1/minute", key=lambda asked: asked.args.get("who"))
    def index() -> str:
        return "x"

    assert statuses(app, "/?who=a", 2) == [200, 429]
    assert statuses(app, "/?who=b", 1) == [200]
    with app.app_context():
        assert limiter.limiter.available("ip4:127.0.0.1", "index", "9/hour") == {"rph": 7}


def test_the_default_counts_all_requests_of_a_caller_and_a_decorator_besides(zae_limiter_sync: SyncRateLimiter) -> None:
    limiter = ZaeLimiter(limiter=zae_limiter_sync, key="ip", default="200/day; 3/hour")
    app = Flask(__name__)
    limiter.init_app(app)
    app.add_url_rule("/slow", "slow", limiter.limit("1/second", cost=1)(fresh()))
    app.add_url_rule("/ping", "ping", limiter.exempt(fresh()))

    client = app.test_client()
    answer = client.get("/slow")
    assert answer.headers["RateLimit-Policy"] == '"rpd";q=200;w=86400, "rph";q=3;w=3600, "rps";q=1;w=1'
    assert client.get("/slow").headers["RateLimit"] == '"rps";r=0;t=1'
    assert statuses(app, "/nowhere") == [404, 404, 429]
    assert statuses(app, "/ping", 5) == [200] * 5
    assert "RateLimit" not in client.get("/ping").headers


def test_a_last_rule_keeps_the_default_away(zae_limiter_sync: SyncRateLimiter) -> None:
    rule = {"match": "/api/*", "limits": "5/minute", "name": "api", "last": True}
    app = Flask(__name__)
    ZaeLimiter(app, limiter=zae_limiter_sync, key="ip", default="1/hour", rules=[rule])
    assert statuses(app, "/api/x", 3) == [404] * 3
    assert statuses(app, "/x", 2) == [404, 429]


def test_one_view_with_two_addresses_has_one_bucket(pair: Pair) -> None:
    app, limiter = pair

    @app.get("/a")
    @app.get("/b/<int:number>")
    @limiter.limit("2/minute")
    def view(number: int = 0) -> str:
        return str(number)

    assert statuses(app, "/a", 1) + statuses(app, "/b/1", 1) + statuses(app, "/b/2", 1) == [200, 200, 429]


def test_a_blueprint_is_limited_as_a_whole_with_those_inside_it(pair: Pair) -> None:
    app, limiter = pair
    outer, inner, other = Blueprint("api", __name__), Blueprint("users", __name__), Blueprint("users", __name__)
    limiter.limit_blueprint(outer, "4/minute", key=lambda asked: asked.headers.get("X-Tenant"))
    limiter.limit_blueprint(inner, "2/minute")
    for blueprint in (outer, inner, other):
        blueprint.add_url_rule("/list", "list", fresh())
    outer.register_blueprint(inner, url_prefix="/v1")
    outer.register_blueprint(other, url_prefix="/v2", name="later")
    app.register_blueprint(outer, url_prefix="/api")
    app.add_url_rule("/", "index", fresh())

    tenant: dict[str, Any] = {"headers": {"X-Tenant": "acme"}}
    assert statuses(app, "/api/v1/list", 3, **tenant) == [200, 200, 429]
    assert statuses(app, "/api/v2/list", 3, **tenant) == [200, 200, 429]
    assert statuses(app, "/api/list", 1, headers={"X-Tenant": "other"}) == [200]
    assert statuses(app, "/", 9) == [200] * 9


def test_c75_blueprints_of_one_name_count_apart(pair: Pair) -> None:
    app, limiter = pair
    for version in ("v1", "v2"):
        outer, users = Blueprint(version, __name__), Blueprint("users", __name__)
        limiter.limit("1/minute")(users)
        users.add_url_rule("/users", "list", limiter.limit("9/minute")(fresh()))
        outer.register_blueprint(users)
        app.register_blueprint(outer, url_prefix=f"/{version}")
    assert statuses(app, "/v1/users", 2) == [200, 429]
    assert statuses(app, "/v2/users", 2) == [200, 429]


def test_a_blueprint_is_exempt_with_all_its_views(pair: Pair) -> None:
    app, limiter = pair
    blueprint = limiter.exempt(Blueprint("free", __name__))
    blueprint.add_url_rule("/free", "page", limiter.limit("1/minute")(fresh()))
    app.register_blueprint(blueprint)
    assert statuses(app, "/free") == [200] * 3


def test_c78_a_class_of_views_is_limited_by_method_and_head_counts_as_get(pair: Pair) -> None:
    app, limiter = pair

    class Items(MethodView):
        @limiter.limit("2/minute")
        def get(self) -> str:
            return "x"

        def post(self) -> str:
            return "x"

    app.add_url_rule("/items", view_func=Items.as_view("items"))
    assert statuses(app, "/items", 1) + statuses(app, "/items", 2, "HEAD") == [200, 200, 429]
    assert statuses(app, "/items", 5, "POST") == [200] * 5


def test_a_class_of_views_is_limited_as_a_whole_and_its_parts_exempt(pair: Pair) -> None:
    app, limiter = pair

    class Listed(MethodView):
        decorators = [limiter.limit("2/minute")]  # noqa: RUF012 - as Flask documents it

        def get(self) -> str:
            return "x"

        @limiter.exempt
        def post(self) -> str:
            return "x"

    @limiter.limit("1/minute")
    class Marked(View):
        def dispatch_request(self) -> str:
            return "x"

    app.add_url_rule("/listed", view_func=Listed.as_view("listed"))
    app.add_url_rule("/marked", view_func=Marked.as_view("marked"))
    assert statuses(app, "/listed") == [200, 200, 429]
    assert statuses(app, "/listed", 5, "POST") == [200] * 5
    assert statuses(app, "/marked", 2) == [200, 429]


def test_methods_of_a_decorator_limit_those_alone(pair: Pair) -> None:
    app, limiter = pair
    view = limiter.limit("1/minute", methods=["POST"])(fresh())
    app.add_url_rule("/", "index", view, methods=["GET", "POST"])
    assert statuses(app, "/", 3) == [200] * 3
    assert statuses(app, "/", 2, "POST") == [200, 429]


def test_views_share_a_limit(pair: Pair) -> None:
    app, limiter = pair
    shared = limiter.shared_limit("2/hour", resource="database")
    for name in ("one", "two"):
        app.add_url_rule(f"/{name}", name, shared(fresh()))
    assert statuses(app, "/one", 1) + statuses(app, "/two", 2) == [200, 200, 429]
    assert statuses(app, "/one", 1) == [429]


def test_limits_key_and_cost_may_be_asked_of_the_request(pair: Pair) -> None:
    app, limiter = pair

    def plan(asked: Request) -> str:
        return "10/minute" if asked.headers.get("X-Plan") == "pro" else "4/minute"

    def who(asked: Request) -> Any:
        return EXEMPT if asked.headers.get("X-Staff") else asked.headers.get("X-Name")

    def cost(asked: Request) -> int:
        return int(asked.args["n"])

    app.add_url_rule("/", "index", limiter.limit(plan, key=who, cost=cost)(fresh()))
    assert statuses(app, "/?n=2", 3, headers={"X-Name": "ann"}) == [200, 200, 429]
    assert statuses(app, "/?n=5", 3, headers={"X-Name": "bob", "X-Plan": "pro"}) == [200, 200, 429]
    assert statuses(app, "/?n=99", 3, headers={"X-Staff": "1"}) == [200] * 3


def test_files_that_flask_serves_and_automatic_options_are_free(zae_limiter_sync: SyncRateLimiter) -> None:
    app = Flask(__name__, static_folder=".", static_url_path="/files")
    ZaeLimiter(app, limiter=zae_limiter_sync, key="ip", default="2/hour")
    app.add_url_rule("/", "index", fresh())
    for _ in range(3):
        with app.test_client().get("/files/asking.py") as answer:
            assert answer.status_code == 200
    assert statuses(app, "/", 5, "OPTIONS") == [200] * 5
    assert statuses(app, "/") == [200, 200, 429]


def test_rules_match_routes_views_and_methods(zae_limiter_sync: SyncRateLimiter) -> None:
    app = Flask(__name__)
    rules = [
        Rule("route:/items/<int:number>", key="ip", resource="route", limits="1/minute"),
        Rule("view:bp.*", key="ip", resource="route", limits="1/hour", methods=["GET"]),
    ]
    ZaeLimiter(app, limiter=zae_limiter_sync, rules=rules)
    blueprint = Blueprint("bp", __name__)
    blueprint.add_url_rule("/bp", "page", fresh(), methods=["GET", "POST"])
    app.register_blueprint(blueprint)
    app.add_url_rule("/items/<int:number>", "item", fresh())
    assert statuses(app, "/items/1", 1) + statuses(app, "/items/2", 1) == [200, 429]
    assert statuses(app, "/bp", 2) == [200, 429]
    assert statuses(app, "/bp", 2, "POST") == [200, 200]


def test_limits_of_one_name_that_differ_count_apart_on_one_view(pair: Pair) -> None:
    app, limiter = pair
    blueprint = Blueprint("bp", __name__)
    view = limiter.limit("2/minute")(limiter.limit("5/minute", key=lambda asked: asked.args.get("user"))(fresh()))
    blueprint.add_url_rule("/", "login", view)
    limiter.limit_blueprint(blueprint, "9/minute")
    app.register_blueprint(blueprint)
    assert statuses(app, "/?user=ann") == [200, 200, 429]
    with app.app_context():
        available = limiter.limiter.available
        assert available("custom:ann", "bp.login", "5/minute") == {"rpm": 3}
        assert available("ip4:127.0.0.1", "bp.login/2", "2/minute") == {"rpm": 0}
        assert available("ip4:127.0.0.1", "blueprint/bp", "9/minute") == {"rpm": 7}


def test_a_view_may_be_named_as_the_one_of_files(pair: Pair) -> None:
    app, limiter = pair
    blueprint = Blueprint("pages", __name__)

    @blueprint.get("/fixed")
    @limiter.limit("1/minute")
    def static() -> str:
        return "x"

    app.register_blueprint(blueprint)
    assert statuses(app, "/fixed", 2) == [200, 429]
