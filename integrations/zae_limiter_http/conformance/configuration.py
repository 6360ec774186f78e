"""Checks C96 to C100 and C102: a configuration that cannot work is told at once, and applications keep apart."""

import traceback
from typing import Any

import pytest

from zae_limiter_http.conformance.applies import on
from zae_limiter_http.conformance.site import Answer, Call
from zae_limiter_http.conformance.world import World
from zae_limiter_http.rule import SettingsError

SECRET = "very-secret-0815"


class Configuration:
    """What is told before the first request."""

    @on("SALQF")
    def test_c96_every_mistake_is_told_at_once_with_its_place(self, world: World) -> None:
        rules = [{"key": "ipp", "limits": "5/month"}, {"limits": ["1/minute"], "cost": {"nope": 1, "rpm": -1}}]
        told = _mistakes(world, rules=rules, header_style=["y"])
        for place in ("rules[0].key", "rules[0].limits", "rules[1].cost.nope", "rules[1].cost.rpm", "header_style[0]"):
            assert any(mistake.startswith(place) for mistake in told), (place, told)

    @on("SALQF")
    def test_c97_an_unknown_name_is_told_with_the_nearest_that_is_known(self, world: World) -> None:
        told = _mistakes(world, rules=[{"limits": "1/minute", "metods": ["GET"]}], header_stile=["x"])
        assert any(mistake.startswith("rules[0].metods:") and "'methods'" in mistake for mistake in told), told
        assert any(mistake.startswith("header_stile:") and "'header_style'" in mistake for mistake in told), told

    @on("SALQF")
    def test_c98_a_secret_beside_a_mistake_is_nowhere(self, world: World) -> None:
        with pytest.raises(SettingsError) as failure:
            _serve(world, hash_secret=SECRET, proxy={"source": "xff"}, header_style=["y"])
        assert SECRET not in "".join(traceback.format_exception(failure.value)) + repr(failure.value)

    def test_c99_where_it_is_not_enabled_nothing_is_asked_and_nothing_told(self, world: World) -> None:
        passed: list[bool] = []

        async def handler(call: Call) -> Answer:
            passed.append(call.passed.is_exempt)
            return Answer()

        store = world.with_faults()
        world.serve(handler, enabled=False)
        replies = [world.get() for _ in range(6)]
        assert {(reply.status, reply.header("ratelimit")) for reply in replies} == {(200, None)}
        assert (store.calls, passed) == ([], [True] * 6)

    @on("SALQF")
    @pytest.mark.parametrize(
        ("place", "words"),
        [
            ("proxy", {"proxy": {"trusted_proxies": ["10.0.0.0/8"], "trusted_proxies_count": 1}}),
            ("proxy.trusted_proxies", {"proxy": {"trusted_proxies": ["*"]}}),
            ("rules[0].limits", {"rules": [{"limits": "rpm=1/minute; RPM=2/minute"}]}),
            ("rules[0].cost.tpm", {"rules": [{"limits": "rpm=1/minute", "cost": {"tpm": 1}}]}),
            ("responder", {"responder": "no.such.module:name"}),
        ],
    )
    def test_c100_what_cannot_work_is_refused(self, world: World, place: str, words: dict[str, Any]) -> None:
        told = _mistakes(world, **words)
        assert [mistake for mistake in told if mistake.startswith(place)], told

    @on("SALQF")
    def test_c102_two_applications_in_one_process_keep_apart(self, world: World) -> None:
        other = World(type(world.driver)())
        world.serve()
        other.serve(rules=[{"key": "ip", "limits": "1/minute"}])
        asked = [each.get().status for each in (world, other, world, other, world)]
        other.close()
        assert asked == [200, 200, 200, 429, 429]


def _serve(world: World, **words: Any) -> None:
    world.serve(**words)
    # Where an application is put together at its first request, that is where it is told.
    world.get()


def _mistakes(world: World, **words: Any) -> list[str]:
    with pytest.raises(SettingsError) as failure:
        _serve(world, **words)
    assert world.handled == 0
    return failure.value.mistakes
