"""Checks C12 to C27: the RateLimit fields and the older styles; the world parses every field for C17."""

import pytest

from zae_limiter.models import Limit
from zae_limiter_http.conformance.site import Answer, Call
from zae_limiter_http.conformance.world import World, parsed

THREE = [
    Limit.per_minute("rpm", 100),
    Limit.per_minute("tpm", 90_000, unit="tokens"),
    Limit.per_day("rpd", 1_000),
]


class Fields:
    """What the headers tell."""

    def test_c12_one_limit_is_told_exactly(self, world: World) -> None:
        world.serve(rules=[{"key": "ip", "limits": "100/minute"}])
        reply = world.get()
        assert reply.header("ratelimit-policy") == '"rpm";q=100;w=60'
        assert reply.header("ratelimit") == '"rpm";r=99;t=60'
        assert "pk" not in reply.told("ratelimit")

    def test_c13_a_burst_above_the_rate_is_told_apart(self, world: World) -> None:
        world.serve(rules=[{"key": "ip", "limits": "100/minute+200"}])
        reply = world.get()
        assert reply.header("ratelimit-policy") == '"rpm";q=100;w=60;zae-burst=200'
        assert reply.header("ratelimit") == '"rpm";r=199;t=120'

    def test_c14_c17_and_c18_three_limits_stand_in_one_list_in_their_order(self, world: World) -> None:
        world.serve(rules=[{"key": "ip", "limits": THREE, "cost": {"rpm": 1, "tpm": 500}}])
        reply = world.get()
        policy = reply.told("ratelimit-policy")
        assert reply.lines("ratelimit-policy") == [policy]
        assert policy == '"rpm";q=100;w=60, "tpm";q=90000;qu="tokens";w=60, "rpd";q=1000;w=86400'
        assert list(parsed(policy)) == ["rpm", "tpm", "rpd"]
        assert parsed(reply.told("ratelimit"))["tpm"] == {"r": 89_500, "t": 60}

    def test_c15_a_refusal_lists_the_violated_limit_and_every_policy(self, world: World) -> None:
        world.serve(rules=[{"key": "ip", "limits": THREE, "cost": {"rpm": 1, "tpm": 50_000}}])
        world.get()
        reply = world.get()
        state = parsed(reply.told("ratelimit"))
        assert list(state) == ["tpm"]
        assert list(parsed(reply.told("ratelimit-policy"))) == ["rpm", "tpm", "rpd"]
        assert state["tpm"]["t"] <= int(reply.told("retry-after"))

    def test_c16_debt_is_shown_as_nothing_left(self, world: World) -> None:
        async def handler(call: Call) -> Answer:
            await call.adjust(tpm=105_000)
            return Answer()

        world.serve(handler, rules=[{"key": "ip", "limits": "tpm=90000/minute", "cost": {"tpm": 0}}])
        assert world.get().header("ratelimit") == '"tpm";r=0;t=11'

    @pytest.mark.parametrize(("dialect", "state"), [("editors", '"rpm";a=1;w=30'), ("both", '"rpm";r=1;t=30;a=1;w=30')])
    def test_c19_the_dialects_name_their_parameters(self, world: World, dialect: str, state: str) -> None:
        world.serve(ratelimit_dialect=dialect)
        assert world.get().header("ratelimit") == state

    def test_c20_a_redirect_carries_no_fields_and_is_charged(self, world: World) -> None:
        async def handler(call: Call) -> Answer:
            return Answer(302, b"", headers=[("location", "/other")])

        world.serve(handler)
        reply = world.get()
        assert (reply.status, reply.header("ratelimit"), reply.header("retry-after")) == (302, None, None)
        assert world.left("ip4:203.0.113.9")["rpm"] == 1

    def test_c21_what_a_cache_may_replay_has_no_state(self, world: World) -> None:
        async def handler(call: Call) -> Answer:
            return Answer(headers=[("cache-control", "public, max-age=60")])

        world.serve(handler)
        assert world.get().header("ratelimit") is None

    def test_c22_the_fields_of_an_inner_limiter_stay(self, world: World) -> None:
        async def handler(call: Call) -> Answer:
            return Answer(headers=[("ratelimit", '"inner";r=1;t=1')])

        world.serve(handler)
        assert list(parsed(world.get().told("ratelimit"))) == ["inner", "rpm"]

    def test_c23_the_partition_key_is_the_resource_where_that_is_wanted(self, world: World) -> None:
        rules = [{"key": "ip", "limits": "100/minute", "resource": "openai/gpt-4"}]
        world.serve(rules=rules, partition_key="resource")
        reply = world.get()
        for name in ("ratelimit", "ratelimit-policy"):
            assert parsed(reply.told(name))["rpm"]["pk"] == b"openai/gpt-4"

    def test_c24_the_older_style_tells_the_tightest_limit(self, world: World) -> None:
        world.serve(header_style=["x"])
        reply = world.get()
        found = [reply.header(f"x-ratelimit-{name}") for name in ("limit", "remaining", "reset")]
        assert found == ["2", "1", str(1_800_000_000 + 30)]
        world.serve(header_style=["x"], reset_format="delta")
        assert world.get().header("x-ratelimit-reset") == "60"

    def test_c25_the_openai_style_has_go_durations_and_milliseconds(self, world: World) -> None:
        limits = [Limit("tpm", 100, 100, 100, 60, "tokens", "tokens")]
        world.serve(header_style=["openai"], rules=[{"key": "ip", "limits": limits, "cost": {"tpm": 100}}])
        assert world.get().header("x-ratelimit-reset-tokens") == "1m0s"
        assert int(world.get().told("retry-after-ms")) == 60_000

    def test_c26_without_a_style_only_retry_after_is_left(self, world: World) -> None:
        world.serve(header_style=[])
        assert [world.get().header("ratelimit") for _ in range(2)] == [None, None]
        refused = world.get()
        assert (refused.header("ratelimit"), refused.header("retry-after")) == (None, "30")

    def test_c27_a_siblings_traffic_shows_only_when_the_parent_refuses(self, world: World) -> None:
        for name in ("custom:a", "custom:b"):
            world.done(world.limiter.create_entity(name, parent_id="acme", cascade=True))
        world.done(world.limiter.set_limits("acme", "3/minute"))
        world.serve(rules=[{"key": lambda request: request.headers["x-who"], "limits": "2/minute"}])
        idle = world.get(x_who="a")
        world.clock.turn(60)
        world.get(x_who="b")
        busy = world.get(x_who="a")
        assert idle.header("ratelimit") == busy.header("ratelimit")
        world.get(x_who="b")
        refused = world.get(x_who="a")
        assert (refused.status, refused.header("ratelimit")) == (429, '"rpm";r=0;t=20')
