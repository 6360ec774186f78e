"""All 104 checks of the conventions: each is asked of every driver that it names, or its reason stands here."""

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from tests.integrations import (
    test_asgi_messages,
    test_clients,
    test_django_conformance,
    test_fastapi,
    test_flask,
    test_litestar,
    test_quart,
    test_starlette,
)
from tests.integrations.drivers.every import BY_LETTER, DRIVERS

ALL: Final = "SALQWGF"
SUITES: Final[Mapping[str, tuple[Any, ...]]] = {
    "S": (test_starlette.TestStarlette,),
    "A": (test_fastapi.TestFastAPI,),
    "L": (test_litestar.TestLitestar, test_litestar.TestLitestarFromOutside),
    "Q": (test_quart.TestQuart,),
    "W": (test_django_conformance.TestDjango,),
    "G": (test_django_conformance.TestDjangoUnderAsgi,),
    "F": (test_flask.TestFlask,),
}
# The drivers that a check names; every other one is for all.
NAMED: Final = {
    **dict.fromkeys(("C78",), "SWGF"),
    **dict.fromkeys(("C81", "C82", "C103"), "A"),
    "C83": "W",
    "C84": "G",
    "C85": "FSALQW",
    **{f"C{number}": "SALQ" for number in range(86, 95)},
    "C101": "WG",
}
# Where a check is asked outside the suite, and of which drivers.
ELSEWHERE: Final = {
    "C82": (
        "test_fastapi_forms",
        "test_c82_a_body_that_is_no_json_is_charged_by_rules_and_not_by_dependencies",
        "A",
    ),
    "C83": ("django/test_throttles", "test_c83_two_tokens_of_one_address_have_buckets_of_their_own", "W"),
    "C84": (
        "django/test_throttles",
        "test_c84_a_throttle_of_ninja_limits_plain_and_async_operations_by_token",
        "G",
    ),
    "C85": (
        "django/test_throttles",
        "test_c85_an_exception_handler_of_the_user_keeps_its_body_and_gets_our_fields",
        "W",
    ),
    "C93": (
        "test_asgi_messages",
        "test_c93_other_messages_pass_through_unchanged",
        "".join(test_asgi_messages.MIDDLEWARE),
    ),
    "C94": (
        "test_asgi_messages",
        "test_c94_middleware_of_starlettes_own_kind_changes_nothing",
        "".join(DRIVERS[name].letter for name in test_asgi_messages.AROUND),
    ),
    "C96": ("django/test_settings", "test_c96_every_mistake_has_its_message", "WG"),
    "C97": ("django/test_settings", "test_c97_a_misspelt_variable_has_its_message", "WG"),
    "C98": ("django/test_settings", "test_c98_a_secret_beside_a_mistake_is_in_no_message", "WG"),
    "C100": ("django/test_settings", "test_c100_what_is_wrong_has_its_number", "WG"),
    "C101": ("django/test_settings", "test_c101_the_order_of_middleware_is_checked", "WG"),
    "C103": ("test_fastapi_forms", "test_c103_the_openapi_document_tells_of_refusals", "A"),
    "C104": ("test_clients", "test_c104_clients_do_with_a_refusal_what_is_known_of_them", "".join(test_clients.ASKED)),
}
# What cannot be asked at all.
NOWHERE: Final = {("C102", "W"): "a process serves one project of Django", ("C102", "G"): "the same"}
CHECKS: Final = [f"C{number:02d}" for number in range(1, 105)]


def numbers_of(name: str) -> Iterator[str]:
    """The checks that the name of a test tells: `test_c03_to_c06_…`, `test_c47_and_c48_…`."""
    told = re.match(r"test_c\d+(_to_c\d+|(_and)?_c\d+)*", name)
    if told is None:
        return
    found = [int(number) for number in re.findall(r"c(\d+)", told[0])]
    if "_to_" in told[0]:
        found = list(range(found[0], found[-1] + 1))
    yield from (f"C{number:02d}" for number in found)


@cache
def _asked(suite: Any) -> frozenset[str]:
    names = [name for name in dir(suite) if name.startswith("test_c") and getattr(suite, name) is not None]
    return frozenset(number for name in names for number in numbers_of(name))


@pytest.mark.parametrize("check", CHECKS)
def test_a_check_is_asked_of_every_driver_that_it_names(check: str) -> None:
    for letter in NAMED.get(check, ALL):
        in_the_suite = any(check in _asked(suite) for suite in SUITES[letter])
        *_, letters = ELSEWHERE.get(check, ("", "", ""))
        assert in_the_suite or letter in letters or NOWHERE.get((check, letter)), f"{check} is not asked of {letter}"


@pytest.mark.parametrize("check", list(ELSEWHERE))
def test_a_check_outside_the_suite_is_where_it_is_said_to_be(check: str) -> None:
    file, name, _ = ELSEWHERE[check]
    assert check in numbers_of(name)
    tree = ast.parse((Path(__file__).parent / f"{file}.py").read_text(encoding="utf-8"))
    assert name in {each.name for each in tree.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_letter_has_a_driver_and_every_driver_a_suite() -> None:
    assert set(BY_LETTER) == set(ALL) == set(SUITES)
    asked = {letter: {suite.driver for suite in suites} for letter, suites in SUITES.items()}
    for driver in DRIVERS.values():
        assert driver in asked[driver.letter]


def test_an_exception_of_a_driver_says_why() -> None:
    for suite in (suite for suites in SUITES.values() for suite in suites):
        assert all(reason for reason in suite.exceptions.values())


def test_numbers_are_read_from_names() -> None:
    assert list(numbers_of("test_c03_to_c06_retry_after")) == ["C03", "C04", "C05", "C06"]
    assert list(numbers_of("test_c14_c17_and_c18_three_limits")) == ["C14", "C17", "C18"]
    assert list(numbers_of("test_c100_what_cannot_work")) == ["C100"]
    assert list(numbers_of("test_nothing_of_the_kind")) == []
