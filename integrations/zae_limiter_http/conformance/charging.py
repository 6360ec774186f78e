"""Checks C47 to C51 and C53 to C56: what is charged, kept and given back."""

import logging
from collections.abc import AsyncIterator

import pytest

from zae_limiter_http.conformance.applies import on
from zae_limiter_http.conformance.asking import Ask
from zae_limiter_http.conformance.methods import IP
from zae_limiter_http.conformance.site import Answer, Call
from zae_limiter_http.conformance.world import World

TOKENS = {"key": "ip", "limits": "tpm=1000/minute", "cost": {"tpm": 100}}


class Charging:
    """What a request costs in the end."""

    @pytest.mark.parametrize(("refund_on", "left"), [("never", 1), ("5xx", 2)])
    def test_c47_and_c48_a_failed_handler_keeps_the_charge_unless_it_is_refunded(
        self, world: World, refund_on: str, left: int
    ) -> None:
        async def handler(call: Call) -> Answer:
            raise ZeroDivisionError

        world.serve(handler, refund_on=refund_on)
        assert world.get().status == 500
        assert world.left(IP)["rpm"] == left

    @pytest.mark.parametrize("status", [400, 404])
    def test_c49_a_clients_error_keeps_the_charge(self, world: World, status: int) -> None:
        async def handler(call: Call) -> Answer:
            return Answer(status, b"no")

        world.serve(handler)
        assert world.get().status == status
        assert world.left(IP)["rpm"] == 1

    def test_c50_a_second_rule_that_refuses_leaves_the_first_bucket_alone(self, world: World) -> None:
        first = {"key": "ip", "limits": "10/minute", "name": "first"}
        second = {"key": "ip", "limits": "1/minute", "name": "second"}
        world.serve(rules=[first, second])
        assert [world.get().status for _ in range(3)] == [200, 429, 429]
        assert world.left(IP, "10/minute", "first")["rpm"] == 9

    def test_c51_installed_twice_a_rule_is_charged_once(self, world: World) -> None:
        world.serve(installed=2)
        reply = world.get()
        assert reply.header("ratelimit") == '"rpm";r=1;t=30'
        assert world.left(IP)["rpm"] == 1

    def test_c53_an_adjustment_in_the_handler_shows_in_the_headers(self, world: World) -> None:
        async def handler(call: Call) -> Answer:
            await call.adjust(tpm=500)
            return Answer()

        world.serve(handler, rules=[TOKENS])
        assert world.get().told("ratelimit").startswith('"tpm";r=400;')
        assert world.left(IP, "tpm=1000/minute") == {"tpm": 400}

    def test_c54_an_adjustment_in_the_stream_lands_after_the_headers(self, world: World) -> None:
        async def handler(call: Call) -> Answer:
            lease = call.lease
            assert lease.is_open

            async def parts() -> AsyncIterator[bytes]:
                yield b"one"
                await call.adjust_of(lease, tpm=500)
                yield b"two"

            return Answer(parts=parts())

        world.serve(handler, rules=[TOKENS])
        reply = world.get()
        assert reply.body == b"onetwo"
        assert reply.told("ratelimit").startswith('"tpm";r=900;')
        assert world.left(IP, "tpm=1000/minute") == {"tpm": 400}

    @pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
    @on("SALQG")
    def test_c55_a_client_that_leaves_mid_stream_keeps_its_charge(
        self, world: World, spec_version: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        _leaves(world, Ask(leaves_after=1, spec_version=spec_version), caplog)

    @on("WF")
    def test_c55_a_body_that_is_closed_early_keeps_its_charge(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        _leaves(world, Ask(leaves_after=1), caplog)

    def test_c56_of_fifty_at_once_exactly_the_quota_is_admitted(self, world: World) -> None:
        world.serve(rules=[{"key": "ip", "limits": "10/minute"}])
        answers = world.ask_at_once([Ask()] * 50)
        assert sorted(answer.status for answer in answers) == [200] * 10 + [429] * 40


def _leaves(world: World, ask: Ask, caplog: pytest.LogCaptureFixture) -> None:
    leases: list[object] = []

    async def handler(call: Call) -> Answer:
        lease = call.lease
        leases.append(lease)
        await call.adjust(tpm=200)

        async def parts() -> AsyncIterator[bytes]:
            for _ in range(10_000):
                yield b"part"
                await call.breathe()
            raise AssertionError("nobody has ended the stream")

        return Answer(parts=parts())

    world.serve(handler, rules=[TOKENS])
    with caplog.at_level(logging.ERROR):
        reply = world.ask(ask)
    assert (reply.status, reply.is_complete) == (200, False)
    assert world.left(IP, "tpm=1000/minute") == {"tpm": 700}
    assert [getattr(lease, "is_open", None) for lease in leases] == [False]
    assert caplog.records == []
