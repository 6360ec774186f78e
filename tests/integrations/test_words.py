"""The words of a rule mean the same in every framework, in the settings and at a view."""

from typing import Any

import pytest

from zae_limiter import Limit
from zae_limiter_http import EXEMPT, Event
from zae_limiter_http.conformance import Answer, Ask, Call, Route, World
from zae_limiter_http.conformance.site import plain

IP = "ip4:203.0.113.9"


@pytest.fixture
def heard() -> list[Event]:
    return []


@pytest.fixture(params=["rules", "view"])
def place(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _serve(world: World, place: str, handler: Any = plain, heard: list[Event] | None = None, **words: Any) -> None:
    """Serve one page under a rule of the settings, or under the same words at its view."""
    rule = {"key": "ip", "name": "page", **words}
    settings: dict[str, Any] = {} if heard is None else {"on_event": heard.append}
    route = Route("/page", handler, limited=rule if place == "view" else None)
    world.serve(routes=[route], rules=[] if place == "view" else [{"match": "/page", **rule}], **settings)


def _statuses(world: World, times: int, method: str = "GET", **headers: str) -> list[int]:
    return [world.get("/page", method, **headers).status for _ in range(times)]


def _left(world: World, limits: str) -> dict[str, int]:
    return world.left(IP, limits, "page")


def test_shadow_counts_tells_and_never_refuses(world: World, place: str, heard: list[Event]) -> None:
    _serve(world, place, heard=heard, limits="2/hour", shadow=True)
    assert _statuses(world, 4) == [200] * 4
    assert world.get("/page").header("ratelimit") is None
    assert {event.kind for event in heard} == {"shadowed"}
    assert (len(heard), _left(world, "2/hour")) == (3, {"rph": 0})


def test_one_limit_of_several_may_be_a_shadow(world: World, place: str, heard: list[Event]) -> None:
    limits = "old=3/hour; new=1/hour"
    _serve(world, place, heard=heard, limits=limits, cost={"old": 1, "new": 1}, shadow=["new"])
    assert _statuses(world, 4) == [200, 200, 200, 429]
    assert [event.kind for event in heard] == ["shadowed", "shadowed", "limited"]


def test_a_shadow_is_switched_while_requests_are_served(world: World, place: str) -> None:
    is_tried = [True]
    _serve(world, place, limits="1/hour", shadow=lambda _: is_tried[0])
    assert _statuses(world, 2) == [200, 200]
    is_tried[:] = [False]
    assert _statuses(world, 1) == [429]


def test_without_block_the_handler_decides(world: World, place: str, heard: list[Event]) -> None:
    async def handler(call: Call) -> Answer:
        if not call.passed.limited:
            assert call.passed.refusal is None
            return Answer(body=b"granted")
        return Answer(body=f"late by {call.passed.refusal.wait_seconds}".encode())

    _serve(world, place, handler, heard, limits="1/hour", block=False)
    assert [world.get("/page").body for _ in range(3)] == [b"granted", b"late by 3600", b"late by 3600"]
    assert [event.kind for event in heard] == ["limited", "limited"]


def test_a_request_waits_for_room_as_long_as_it_may(world: World, place: str) -> None:
    _serve(world, place, limits="2/minute", max_wait=30)
    assert _statuses(world, 3) == [200] * 3
    _serve(world, place, limits="2/hour", max_wait=30)
    assert _statuses(world, 3) == [200, 200, 429]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [200] * 3),
        ({"on_unmapped": "pass"}, [200] * 3),
        ({"on_unmapped": "warn"}, [200] * 3),
        ({"on_unmapped": "deny"}, [403] * 3),
        ({"on_unmapped": "limit", "default_rule": {"key": "ip", "limits": "2/hour"}}, [200, 200, 429]),
        ({"default_rule": {"key": "ip", "limits": "2/hour"}}, [200, 200, 429]),
        ({"on_unmapped": "pass", "default_rule": {"key": "ip", "limits": "2/hour"}}, [200] * 3),
    ],
)
def test_what_no_rule_covers(world: World, settings: Any, expected: list[int], heard: list[Event]) -> None:
    rules = [{"match": "/other", "key": "ip", "limits": "1/day"}]
    world.serve(routes=[Route("/page")], rules=rules, on_event=heard.append, **settings)
    assert _statuses(world, 3) == expected
    is_told = settings.get("on_unmapped") in ("warn", "deny")
    assert [event.kind for event in heard if event.kind == "unmapped"] == ["unmapped"] * 3 * is_told


@pytest.mark.parametrize("action", ["warn", "deny"])
def test_a_view_with_a_limit_of_its_own_is_covered(world: World, action: str, heard: list[Event]) -> None:
    limited = {"key": "ip", "limits": "1/hour"}
    world.serve(routes=[Route("/page", limited=limited)], rules=[], on_unmapped=action, on_event=heard.append)
    assert _statuses(world, 2) == [200, 429]
    assert [event.kind for event in heard] == ["limited"]


