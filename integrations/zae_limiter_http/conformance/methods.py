"""Checks C37 to C46: methods, exemptions, CORS, and a store that cannot be used."""

import asyncio
import time

from zae_limiter.testing import FaultyRepository
from zae_limiter_http.conformance.applies import on
from zae_limiter_http.conformance.asking import Reply
from zae_limiter_http.conformance.site import Answer, Call
from zae_limiter_http.conformance.world import World

IP = "ip4:203.0.113.9"


class Methods:
    """What is free, and what happens without a store."""

    def test_c37_a_denied_answer_keeps_its_cors_headers(self, world: World) -> None:
        world.serve(cors=True)
        for _ in range(2):
            world.get(origin="https://page.example")
        reply = world.get(origin="https://page.example")
        assert reply.status == 429
        assert reply.header("access-control-allow-origin") in ("*", "https://page.example")
        exposed = {name.strip().lower() for name in reply.told("access-control-expose-headers").split(",")}
        assert {"retry-after", "ratelimit", "ratelimit-policy"} <= exposed

    def test_c38_a_preflight_costs_nothing(self, world: World) -> None:
        world.serve(cors=True, rules=[{"key": "ip", "limits": "1/minute"}])
        world.get()
        headers = {"origin": "https://page.example", "access_control_request_method": "GET"}
        replies = [world.get(method="OPTIONS", **headers) for _ in range(3)]
        assert {reply.status // 100 for reply in replies} == {2}

    def test_c39_options_costs_nothing_and_has_no_fields(self, world: World) -> None:
        world.serve()
        replies = [world.get(method="OPTIONS") for _ in range(3)]
        assert {(reply.status // 100, reply.header("ratelimit")) for reply in replies} == {(2, None)}
        assert world.left(IP)["rpm"] == 2

    def test_c40_options_is_charged_where_it_is_not_exempt(self, world: World) -> None:
        world.serve(exempt_methods=[])
        world.get(method="OPTIONS")
        assert world.left(IP)["rpm"] == 1

    def test_c41_get_and_head_share_a_bucket(self, world: World) -> None:
        world.serve()
        world.get()
        world.get(method="HEAD")
        assert world.get().status == 429

    def test_c42_an_exempt_path_is_never_limited(self, world: World) -> None:
        world.serve(exempt_paths=["/other"])
        answers = [world.get("/other") for _ in range(6)]
        assert {(answer.status, answer.header("ratelimit")) for answer in answers} == {(200, None)}

    def test_c43_without_a_store_block_answers_503(self, world: World) -> None:
        store = world.with_faults()
        store.fail()
        world.serve()
        _is_unavailable(world.get())

    def test_c44_without_a_store_allow_lets_pass_and_says_so(self, world: World) -> None:
        degraded: list[bool] = []

        async def handler(call: Call) -> Answer:
            degraded.append(call.passed.degraded)
            return Answer(body=b"served")

        world.with_faults().fail()
        world.serve(handler, on_unavailable="allow")
        reply = world.get()
        assert (reply.status, degraded, reply.header("ratelimit")) == (200, [True], None)

    @on("SALQG")
    def test_c45_a_store_that_does_not_answer_is_unavailable_after_the_timeout(self, world: World) -> None:
        store = world.with_faults()
        never: list[asyncio.Future[None]] = []

        def wait() -> asyncio.Future[None]:
            never.append(asyncio.get_running_loop().create_future())
            return asyncio.shield(never[-1])

        store.before("debit", wait)
        world.serve(limiter_timeout=0.05)
        _is_unavailable_in_time(world)

        async def come_to_its_end() -> None:
            for each in never:
                each.set_result(None)
            for _ in range(50):
                await asyncio.sleep(0)

        world.done(come_to_its_end())
        assert world.left(IP)["rpm"] == 2

    @on("WF")
    def test_c45_a_blocking_store_gives_up_after_the_timeout(self, world: World) -> None:
        store: FaultyRepository = world.with_faults()
        store.fail("debit", error=TimeoutError("no answer within the deadline"))
        world.serve(limiter_timeout=0.05)
        _is_unavailable_in_time(world)

    def test_c46_a_rule_without_limits_is_an_error_and_no_429(self, world: World) -> None:
        world.serve(rules=[{"key": "ip"}])
        assert world.get().status == 500


def _is_unavailable(reply: Reply) -> None:
    assert (reply.status, reply.header("retry-after")) == (503, "5")
    assert (reply.json()["type"], reply.json()["title"]) == ("about:blank", "Service Unavailable")
    assert reply.header("cache-control") == "no-store"
    assert reply.header("ratelimit") is None


def _is_unavailable_in_time(world: World) -> None:
    seconds: list[float] = []
    # A busy machine may hold one request up, and two.
    while not seconds or (min(seconds) >= 0.55 and len(seconds) < 3):
        started = time.monotonic()
        _is_unavailable(world.get())
        seconds.append(time.monotonic() - started)
    assert min(seconds) < 0.55
