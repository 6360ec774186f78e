"""Checks C01 to C11 and C28 to C36: status, Retry-After, bodies, negotiation."""

import logging
import re
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from tests.integrations.drivers import World
from zae_limiter import Limit
from zae_limiter.testing import FaultyRepository, faulty_limiter

pytestmark = pytest.mark.anyio


async def _denied(world: World, **headers: str) -> Any:
    for _ in range(2):
        assert (await world.get()).status_code == 200
    return await world.get(**headers)


async def test_c01_with_quota_left_status_and_body_are_the_applications(world: World) -> None:
    world.serve()
    response = await world.get()
    assert (response.status_code, response.content, response.headers["x-own"]) == (200, b"hello", "1")


async def test_c02_without_quota_the_answer_is_429_and_the_handler_does_not_run(world: World) -> None:
    world.serve()
    response = await _denied(world)
    assert (response.status_code, world.handled) == (429, 2)


@pytest.mark.parametrize(
    ("check", "burst", "amount", "period", "turned_ns", "seconds"),
    [
        ("C03", 1, 1, 1, 640_000_000, "1"),
        ("C04", 1, 1, 1, 0, "1"),
        ("C05", 1, 1, 2, 999_000_000, "2"),
        ("C06", 1, 1, 60, 800_000_000, "60"),
    ],
)
async def test_c03_to_c06_retry_after_rounds_the_exact_wait_up(
    world: World, check: str, burst: int, amount: int, period: int, turned_ns: int, seconds: str
) -> None:
    world.serve(rules=[{"key": "ip", "limits": [Limit.custom("x", burst, amount, period)], "cost": {"x": 1}}])
    await world.get()
    world.clock.turn_ns(turned_ns)
    response = await world.get()
    assert (response.status_code, response.headers["retry-after"]) == (429, seconds), check


async def test_c07_waiting_as_long_as_retry_after_says_admits_the_same_request(world: World) -> None:
    world.serve()
    response = await _denied(world)
    assert re.fullmatch("[1-9][0-9]*", response.headers["retry-after"])
    assert len(response.headers.get_list("retry-after")) == 1
    world.clock.turn(int(response.headers["retry-after"]))
    assert (await world.get()).status_code == 200


async def test_c08_an_http_date_is_not_earlier_than_the_wait(world: World) -> None:
    world.serve(retry_after_format="http-date")
    response = await _denied(world)
    assert response.headers["retry-after"] == "Fri, 15 Jan 2027 08:00:30 GMT"


async def test_c09_of_two_violated_limits_the_longer_wait_is_told(world: World) -> None:
    world.serve(rules=[{"key": "ip", "limits": "1/second; b=5/minute", "cost": {"rps": 1, "b": 5}}])
    await world.get()
    response = await world.get()
    assert response.headers["retry-after"] == "60"
    assert response.json()["violated-policies"] == ["rps", "b"]


async def test_c10_a_cost_above_the_burst_promises_nothing(world: World) -> None:
    world.serve(rules=[{"key": "ip", "limits": "2/minute", "cost": {"rpm": 3}}])
    response = await world.get()
    assert response.status_code == 429
    assert "retry-after" not in response.headers
    assert response.json()["retryable"] is False
    assert ";t=" not in response.headers["ratelimit"]


async def test_c11_jitter_only_adds(world: World) -> None:
    world.serve(retry_after_jitter_seconds=5)
    await _denied(world)
    found = {int((await world.get()).headers["retry-after"]) for _ in range(50)}
    assert found <= set(range(30, 36))
    assert len(found) > 1


@pytest.mark.parametrize("accept", ["*/*", "", "garbage", "image/png", "application/json"])
async def test_c28_and_c31_problem_json_is_the_answer_unless_something_else_is_wanted(
    world: World, accept: str
) -> None:
    world.serve()
    response = await _denied(world, accept=accept)
    body = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert (body["title"], body["status"], body["violated-policies"]) == ("Quota Exceeded", 429, ["rpm"])
    assert body["type"].endswith("#quota-exceeded")
    assert str(body["retry_after"]) == response.headers["retry-after"]


async def test_c29_a_browser_gets_a_page(world: World) -> None:
    world.serve()
    response = await _denied(world, accept="text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "<title>Too Many Requests</title>" in response.text
    assert "30 seconds" in response.text


async def test_c30_plain_text_for_who_wants_it(world: World) -> None:
    world.serve()
    response = await _denied(world, accept="text/plain")
    assert response.headers["content-type"].startswith("text/plain")


async def test_c32_htmx_is_told_not_to_swap(world: World) -> None:
    world.serve()
    response = await _denied(world, hx_request="true")
    assert (response.status_code, response.headers["hx-reswap"]) == (429, "none")
    assert response.headers["hx-trigger"] == '{"zae-limiter:limited": {"retry_after": 30}}'
    assert "HX-Request" in response.headers["vary"]


async def test_c33_no_cache_keeps_a_refusal(world: World) -> None:
    world.serve()
    response = await _denied(world)
    assert response.headers["cache-control"] == "no-store"
    assert "Accept" in response.headers["vary"]
    assert int(response.headers["content-length"]) == len(response.content)


async def test_c34_head_has_the_headers_of_get_and_no_body(world: World) -> None:
    world.serve()
    refused = await _denied(world)
    head = await world.get(method="HEAD")
    assert (head.status_code, head.content) == (429, b"")
    assert head.headers["content-length"] == refused.headers["content-length"]


async def test_c35_a_responder_replaces_the_body_and_not_the_headers(world: World) -> None:
    world.serve(responder=lambda *_: (b'{"slow": "down"}', "application/json"))
    response = await _denied(world)
    assert response.json() == {"slow": "down"}
    assert {"retry-after", "ratelimit", "cache-control"} <= set(response.headers)


async def test_c36_nobody_is_named_in_an_answer_or_a_log(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    limiter, store = faulty_limiter(clock=world.clock)
    await limiter.create_entity("custom:secret-42", parent_id="acme", cascade=True)
    await limiter.set_limits("acme", "1/minute")
    world.serve(limiter=limiter, rules=[{"key": lambda _: "secret-42", "limits": "2/minute"}])
    answers = [await world.get(), await world.get()]
    assert isinstance(store, FaultyRepository)
    store.fail()
    answers.append(await world.get())
    assert [answer.status_code for answer in answers] == [200, 429, 503]
    told = " ".join(f"{answer.headers}{answer.text}" for answer in answers) + caplog.text
    assert "secret-42" not in told
    assert "acme" not in told


async def test_c52_a_refusal_from_inside_the_handler_is_the_same_429(world: World) -> None:
    async def handler(request: Request) -> Response:
        await request.state.zae_limiter.lease.consume(rpm=5)
        return Response("never")

    world.serve(handler, rules=[{"key": "ip", "limits": "10/minute", "cost": 6}])
    response = await world.get()
    assert response.status_code == 429
    assert {"retry-after", "ratelimit", "ratelimit-policy"} <= set(response.headers)
