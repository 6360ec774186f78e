"""Checks C37 to C51 and C53 to C56: methods, availability, what is charged and kept."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from tests.integrations.drivers import World
from zae_limiter.testing import faulty_limiter
from zae_limiter_asgi import Rule, ZaeLimiterMiddleware, current_lease

pytestmark = pytest.mark.anyio

IP = "ip4:203.0.113.9"


async def test_c37_a_denied_answer_keeps_its_cors_headers(world: World) -> None:
    exposed = ["Retry-After", "RateLimit", "RateLimit-Policy"]
    world.serve(wrap=lambda app: CORSMiddleware(app, allow_origins=["*"], expose_headers=exposed))
    for _ in range(2):
        await world.get(origin="https://page.example")
    response = await world.get(origin="https://page.example")
    assert response.status_code == 429
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["access-control-expose-headers"] == ", ".join(exposed)


async def test_c38_and_c39_options_costs_nothing_and_has_no_fields(world: World) -> None:
    world.serve(rules=[{"key": "ip", "limits": "1/minute"}])
    await world.get()
    headers = {"origin": "https://page.example", "access_control_request_method": "GET"}
    for sent in ({}, headers):
        response = await world.get(method="OPTIONS", **sent)
        assert response.status_code == 200
        assert "ratelimit" not in response.headers


async def test_c40_options_is_charged_where_it_is_not_exempt(world: World) -> None:
    world.serve(exempt_methods=[])
    await world.get(method="OPTIONS")
    assert (await world.left(IP))["rpm"] == 1


async def test_c41_get_and_head_share_a_bucket(world: World) -> None:
    world.serve()
    await world.get()
    await world.get(method="HEAD")
    assert (await world.get()).status_code == 429


async def test_c42_an_exempt_path_is_never_limited(world: World) -> None:
    world.serve(exempt_paths=["/other"])
    answers = [await world.get("/other") for _ in range(6)]
    assert {answer.status_code for answer in answers} == {200}
    assert not any("ratelimit" in answer.headers for answer in answers)


async def test_c43_without_a_store_block_answers_503(world: World) -> None:
    limiter, store = faulty_limiter(clock=world.clock)
    store.fail()
    world.serve(limiter=limiter)
    response = await world.get()
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert (response.json()["type"], response.json()["title"]) == ("about:blank", "Service Unavailable")
    assert "ratelimit" not in response.headers


async def test_c44_without_a_store_allow_lets_pass_and_says_so(world: World) -> None:
    degraded: list[bool] = []

    async def handler(request: Request) -> Response:
        degraded.append(request.state.zae_limiter.degraded)
        return Response("served")

    limiter, store = faulty_limiter(clock=world.clock)
    store.fail()
    world.serve(handler, limiter=limiter, on_unavailable="allow")
    response = await world.get()
    assert (response.status_code, degraded) == (200, [True])
    assert "ratelimit" not in response.headers


async def test_c45_a_store_that_does_not_answer_is_unavailable_after_the_timeout(world: World) -> None:
    limiter, store = faulty_limiter(clock=world.clock)
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    store.before("debit", lambda: asyncio.shield(never))
    world.serve(limiter=limiter, limiter_timeout=0.05)
    assert (await asyncio.wait_for(world.get(), 0.55)).status_code == 503
    never.set_result(None)
    for _ in range(50):
        await asyncio.sleep(0)  # lets the call that was given up come to its end
    assert (await limiter.available(IP, "http", "2/minute"))["rpm"] == 2


async def test_c46_a_rule_without_limits_is_an_error_and_no_429(world: World) -> None:
    world.serve(rules=[{"key": "ip"}])
    assert (await world.get()).status_code == 500


@pytest.mark.parametrize(("refund_on", "left"), [("never", 1), ("5xx", 2)])
async def test_c47_and_c48_a_failed_handler_keeps_the_charge_unless_it_is_refunded(
    world: World, refund_on: str, left: int
) -> None:
    async def handler(request: Request) -> Response:
        raise ZeroDivisionError

    world.serve(handler, refund_on=refund_on)
    assert (await world.get()).status_code == 500
    assert (await world.left(IP))["rpm"] == left


@pytest.mark.parametrize("status", [400, 404])
async def test_c49_a_clients_error_keeps_the_charge(world: World, status: int) -> None:
    async def handler(request: Request) -> Response:
        return Response("no", status)

    world.serve(handler)
    assert (await world.get()).status_code == status
    assert (await world.left(IP))["rpm"] == 1


async def test_c50_a_second_rule_that_refuses_leaves_the_first_bucket_alone(world: World) -> None:
    first = {"key": "ip", "limits": "10/minute", "name": "first"}
    second = {"key": "ip", "limits": "1/minute", "name": "second"}
    world.serve(rules=[first, second])
    assert [(await world.get()).status_code for _ in range(3)] == [200, 429, 429]
    assert (await world.left(IP, "10/minute", "first"))["rpm"] == 9


async def test_c51_installed_twice_a_rule_is_charged_once(world: World) -> None:
    rule = Rule(key="ip", limits="2/minute")

    def again(app: Any) -> Any:
        return ZaeLimiterMiddleware(app, limiter=world.limiter, rules=[rule])

    world.serve(rules=[rule], wrap=again)
    response = await world.get()
    assert response.headers["ratelimit"] == '"rpm";r=1;t=30'
    assert (await world.left(IP))["rpm"] == 1


async def test_c53_an_adjustment_in_the_handler_shows_in_the_headers(world: World) -> None:
    async def handler(request: Request) -> Response:
        await current_lease().adjust(tpm=500)
        return Response("done")

    world.serve(handler, rules=[{"key": "ip", "limits": "tpm=1000/minute", "cost": {"tpm": 100}}])
    assert (await world.get()).headers["ratelimit"].startswith('"tpm";r=400;')
    assert await world.left(IP, "tpm=1000/minute") == {"tpm": 400}


async def test_c54_an_adjustment_in_the_stream_lands_after_the_headers(world: World) -> None:
    async def handler(request: Request) -> Response:
        lease = current_lease()

        async def parts() -> AsyncIterator[bytes]:
            yield b"one"
            await lease.adjust(tpm=500)
            yield b"two"

        return StreamingResponse(parts())

    world.serve(handler, rules=[{"key": "ip", "limits": "tpm=1000/minute", "cost": {"tpm": 100}}])
    response = await world.get()
    assert response.headers["ratelimit"].startswith('"tpm";r=900;')
    assert await world.left(IP, "tpm=1000/minute") == {"tpm": 400}


async def test_c55_a_cancelled_request_keeps_its_charge_and_what_was_adjusted(world: World) -> None:
    adjusted = asyncio.Event()

    async def handler(request: Request) -> Response:
        await current_lease().adjust(tpm=200)
        adjusted.set()
        await asyncio.get_running_loop().create_future()
        return Response("never")

    world.serve(handler, rules=[{"key": "ip", "limits": "tpm=1000/minute", "cost": {"tpm": 100}}])
    asking = asyncio.ensure_future(world.get())
    await adjusted.wait()
    asking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asking
    assert await world.left(IP, "tpm=1000/minute") == {"tpm": 700}


async def test_c56_of_fifty_at_once_exactly_the_quota_is_admitted(world: World) -> None:
    world.serve(rules=[{"key": "ip", "limits": "10/minute"}])
    answers = await asyncio.gather(*(world.get() for _ in range(50)))
    assert sum(answer.status_code == 200 for answer in answers) == 10
