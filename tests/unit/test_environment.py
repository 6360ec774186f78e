"""The variables of the environment: known, read, and reported where nobody knows them."""

import re
from pathlib import Path

import pytest

from zae_limiter import environment

ROOT = Path(__file__).parents[2]


def test_a_name_that_nobody_knows_is_reported_with_the_nearest() -> None:
    found = environment.unknown({"ZAE_LIMITER_FUZZ_SCHEDULE": "1", "ZAE_LIMITER_FUZZ_SCHEDULES": "1", "PATH": "x"})
    assert found == [
        "the environment variable ZAE_LIMITER_FUZZ_SCHEDULE is not known; did you mean ZAE_LIMITER_FUZZ_SCHEDULES?"
    ]


def test_where_nothing_is_near_all_names_are_told() -> None:
    (found,) = environment.unknown({"ZAE_LIMITER_QQQ": "1"})
    assert "ZAE_LIMITER_FUZZ_SCHEDULES" in found


def test_a_variable_is_read_by_a_name_that_has_a_row() -> None:
    name = "ZAE_LIMITER_FUZZ_SCHEDULES"
    assert environment.read(name, {name: "7"}) == "7"
    assert environment.read(name, {name: ""}) is None
    with pytest.raises(LookupError, match="add it there"):
        environment.read("ZAE_LIMITER_QQQ")


def test_another_package_adds_its_own_names_and_families() -> None:
    environment.add("ZAE_LIMITER_THIRD_PARTY", "what it says")
    environment.add("ZAE_LIMITER_THIRD__*", "settings inside settings")
    assert environment.unknown({"ZAE_LIMITER_THIRD_PARTY": "1", "ZAE_LIMITER_THIRD__DEEP": "1"}) == []
    assert environment.unknown({"ZAE_LIMITER_THIRD__": "1"}) != []
    with pytest.raises(ValueError, match="must begin"):
        environment.add("OTHER_NAME", "what it says")


def test_every_name_in_the_source_has_a_row() -> None:
    files = [*ROOT.glob("zae_limiter/**/*.py"), *ROOT.glob("integrations/**/*.py"), *ROOT.glob("tests/fuzz/*.py")]
    names = {name for path in files for name in re.findall(r'"(ZAE_LIMITER_[A-Z][A-Z_]*)"', path.read_text("utf-8"))}
    assert [name for name in sorted(names) if environment.unknown({name: "1"})] == []


def test_the_rows_are_sorted() -> None:
    assert list(environment._ROWS) == sorted(environment._ROWS)