@pytest.mark.parametrize(("own", "told"), [("1", "1"), ("70", "4")])
def test_an_older_field_that_a_handler_has_set_is_told_once(world: World, own: str, told: str) -> None:
    async def handler(call: Call) -> Answer:
        return Answer(headers=[("X-RateLimit-Remaining", own)])

    rules = [{"key": "ip", "limits": "5/hour"}]
    world.serve(routes=[Route("/page", handler)], rules=rules, header_style={"x"})
    assert world.get("/page").lines("x-ratelimit-remaining") == [told]


def test_several_routes_share_a_limit(world: World, place: str) -> None:
    shared = {"key": "ip", "limits": "3/hour", "resource": "database"}
    routes = [Route(path, limited=shared if place == "view" else None) for path in ("/a", "/b")]
    rules = [{"match": f"/{name}", **shared} for name in "ab"] if place == "rules" else []
    world.serve(routes=[*routes, Route("/free")], rules=rules)
    assert [world.get(path).status for path in ("/a", "/b", "/a", "/b", "/free")] == [200, 200, 200, 429, 200]


def test_a_limit_may_be_about_some_methods(world: World, place: str) -> None:
    _serve(world, place, limits="1/hour", methods=["POST"])
    assert _statuses(world, 2, "POST") == [200, 429]
    assert _statuses(world, 2) == [200, 200]


def test_a_response_says_whether_it_costs_anything(world: World, place: str) -> None:
    async def handler(call: Call) -> Answer:
        return Answer(401 if world.handled > 2 else 200)

    _serve(world, place, handler, limits="2/hour", deduct_when=lambda response: response.status_code == 401)
    assert _statuses(world, 5) == [200, 200, 401, 401, 429]


def test_a_response_says_what_it_costs(world: World, place: str) -> None:
    async def handler(call: Call) -> Answer:
        return Answer(headers=[("x-rows", "70")])

    words: dict[str, Any] = {"limits": "rows=100/hour", "cost": {"rows": 10}}
    _serve(world, place, handler, **words, cost_from_response=lambda response: int(response.headers["x-rows"]))
    reply = world.get("/page")
    assert reply.told("ratelimit").startswith('"rows";r=30;')
    assert _left(world, "rows=100/hour") == {"rows": 30}


def test_a_failed_request_is_given_back(world: World, place: str) -> None:
    async def handler(call: Call) -> Answer:
        return Answer(503 if world.handled == 1 else 404)

    _serve(world, place, handler, limits="1/hour", refund_on="5xx")
    assert _statuses(world, 3) == [503, 404, 429]


LIMITS = [
    "2/hour; 50/day",
    "2 per hour; 50 per day",
    ["2/hour", "50/day"],
    [Limit.per_hour("rph", 2), Limit.per_day("rpd", 50)],
    lambda _: "2/hour; 50/day",
    lambda _: [Limit.per_hour("rph", 2), "50/day"],
]


@pytest.mark.parametrize("limits", LIMITS)
def test_limits_are_written_in_many_ways(world: World, place: str, limits: Any) -> None:
    _serve(world, place, limits=limits)
    assert world.get("/page").header("ratelimit-policy") == '"rph";q=2;w=3600, "rpd";q=50;w=86400'
    assert _statuses(world, 2) == [200, 429]


@pytest.mark.parametrize(
    ("key", "kinds"),
    [
        ("auto", ["ip4"]),
        ("ip", ["ip4"]),
        ("user", ["ip4"]),
        ("user_or_ip", ["ip4"]),
        ("header:X-Tenant", ["key", "ip4"]),
        (["user", "header:X-None", "ip"], ["ip4"]),
        (lambda request: request.headers["x-tenant"], ["custom"]),
        (["user", lambda _: None, "header:X-Tenant"], ["key", "ip4"]),
        (lambda _: ("acme", "eu"), ["mix"]),
        (lambda _: EXEMPT, []),
    ],
)
def test_keys_are_written_in_many_ways(world: World, place: str, key: Any, kinds: list[str]) -> None:
    seen: list[str] = []

    async def handler(call: Call) -> Answer:
        seen.extend(status.entity_id.partition(":")[0] for status in call.passed.statuses)
        return Answer()

    _serve(world, place, handler, key=key, limits="5/hour")
    assert _statuses(world, 1, x_tenant="acme") == [200]
    assert seen == kinds


@pytest.mark.parametrize(
    ("cost", "left"),
    [
        (None, {"rph": 9, "tokens": 100}),
        (2, {"rph": 8, "tokens": 100}),
        ({"tokens": 30}, {"rph": 10, "tokens": 70}),
        ({"rph": 2, "tokens": 30}, {"rph": 8, "tokens": 70}),
        (lambda _: 3, {"rph": 7, "tokens": 100}),
        (lambda request: {"tokens": len(request.headers["x-text"])}, {"rph": 10, "tokens": 95}),
    ],
)
def test_costs_are_written_in_many_ways(world: World, place: str, cost: Any, left: dict[str, int]) -> None:
    limits = [Limit.per_hour("rph", 10), Limit.per_hour("tokens", 100, unit="tokens")]
    _serve(world, place, limits=limits, cost=cost)
    reply = world.ask(Ask("/page", headers=[("x-text", "hello")]))
    assert reply.status == 200
    assert world.done(world.limiter.available(IP, "page", limits)) == left
