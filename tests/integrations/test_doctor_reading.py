"""The doctor and applications that misbehave while they are read: none of them looks well without being examined."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SOUND = """
from fastapi import FastAPI
from zae_limiter_asgi import Rule, ZaeLimiterMiddleware
print("ready")
app = FastAPI(openapi_url=None)
app.add_middleware(ZaeLimiterMiddleware, store="memory:", rules=[Rule(key="ip", limits="9/minute")])
nothing = None
async def later():
    return app
"""


def doctor(folder: Path, target: str, source: str = SOUND, **variables: str) -> "subprocess.CompletedProcess[str]":
    """What the doctor says of the module `subject` in a folder."""
    (folder / "subject.py").write_text(source, encoding="utf-8")
    command = [sys.executable, "-m", "zae_limiter", "doctor", target, "--json"]
    told = {**os.environ, **variables}
    return subprocess.run(command, cwd=folder, env=told, capture_output=True, text=True, check=False)


def test_what_an_application_prints_is_no_part_of_the_report(tmp_path: Path) -> None:
    found = doctor(tmp_path, "subject:app")

    assert (found.returncode, found.stderr) == (0, "ready\n")
    assert json.loads(found.stdout)["is_well"]


@pytest.mark.parametrize("code", ["0", "3", "'set DATABASE_URL'"])
def test_an_application_that_ends_the_program_has_not_been_examined(tmp_path: Path, code: str) -> None:
    found = doctor(tmp_path, "subject:app", f"import sys\nsys.exit({code})\n")

    assert (found.returncode, found.stdout) == (1, "")
    assert "cannot be read: SystemExit: " + code.strip("'") in found.stderr
    assert "at subject.py line 2" in found.stderr


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("subject:nothing", "is None, no application"),
        ("subject:later()", "is made on an event loop"),
    ],
)
def test_what_is_no_application_is_not_taken_for_the_project_of_django(tmp_path: Path, target: str, told: str) -> None:
    found = doctor(tmp_path, target, DJANGO_SETTINGS_MODULE="tests.integrations.django.settings")

    assert found.returncode == 1
    assert told in found.stderr
    assert "never awaited" not in found.stderr


def test_a_mistake_in_a_folder_of_like_name_is_told(tmp_path: Path) -> None:
    here, beside = tmp_path / "app", tmp_path / "app-of-others"
    here.mkdir()
    beside.mkdir()
    (beside / "beside_of_a_doctor.py").write_text("raise RuntimeError('no')\n", encoding="utf-8")
    found = doctor(here, "subject:app", "import beside_of_a_doctor\n", PYTHONPATH=str(beside))

    assert found.returncode == 1
    assert "cannot be read: RuntimeError: no, at subject.py line 1" in found.stderr


def test_a_number_of_workers_that_is_none_is_not_counted(tmp_path: Path) -> None:
    assert doctor(tmp_path, "subject:app", WEB_CONCURRENCY="²").returncode == 0
