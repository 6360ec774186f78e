"""gunicorn with several workers, for applications that count in one place whoever serves."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.examples import ROOT

_MOST_LINES = 200


@dataclass(frozen=True, slots=True)
class Served:
    """A server that answers: a client for it, and the file that tells which process has answered what."""

    client: httpx.Client
    log: Path

    def workers(self) -> set[str]:
        """The processes that have answered so far."""
        return {line.split()[0] for line in self.log.read_text(encoding="utf-8").splitlines()}


@contextmanager
def gunicorn(application: str, folder: Path, *options: str, chdir: Path = ROOT, **environment: str) -> Iterator[Served]:
    """Serve an application on a free port of this machine, for as long as the block lasts."""
    log = folder / "answers.log"
    command = [sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:0", "--chdir", str(chdir)]
    command += ["--access-logfile", str(log), "--access-logformat", "%(p)s %(s)s %(U)s", *options, application]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "integrations")])
    told = {**os.environ, "PYTHONPATH": paths, **environment}
    server = subprocess.Popen(command, env=told, stderr=subprocess.PIPE, text=True)
    try:
        with httpx.Client(base_url=_address(server), timeout=120) as client:
            yield Served(client, log)
    finally:
        server.terminate()
        _, errors = server.communicate(timeout=120)
    assert "Traceback" not in errors, errors


def _address(server: "subprocess.Popen[str]") -> str:
    read: list[str] = []
    assert server.stderr is not None
    for _ in range(_MOST_LINES):
        line = server.stderr.readline()
        read.append(line)
        found = re.search(r"Listening at: (http://[\d.:]+)", line)
        if found:
            return found[1]
        if not line:
            break
    raise AssertionError(f"the server does not listen: {''.join(read)}")
