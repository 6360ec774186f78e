"""Checks C01 to C11, C28 to C36 and C52: status, Retry-After, bodies, negotiation."""

import logging
import re

import pytest

from zae_limiter.models import Limit
from zae_limiter_http.conformance.asking import Reply
from zae_limiter_http.conformance.site import Answer, Call
from zae_limiter_http.conformance.world import World


def denied(world: World, **headers: str) -> Reply:
    """The reply to a third request, after two that were granted."""
    for _ in range(2):
        assert world.get().status == 200
    return world.get(**headers)


class Refusals:
    """What a refusal is."""

    def test_c01_with_quota_left_status_and_body_are_the_applications(self, world: World) -> None:
        world.serve()
        reply = world.get()
        assert (reply.status, reply.body, reply.header("x-own")) == (200, b"hello", "1")

    def test_c02_without_quota_the_answer_is_429_and_the_handler_does_not_run(self, world: World) -> None:
        world.serve()
        reply = denied(world)
        assert (reply.status, world.handled) == (429, 2)

    @pytest.mark.parametrize(
        ("check", "period", "turned_ns", "seconds"),
        [
            ("C03", 1, 640_000_000, "1"),
            ("C04", 1, 0, "1"),
            ("C05", 2, 999_000_000, "2"),
            ("C06", 60, 800_000_000, "60"),
        ],
    )
    def test_c03_to_c06_retry_after_rounds_the_exact_wait_up(
        self, world: World, check: str, period: int, turned_ns: int, seconds: str
    ) -> None:
        world.serve(rules=[{"key": "ip", "limits": [Limit.custom("x", 1, 1, period)], "cost": {"x": 1}}])
        world.get()
        world.clock.turn_ns(turned_ns)
        reply = world.get()
        assert (reply.status, reply.header("retry-after")) == (429, seconds), check

    def test_c07_waiting_as_long_as_retry_after_says_admits_the_same_request(self, world: World) -> None:
        world.serve()
        reply = denied(world)
        assert re.fullmatch("[1-9][0-9]*", reply.told("retry-after"))
        assert len(reply.lines("retry-after")) == 1
        world.clock.turn(int(reply.told("retry-after")))
        assert world.get().status == 200

    def test_c08_an_http_date_is_not_earlier_than_the_wait(self, world: World) -> None:
        world.serve(retry_after_format="http-date")
        assert denied(world).header("retry-after") == "Fri, 15 Jan 2027 08:00:30 GMT"

    def test_c09_of_two_violated_limits_the_longer_wait_is_told(self, world: World) -> None:
        world.serve(rules=[{"key": "ip", "limits": "1/second; b=5/minute", "cost": {"rps": 1, "b": 5}}])
        world.get()
        reply = world.get()
        assert reply.header("retry-after") == "60"
        assert reply.json()["violated-policies"] == ["rps", "b"]

    def test_c10_a_cost_above_the_burst_promises_nothing(self, world: World) -> None:
        world.serve(rules=[{"key": "ip", "limits": "2/minute", "cost": {"rpm": 3}}])
        reply = world.get()
        assert (reply.status, reply.header("retry-after")) == (429, None)
        assert reply.json()["retryable"] is False
        assert ";t=" not in reply.told("ratelimit")

    def test_c11_jitter_only_adds(self, world: World) -> None:
        world.serve(retry_after_jitter_seconds=5)
        denied(world)
        found = {int(world.get().told("retry-after")) for _ in range(50)}
        assert found <= set(range(30, 36))
        assert len(found) > 1

    @pytest.mark.parametrize("accept", ["*/*", "", "garbage", "image/png", "application/json"])
    def test_c28_and_c31_problem_json_is_the_answer_unless_something_else_is_wanted(
        self, world: World, accept: str
    ) -> None:
        world.serve()
        reply = denied(world, accept=accept)
        body = reply.json()
        assert reply.header("content-type") == "application/problem+json"
        assert (body["title"], body["status"], body["violated-policies"]) == ("Quota Exceeded", 429, ["rpm"])
        assert body["type"].endswith("#quota-exceeded")
        assert body["detail"]
        assert str(body["retry_after"]) == reply.header("retry-after")

    def test_c29_a_browser_gets_a_page(self, world: World) -> None:
        world.serve()
        reply = denied(world, accept="text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
        assert reply.header("content-type") == "text/html; charset=utf-8"
        assert "<title>Too Many Requests</title>" in reply.text
        assert "30 seconds" in reply.text

    def test_c30_plain_text_for_who_wants_it(self, world: World) -> None:
        world.serve()
        assert denied(world, accept="text/plain").told("content-type").startswith("text/plain")

    def test_c32_htmx_is_told_not_to_swap(self, world: World) -> None:
        world.serve()
        reply = denied(world, hx_request="true")
        assert (reply.status, reply.header("hx-reswap")) == (429, "none")
        assert reply.header("hx-trigger") == '{"zae-limiter:limited": {"retry_after": 30}}'
        assert "HX-Request" in reply.told("vary")

    def test_c33_no_cache_keeps_a_refusal(self, world: World) -> None:
        world.serve()
        reply = denied(world)
        assert reply.header("cache-control") == "no-store"
        assert "Accept" in reply.told("vary")
        assert int(reply.told("content-length")) == len(reply.body)

    def test_c34_head_has_the_headers_of_get_and_no_body(self, world: World) -> None:
        world.serve()
        refused = denied(world)
        head = world.get(method="HEAD")
        assert (head.status, head.body) == (429, b"")
        assert sorted(head.headers) == sorted(refused.headers)

    def test_c35_a_responder_replaces_the_body_and_not_the_headers(self, world: World) -> None:
        world.serve(responder=lambda *_: (b'{"slow": "down"}', "application/json"))
        reply = denied(world)
        assert reply.json() == {"slow": "down"}
        assert {"retry-after", "ratelimit", "cache-control"} <= {name for name, _ in reply.headers}

    def test_c36_nobody_is_named_in_an_answer_or_a_log(self, world: World, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        store = world.with_faults()
        world.done(world.limiter.create_entity("custom:secret-42", parent_id="acme", cascade=True))
        world.done(world.limiter.set_limits("acme", "1/minute"))
        world.serve(rules=[{"key": lambda _: "secret-42", "limits": "2/minute"}])
        answers = [world.get(), world.get()]
        store.fail()
        answers.append(world.get())
        assert [answer.status for answer in answers] == [200, 429, 503]
        told = " ".join(f"{answer.headers}{answer.text}" for answer in answers) + caplog.text
        assert "secret-42" not in told
        assert "acme" not in told

    def test_c52_a_refusal_from_inside_the_handler_is_the_same_429(self, world: World) -> None:
        async def handler(call: Call) -> Answer:
            await call.consume(rpm=5)
            return Answer()

        world.serve(handler, rules=[{"key": "ip", "limits": "10/minute", "cost": 6}])
        reply = world.get()
        assert reply.status == 429
        assert {"retry-after", "ratelimit", "ratelimit-policy", "cache-control"} <= {name for name, _ in reply.headers}
