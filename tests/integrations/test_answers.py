"""Every framework answers the table alike: bodies byte for byte, and the headers that the limiter sets."""

from functools import cache
from typing import Any

import pytest

from tests.integrations.answers import ROUTES, RULES, TABLE, told
from tests.integrations.drivers.every import DRIVERS
from zae_limiter_http.conformance import World


@cache
def _answers(name: str) -> list[Any]:
    world = World(DRIVERS[name]())
    world.serve(routes=ROUTES, rules=RULES)
    found = [told(world.ask(ask)) for ask in TABLE]
    world.close()
    return found


@pytest.mark.parametrize("name", list(DRIVERS))
def test_the_answers_of_a_framework_are_those_of_the_others(name: str) -> None:
    for ask, answer, expected in zip(TABLE, _answers(name), _answers("starlette"), strict=True):
        if name == "litestar-plugin" and ask.method == "HEAD":
            continue  # answered with 405 before any middleware of the application
        assert answer == expected, f"{ask.method} {ask.path} {ask.headers}"


def test_the_table_has_grants_refusals_and_what_carries_no_fields() -> None:
    found = _answers("starlette")
    assert {status for status, _, _ in found} == {200, 302, 404, 429}
    assert {len(headers) for _, _, headers in found} >= {0, 1, 2, 7}
