"""The load test runs for real, and Locust is told of each kind of call."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packages import ROOT

pytestmark = pytest.mark.slow


def test_the_locustfile_loads_a_store_for_twenty_seconds(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "locust", "-f", "example_apps/load_test/locustfile.py", "--headless"]
    command += ["-u", "8", "-r", "8", "-t", "20s", "--host", f"embedded://{tmp_path / 'load.db'}"]
    command += ["--csv", str(tmp_path / "found"), "--exit-code-on-error", "1", "--only-summary"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0, done.stderr
    with (tmp_path / "found_stats.csv").open(encoding="utf-8") as file:
        found = {row["Type"]: row for row in csv.DictReader(file)}
    assert {"ACQUIRE", "RATE_LIMITED", "COMMIT", "AVAILABLE"} <= set(found)
    assert all(int(row["Failure Count"]) == 0 for row in found.values())
    # Five keys of 20 a second with a burst of 20, over at most 25 seconds.
    assert 5 * 20 <= int(found["ACQUIRE"]["Request Count"]) <= 5 * (20 + 20 * 25)
