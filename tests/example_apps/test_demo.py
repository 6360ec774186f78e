"""The demo tells the truth: with another limit than it announces, it fails."""

import os
import subprocess
import sys

import pytest

from tests.examples import ROOT

DEMO = ROOT / "example_apps" / "fastapi_llm_proxy" / "demo.py"
WORKER = ROOT / "example_apps" / "batch_worker" / "worker.py"


def _run(*command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    paths = os.pathsep.join([str(ROOT), str(ROOT / "integrations")])
    return subprocess.run(
        [sys.executable, *command],
        env={**os.environ, "PYTHONPATH": paths, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.slow
def test_the_demo_fails_when_the_limit_is_not_the_announced_one() -> None:
    ended = _run(str(DEMO), LLM_PROXY_RPM="5")
    assert ended.returncode == 1
    assert "NOT AS ANNOUNCED: 2 requests are left" in ended.stderr


@pytest.mark.slow
def test_the_demo_is_as_announced() -> None:
    ended = _run(str(DEMO))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "429 Too Many Requests" in ended.stdout
    assert ended.stdout.endswith("Every step was as announced.\n")


@pytest.mark.slow
@pytest.mark.parametrize("store", ["memory:", "dynamodb"])
def test_the_worker_waits_and_does_every_job(store: str, request: pytest.FixtureRequest) -> None:
    if store == "dynamodb":
        request.getfixturevalue("dynamodb_endpoint")
    ended = _run(str(WORKER), "--store", store)
    assert (ended.returncode, ended.stderr) == (0, "")
    done = ended.stdout.splitlines()
    assert done[:25] == [f"job {number} done" for number in range(25)]
    assert int(done[25].split()[1]) > 0
