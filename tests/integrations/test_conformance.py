"""The suite itself: a driver is told when it cannot be asked, and a check that does not apply is left out."""

from typing import Any, ClassVar

import pytest

from tests.integrations.drivers.starlette import StarletteDriver
from zae_limiter_http.conformance import Conformance
from zae_limiter_http.conformance.applies import checks_of


class _Blocking(StarletteDriver):
    letter: ClassVar[str] = "F"


class _Nameless(StarletteDriver):
    letter: ClassVar[str] = "X"


def _suite(driver: Any, exceptions: dict[str, str]) -> Any:
    return type("Suite", (Conformance,), {"driver": driver, "exceptions": exceptions})


def test_a_check_applies_to_the_drivers_of_its_letters_alone() -> None:
    here, there = (dict(checks_of(_suite(driver, {}))) for driver in (StarletteDriver, _Blocking))
    assert "test_c55_a_client_that_leaves_mid_stream_keeps_its_charge" in set(here) - set(there)
    assert "test_c55_a_body_that_is_closed_early_keeps_its_charge" in set(there) - set(here)
    assert set(here.values()) - set(there.values()) == {"C86", "C87", "C88", "C89", "C90", "C91", "C92"}


def test_an_exception_takes_its_check_away() -> None:
    assert "C37" not in dict(checks_of(_suite(StarletteDriver, {"C37": "CORS is the proxy's"}))).values()


def test_an_exception_for_a_check_that_is_not_there_is_told() -> None:
    with pytest.raises(ValueError, match="no such checks as C999"):
        _suite(StarletteDriver, {"C999": "misspelt"})


def test_a_letter_that_no_driver_has_is_told() -> None:
    with pytest.raises(ValueError, match="a driver's letter is one of S, A, L"):
        _suite(_Nameless, {})
