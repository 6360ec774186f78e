"""uvicorn with several workers."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.examples import ROOT

_MOST_LINES = 200


@contextmanager
def uvicorn(
    application: str, *options: str, workers: int = 1, chdir: Path = ROOT, **environment: str
) -> Iterator[httpx.Client]:
    """Serve an application on a free port of this machine, for as long as the block lasts; a client for it."""
    options = ("--workers", str(workers), *options)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        number = listening.fileno()
        command = [sys.executable, "-m", "uvicorn", "--fd", str(number), "--no-access-log", *options, application]
        paths = os.pathsep.join([str(ROOT), str(ROOT / "integrations")])
        told = {**os.environ, "PYTHONPATH": paths, **environment}
        server = subprocess.Popen(command, env=told, stderr=subprocess.PIPE, text=True, cwd=chdir, pass_fds=[number])
        try:
            _wait(server, workers)
            with httpx.Client(base_url=f"http://127.0.0.1:{listening.getsockname()[1]}", timeout=120) as client:
                yield client
        finally:
            server.terminate()
            _, errors = server.communicate(timeout=120)
    assert "Traceback" not in errors, errors


def telling_who_answered(log: Path) -> tuple[str, ...]:
    """Options with which each worker writes a line for each answer: its process, the client, what was asked."""
    handlers = {
        "errors": {"class": "logging.StreamHandler"},
        "answers": {"class": "logging.FileHandler", "filename": str(log), "formatter": "process"},
    }
    told = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"process": {"format": "%(process)d %(message)s"}},
        "handlers": handlers,
        "loggers": {
            "uvicorn": {"handlers": ["errors"], "level": "INFO"},
            "uvicorn.access": {"handlers": ["answers"], "propagate": False},
        },
    }
    settings = log.with_suffix(".json")
    settings.write_text(json.dumps(told), encoding="utf-8")
    return "--access-log", "--log-config", str(settings)


def _wait(server: "subprocess.Popen[str]", workers: int) -> None:
    read: list[str] = []
    assert server.stderr is not None
    for _ in range(_MOST_LINES):
        read.append(server.stderr.readline())
        workers -= "startup complete" in read[-1]
        if not workers:
            return
        if not read[-1]:
            break
    raise AssertionError(f"the server does not start: {''.join(read)}")
