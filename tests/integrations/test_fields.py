"""Checks C12 to C27: the RateLimit fields and the older styles."""

from typing import Any

import http_sfv
import pytest
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tests.integrations.drivers import World
from zae_limiter import Limit

pytestmark = pytest.mark.anyio

THREE = [
    Limit.per_minute("rpm", 100),
    Limit.per_minute("tpm", 90_000, unit="tokens"),
    Limit.per_day("rpd", 1_000),
]


def _parsed(value: str) -> Any:
    found = http_sfv.List()  # type: ignore[attr-defined]
    found.parse(value.encode())
    assert str(found) == value
    return {item.value: dict(item.params) for item in found}


async def test_c12_one_limit_is_told_exactly(world: World) -> None:
    world.serve(rules=[{"key": "ip", "limits": "100/minute"}])
    response = await world.get()
    assert response.headers["ratelimit-policy"] == '"rpm";q=100;w=60'
    assert response.headers["ratelimit"] == '"rpm";r=99;t=60'


async def test_c13_a_burst_above_the_rate_is_told_apart(world: World) -> None:
    world.serve(rules=[{"key": "ip", "limits": "100/minute+200"}])
    response = await world.get()
    assert response.headers["ratelimit-policy"] == '"rpm";q=100;w=60;zae-burst=200'
    assert response.headers["ratelimit"] == '"rpm";r=199;t=120'


async def test_c14_c17_and_c18_three_limits_stand_in_one_list_in_their_order(world: World) -> None:
    world.serve(rules=[{"key": "ip", "limits": THREE, "cost": {"rpm": 1, "tpm": 500}}])
    response = await world.get()
    policy = response.headers["ratelimit-policy"]
    assert policy == '"rpm";q=100;w=60, "tpm";q=90000;qu="tokens";w=60, "rpd";q=1000;w=86400'
    assert list(_parsed(policy)) == ["rpm", "tpm", "rpd"]
    assert _parsed(response.headers["ratelimit"])["tpm"] == {"r": 89_500, "t": 60}


async def test_c15_a_refusal_lists_the_violated_limit_and_every_policy(world: World) -> None:
    world.serve(rules=[{"key": "ip", "limits": THREE, "cost": {"rpm": 1, "tpm": 50_000}}])
    await world.get()
    response = await world.get()
    state = _parsed(response.headers["ratelimit"])
    assert list(state) == ["tpm"]
    assert list(_parsed(response.headers["ratelimit-policy"])) == ["rpm", "tpm", "rpd"]
    assert state["tpm"]["t"] <= int(response.headers["retry-after"])


async def test_c16_debt_is_shown_as_nothing_left(world: World) -> None:
    async def handler(request: Request) -> Response:
        await request.state.zae_limiter.lease.adjust(tpm=105_000)
        return Response("owed")

    world.serve(handler, rules=[{"key": "ip", "limits": "tpm=90000/minute", "cost": {"tpm": 0}}])
    assert (await world.get()).headers["ratelimit"] == '"tpm";r=0;t=11'


@pytest.mark.parametrize(("dialect", "state"), [("editors", '"rpm";a=1;w=30'), ("both", '"rpm";r=1;t=30;a=1;w=30')])
async def test_c19_the_dialects_name_their_parameters(world: World, dialect: str, state: str) -> None:
    world.serve(ratelimit_dialect=dialect)
    assert (await world.get()).headers["ratelimit"] == state


async def test_c20_a_redirect_carries_no_fields_and_is_charged(world: World) -> None:
    async def handler(request: Request) -> Response:
        return RedirectResponse("/other", 302)

    world.serve(handler)
    response = await world.get()
    assert "ratelimit" not in response.headers
    assert (await world.left("ip4:203.0.113.9"))["rpm"] == 1


async def test_c21_what_a_cache_may_replay_has_no_state(world: World) -> None:
    async def handler(request: Request) -> Response:
        return Response("page", headers={"cache-control": "public, max-age=60"})

    world.serve(handler)
    assert "ratelimit" not in (await world.get()).headers


async def test_c22_the_fields_of_an_inner_limiter_stay(world: World) -> None:
    async def handler(request: Request) -> Response:
        return Response("page", headers={"ratelimit": '"inner";r=1;t=1'})

    world.serve(handler)
    assert list(_parsed((await world.get()).headers["ratelimit"])) == ["inner", "rpm"]


async def test_c23_the_partition_key_is_the_resource_where_that_is_wanted(world: World) -> None:
    rules = [{"key": "ip", "limits": "100/minute", "resource": "openai/gpt-4"}]
    world.serve(rules=rules, partition_key="resource")
    response = await world.get()
    for name in ("ratelimit", "ratelimit-policy"):
        assert _parsed(response.headers[name])["rpm"]["pk"] == b"openai/gpt-4"


async def test_c24_the_older_style_tells_the_tightest_limit(world: World) -> None:
    world.serve(header_style=["x"])
    response = await world.get()
    assert response.headers["x-ratelimit-limit"] == "2"
    assert response.headers["x-ratelimit-remaining"] == "1"
    assert response.headers["x-ratelimit-reset"] == str(1_800_000_000 + 30)
    world.serve(header_style=["x"], reset_format="delta")
    assert (await world.get()).headers["x-ratelimit-reset"] == "60"


async def test_c25_the_openai_style_has_go_durations_and_milliseconds(world: World) -> None:
    limits = [Limit("tpm", 100, 100, 100, 60, "tokens", "tokens")]
    world.serve(header_style=["openai"], rules=[{"key": "ip", "limits": limits, "cost": {"tpm": 100}}])
    response = await world.get()
    assert response.headers["x-ratelimit-reset-tokens"] == "1m0s"
    refused = await world.get()
    assert int(refused.headers["retry-after-ms"]) == 60_000


async def test_c26_without_a_style_only_retry_after_is_left(world: World) -> None:
    world.serve(header_style=[])
    assert "ratelimit" not in (await world.get()).headers
    await world.get()
    refused = await world.get()
    assert "ratelimit" not in refused.headers
    assert refused.headers["retry-after"] == "30"


async def test_c27_a_siblings_traffic_shows_only_when_the_parent_refuses(world: World) -> None:
    for name in ("custom:a", "custom:b"):
        await world.limiter.create_entity(name, parent_id="acme", cascade=True)
    await world.limiter.set_limits("acme", "3/minute")
    world.serve(rules=[{"key": lambda request: request.headers["x-who"], "limits": "2/minute"}])
    idle = await world.get(x_who="a")
    world.clock.turn(60)
    await world.get(x_who="b")
    busy = await world.get(x_who="a")
    assert idle.headers["ratelimit"] == busy.headers["ratelimit"]
    await world.get(x_who="b")
    refused = await world.get(x_who="a")
    assert (refused.status_code, refused.headers["ratelimit"]) == (429, '"rpm";r=0;t=20')
