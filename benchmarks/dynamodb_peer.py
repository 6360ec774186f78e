"""The same main job on ours and on zae-limiter 0.17 from PyPI, each in a process and an environment of its own."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any, Final

from benchmarks.dynamodb import Row, shown, wire
from tests.dynamodb.local_server import running
from tests.dynamodb.tables import fresh_name

VERSION: Final = "0.17.0"
_FOLDER: Final = Path(__file__).parents[1] / "build" / f"zae-limiter-{VERSION}"
_JOB: Final = Path(__file__).parent


def peer_python() -> Path:
    """A Python with that release installed, made at the first time."""
    python = _FOLDER / "bin" / "python"
    if not (_FOLDER / "installed").exists():
        venv.create(_FOLDER, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", f"zae-limiter=={VERSION}"], check=True)
        (_FOLDER / "installed").touch()
    return python


def ran(python: Path | str, job: str) -> dict[str, Any]:
    """What a job tells; it runs outside this folder, so that it finds what its Python has installed."""
    with running() as endpoint, wire("meter", endpoint) as meter:
        command = [str(python), str(_JOB / job), endpoint, meter, fresh_name()]
        output = subprocess.run(command, check=True, capture_output=True, text=True, cwd=_FOLDER, env=os.environ)
    found: dict[str, Any] = json.loads(output.stdout.strip().splitlines()[-1])
    return found


def _cost(told: dict[str, Any]) -> str:
    units = told["written"] + told["statements"] + told["index_written"]
    return f"{told['calls']} calls, {units:g} + {told['read']:g} units"


def main() -> None:
    """Compare, and print."""
    peer = ran(peer_python(), "peer_job.py")
    ours = ran(sys.executable, "own_job.py")
    rows = [
        Row(what, _cost(ours[name]), _cost(peer[name]), "", aim)
        for what, name, aim in (
            ("first charge: calls, units written + read", "first", ""),
            ("the next", "second", ""),
            ("the one after it", "third", "1 call, 1 + 0 units"),
        )
    ]
    for what, name, aim in (("one hot bucket, 200 tasks", "hot", "100"), ("200 buckets, 200 tasks", "spread", "8")):
        first, second = ours[name], peer[name]
        rows.append(
            Row(
                f"{what}: charges a second",
                f"{first['a_second']:.0f}/s, {first['failed']} failed",
                f"{second['a_second']:.0f}/s, {second['failed']} failed",
                f"{first['a_second'] / second['a_second']:.1f}",
                aim,
            )
        )
        rows.append(
            Row(
                f"{what}: client CPU a charge",
                f"{first['cpu_micros']:.0f} µs",
                f"{second['cpu_micros']:.0f} µs",
                f"{first['cpu_micros'] / second['cpu_micros']:.3f}",
                "",
            )
        )
    shown(f"the same job on zae-limiter {VERSION} from PyPI", rows)
