"""Rules that meet at one route, in every framework: each keeps its own number, whatever the others are called."""

from typing import Any

import pytest

from zae_limiter_http.conformance import Route, World


def _by_route(limits: str, **words: Any) -> dict[str, Any]:
    return {"match": "/log*", "resource": "route", "limits": limits, "key": "ip", **words}


def _statuses(world: World, path: str, times: int) -> list[int]:
    return [world.get(path).status for _ in range(times)]


@pytest.mark.parametrize(
    ("of_the_rule", "of_the_view", "admitted"),
    [
        (_by_route("5/minute"), {"limits": "5/minute", "key": "ip"}, 5),
        (_by_route("5/minute"), {"limits": "5/minute", "key": "user"}, 5),
        (_by_route("5/minute"), {"limits": "5/minute", "key": "ip", "max_wait": 0.001}, 5),
        (_by_route("5/minute"), {"limits": "3/minute", "key": "ip"}, 3),
        (_by_route("3/minute"), {"limits": "5/minute", "key": "ip"}, 3),
        (_by_route("3/minute", resource="login"), {"limits": "5/minute", "key": "ip"}, 3),
    ],
)
def test_a_rule_by_route_and_the_view_s_own_limit_keep_their_numbers(
    world: World, of_the_rule: Any, of_the_view: Any, admitted: int
) -> None:
    world.serve(routes=[Route("/login", limited=of_the_view)], rules=[of_the_rule])
    assert _statuses(world, "/login", 7) == [200] * admitted + [429] * (7 - admitted)


def test_two_rules_by_route_keep_their_numbers(world: World) -> None:
    world.serve(routes=[Route("/login")], rules=[_by_route("5/minute"), _by_route("4/minute", key="user", match="*")])
    assert _statuses(world, "/login", 6) == [200] * 4 + [429] * 2


def test_rules_of_the_same_words_are_charged_once_and_share_what_they_count(world: World) -> None:
    words = {"key": "ip", "limits": "5/minute"}
    world.serve(rules=[{"match": "/*", **words}, {"match": "/other", **words}])
    assert [*_statuses(world, "/other", 3), *_statuses(world, "/", 3)] == [200] * 5 + [429]


def test_an_unknown_path_is_no_mistake_of_the_rules(world: World) -> None:
    world.serve(rules=[{"key": "ip", "limits": "9/minute"}, {"key": "ip", "limits": "2/minute", "resource": "route"}])
    assert set(_statuses(world, "/no/such/path", 2)) == {404}


def test_what_no_rule_covers_does_not_change_the_numbers_of_the_rules(world: World) -> None:
    world.serve(
        routes=[Route("/login"), Route("/other")],
        rules=[{"match": "/login", "key": "ip", "limits": "5/hour"}],
        default_rule={"key": "ip", "limits": "2/hour"},
    )
    assert _statuses(world, "/other", 3) == [200, 200, 429]
    assert _statuses(world, "/login", 6) == [200] * 5 + [429]
