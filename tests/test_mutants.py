"""The rules that can be taken away stand where they are said to, their tests too; what `make mutants` believes."""

from pathlib import Path

import pytest

from tests.mutant import Mutant
from tests.mutants import MUTANTS, tried
from tests.packages import ROOT

TESTS = """
import threading
import pytest

@pytest.fixture
def broken():
    raise RuntimeError

def test_good(): pass
def test_bad(): assert False
def test_without_its_fixture(broken): pass
def test_without_end(): threading.Event().wait()
def test_left_out(): pytest.skip("not here")
"""


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.rule for mutant in MUTANTS])
def test_a_rule_stands_once_in_its_file(mutant: Mutant) -> None:
    file, _, name = mutant.test.partition("::")

    assert (ROOT / mutant.path).read_text(encoding="utf-8").count(mutant.old) == 1
    assert mutant.old != mutant.new
    assert not name or f"def {name}(" in (ROOT / file).read_text(encoding="utf-8")


def test_each_rule_is_told_once() -> None:
    assert len({mutant.rule for mutant in MUTANTS}) == len(MUTANTS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("test", "told"),
    [
        ("good", "passed"),
        ("bad", "failed"),
        ("without_its_fixture", "BROKE before or after the test"),
        ("without_end", "NO END after 5 s"),
        ("left_out", "SKIPPED"),
        ("nowhere", "DID NOT RUN: pytest ended with 4"),
    ],
)
def test_a_failure_is_told_from_what_keeps_a_test_from_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, test: str, told: str
) -> None:
    # These tests need no plugin, and to load them all takes seconds.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    (tmp_path / "test_made.py").write_text(TESTS, encoding="utf-8")

    assert tried(tmp_path, f"test_made.py::test_{test}", seconds=5 if test == "without_end" else 120) == told
