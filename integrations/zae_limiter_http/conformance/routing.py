"""Checks C74 to C81, C85 and C95: routes, what stands at a view, handlers of the application, the current lease."""

from typing import Any

import pytest

from zae_limiter_http.conformance.applies import on
from zae_limiter_http.conformance.asking import Ask
from zae_limiter_http.conformance.methods import IP
from zae_limiter_http.conformance.site import Answer, Call, Route
from zae_limiter_http.conformance.world import World

ONE: dict[str, Any] = {"limits": "1/minute", "key": "ip"}
TWO: dict[str, Any] = {"limits": "2/minute", "key": "ip"}


class Routing:
    """What belongs to a route."""

    def test_c74_a_route_is_one_resource_whatever_stands_in_its_place(self, world: World) -> None:
        world.serve(rules=[{"match": "route:*items/*", "resource": "route", **TWO}])
        assert [world.get(f"/items/{number}").status for number in (1, 2, 3)] == [200, 200, 429]
        assert {(reply.status, reply.header("ratelimit")) for reply in (world.get("/other") for _ in range(3))} == {
            (200, None)
        }

    def test_c75_one_local_path_in_two_groups_is_two_resources(self, world: World) -> None:
        routes = [Route("/users", group=group) for group in ("v1", "v2")]
        world.serve(routes=routes, rules=[{"resource": "route", **ONE}])
        paths = ["/v1/users", "/v1/users", "/v2/users", "/v2/users"]
        assert [world.get(path).status for path in paths] == [200, 429, 200, 429]

    def test_c76_an_unknown_path_is_limited_by_general_rules_alone(self, world: World) -> None:
        world.serve()
        assert [world.get("/nowhere").status for _ in range(6)] == [404, 404, 429, 429, 429, 429]
        world.serve(rules=[{"match": "route:*", **ONE}])
        assert {world.get("/nowhere").status for _ in range(6)} == {404}

    @pytest.mark.parametrize("form", ["async", "sync", "class"])
    def test_c77_a_limit_at_a_view_leaves_other_views_alone(self, world: World, form: Any) -> None:
        world.serve(routes=[Route("/one", form=form, limited=ONE), Route("/two")], rules=[])
        assert [world.get(path).status for path in ("/one", "/one", "/two", "/two")] == [200, 429, 200, 200]
        world.clock.turn(60)
        assert world.get("/one").status == 200

    @on("SWGF")
    def test_c78_a_class_that_is_limited_on_get_is_free_on_post_and_head_counts_as_get(self, world: World) -> None:
        world.serve(routes=[Route("/one", form="class", limited=ONE)], rules=[])
        assert [world.get("/one", "POST").status for _ in range(3)] == [200, 200, 200]
        assert [world.get("/one", method).status for method in ("HEAD", "GET", "HEAD", "POST")] == [200, 429, 429, 200]

    @pytest.mark.parametrize("wrapped", ["above", "below"])
    @pytest.mark.parametrize("form", ["async", "sync"])
    def test_c79_beside_another_decorator_a_limit_applies_once(self, world: World, wrapped: Any, form: Any) -> None:
        world.serve(routes=[Route("/one", form=form, limited=TWO, wrapped=wrapped)], rules=[])
        assert world.get("/one").header("ratelimit") == '"rpm";r=1;t=30'
        assert [world.get("/one").status for _ in range(2)] == [200, 429]

    @pytest.mark.parametrize("form", ["async", "sync", "class"])
    def test_c80_an_exempt_view_is_never_limited(self, world: World, form: Any) -> None:
        world.serve(routes=[Route("/free", exempt=True, form=form), Route("/paid")])
        replies = [world.get("/free") for _ in range(6)]
        assert {(reply.status, reply.header("ratelimit")) for reply in replies} == {(200, None)}
        assert [world.get("/paid").status for _ in range(3)] == [200, 200, 429]

    def test_c81_a_limited_view_tells_its_limit_whatever_it_answers(self, world: World) -> None:
        async def handler(call: Call) -> Answer:
            return Answer(201, b"own", headers=[("x-own", "2")])

        world.serve(routes=[Route("/one", handler, limited=TWO)], rules=[])
        reply = world.get("/one")
        assert (reply.status, reply.body, reply.header("x-own")) == (201, b"own", "2")
        assert (reply.header("ratelimit"), reply.header("ratelimit-policy")) == ('"rpm";r=1;t=30', '"rpm";q=2;w=60')

    def test_a_limit_at_a_view_and_a_rule_are_told_and_charged_together(self, world: World) -> None:
        limited = {"limits": "hits=1/minute", "key": "ip", "resource": "view"}
        world.serve(routes=[Route("/one", limited=limited)])
        reply = world.get("/one")
        assert reply.header("ratelimit") == '"rpm";r=1;t=30, "hits";r=0;t=60'
        refused = world.get("/one")
        assert (refused.status, refused.json()["violated-policies"]) == (429, ["hits"])

    @on("AFW")
    def test_c85_a_handler_of_the_application_answers_for_a_limited_view(self, world: World) -> None:
        world.serve(routes=[Route("/one", limited=ONE)], rules=[], answer_429=b"of my own")
        _answers_itself(world)

    @on("SALQ")
    def test_c85_a_handler_of_the_application_answers_for_what_a_handler_asks(self, world: World) -> None:
        async def handler(call: Call) -> Answer:
            await call.consume(rpm=1)
            return Answer()

        world.serve(
            routes=[Route("/one", handler)], rules=[{"limits": "3/minute", "key": "ip"}], answer_429=b"of my own"
        )
        _answers_itself(world)

    @pytest.mark.parametrize("form", ["async", "sync"])
    def test_c95_the_current_lease_is_that_of_the_request(self, world: World, form: Any) -> None:
        async def handler(call: Call) -> Answer:
            before = call.lease.statuses
            await call.breathe()
            assert call.lease.statuses == before == call.passed.lease.statuses
            return Answer(body=before[0].entity_id.encode())

        rules = [{"key": lambda request: request.headers["x-who"], "limits": "9/minute"}]
        world.serve(routes=[Route("/", handler, form=form)], rules=rules)
        names = [name for name in "abcdef" for _ in range(3)]
        replies = world.ask_at_once([Ask(headers=[("x-who", name)]) for name in names])
        assert [reply.text for reply in replies] == [f"custom:{name}" for name in names]


def _answers_itself(world: World) -> None:
    assert world.get("/one").status == 200
    reply = world.get("/one")
    assert (reply.status, reply.body) == (429, b"of my own")
    assert reply.header("cache-control") == "no-store"
    assert int(reply.told("retry-after")) >= 1
    assert reply.told("ratelimit").startswith('"rpm";r=0;')
    assert world.left(IP, "9/minute", "nothing-else") == {"rpm": 9}
