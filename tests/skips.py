"""In continuous integration a test may be skipped only if `allowed_skips.txt` names it.

Loaded with `-p tests.skips`; a line of the list is a pattern for the id of a test.
"""

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

import pytest

ALLOWED: Final = Path(__file__).with_name("allowed_skips.txt")


def allowed_patterns() -> list[str]:
    """The patterns of the list, without its comments."""
    lines = (line.strip() for line in ALLOWED.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


class SkipWatch:
    """Notes what was skipped though nobody allowed it, and fails the run for it."""

    def __init__(self, patterns: list[str]) -> None:
        self._patterns = patterns
        self._forbidden: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a test that was skipped; an expected failure is none."""
        if not hasattr(report, "wasxfail"):
            self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a file that was skipped as a whole."""
        self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.skipped and not any(fnmatchcase(report.nodeid, pattern) for pattern in self._patterns):
            self._forbidden.add(report.nodeid)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """A run with a skip that nobody allowed has failed."""
        if self._forbidden and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Name the skips that nobody allowed."""
        for nodeid in sorted(self._forbidden):
            terminalreporter.write_line(f"skipped, but not in {ALLOWED.name}: {nodeid}", red=True)


def pytest_configure(config: pytest.Config) -> None:
    """Watch where results come together: not in the workers of a distributed run."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(SkipWatch(allowed_patterns()), "skip-watch")
