"""The 51 weak points that were seen in a peer: each has a test that says its number, or one that is named below."""

import ast
import re
from pathlib import Path
from typing import Final

import pytest

TESTS: Final = Path(__file__).parent
ALL: Final = tuple(f"W{number}" for number in range(1, 52))

NAMED: Final = {
    # Nothing refills a bucket but time, so an aggregator has no refill to get wrong: it reads, and adds up.
    "W7": "aggregator/test_rollup.py::test_the_change_of_a_bucket_is_new_minus_old",
    "W34": "dynamodb/test_aws.py::test_a_call_ends_with_its_deadline",
    "W45": "test_house.py::test_a_file_is_short_and_says_what_it_is_for",
    # Another store can be written by the protocol alone: blocking code of nobody's runs the whole conformance suite.
    "W48": "unit/test_blocking.py::test_blocking_code_never_holds_up_the_event_loop",
    # What DynamoDB bills is asked of DynamoDB Local, index by index.
    "W49": "dynamodb/test_cost.py::test_a_warm_charge_is_one_call_and_one_unit_whatever_the_number_of_limits",
}
"""Where the number would say nothing to those who read the test."""


def _tests_in(path: Path) -> dict[str, str]:
    """The test functions of a file with their docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.name: ast.get_docstring(node) or ""
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


CITING: Final = {
    name: f"{path.name}::{test}"
    for path in sorted(TESTS.rglob("test_*.py"))
    for test, told in _tests_in(path).items()
    for name in re.findall(r"\bW\d+\b", told)
}


@pytest.mark.parametrize("name", ALL)
def test_every_weak_point_has_a_test(name: str) -> None:
    if name in NAMED:
        path, test = NAMED[name].split("::")
        assert test in _tests_in(TESTS / path)
    else:
        assert name in CITING


def test_nothing_else_is_called_a_weak_point() -> None:
    assert set(CITING) <= set(ALL)
    assert set(NAMED) <= set(ALL)


def test_a_weak_point_has_its_tests_in_one_way() -> None:
    assert not set(NAMED) & set(CITING)
