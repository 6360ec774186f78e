"""Real servers for a test, each on a socket of this machine that the test has opened."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from tests.examples import ROOT
from zae_limiter_http.conformance import Ask, Reply

APPLICATION: Final = "tests.integrations.behind_servers.served:app"
_READY: Final = re.compile(r"Application startup complete|Running on http|Listening on TCP|Booting worker|Listening at")
_LONGEST_SECONDS: Final = 60


@dataclass(slots=True)
class Server:
    """A server that answers at `port`; `errors` is what it has told on standard error."""

    kind: str
    port: int
    store: str
    errors: list[str] = field(default_factory=list[str])

    def ask(self, ask: Ask) -> Reply:
        """Ask once, on a connection of its own, as a client with that address behind a socket of this machine."""
        headers = {**dict(ask.headers), "connection": "close"}
        headers.setdefault("accept", "*/*")
        url = f"http://127.0.0.1:{self.port}{ask.path}"
        answer = httpx.request(ask.method, url, headers=headers, timeout=_LONGEST_SECONDS, follow_redirects=False)
        pairs = [(name.lower(), value) for name, value in answer.headers.multi_items()]
        return Reply(answer.status_code, pairs, answer.content)


def command(name: str, listening: int, workers: int, application: str) -> Sequence[str]:
    """How a server is started."""
    gunicorn = [
        "gunicorn",
        "--bind",
        f"fd://{listening}",
        "--workers",
        str(workers),
        "--timeout",
        str(_LONGEST_SECONDS),
    ]
    patient = ["--timeout-worker-healthcheck", str(_LONGEST_SECONDS)]
    return {
        "uvicorn": ["uvicorn", "--fd", str(listening), "--workers", str(workers), *patient, application],
        "hypercorn": ["hypercorn", "--bind", f"fd://{listening}", "--workers", str(workers), application],
        "daphne": ["daphne", "--fd", str(listening), application],
        "gunicorn": [*gunicorn, application],
        "gthread": [*gunicorn, "--threads", "4", application],
    }[name]


@contextmanager
def served(
    driver: str, name: str, folder: Path, *, workers: int = 1, installed: int = 1, application: str = APPLICATION
) -> Iterator[Server]:
    """Serve a driver's application, or another, by a server for as long as the block lasts."""
    store = f"embedded://{folder}/limits.db"
    paths = os.pathsep.join([str(ROOT), str(ROOT / "integrations")])
    told = {**os.environ, "PYTHONPATH": paths, "SERVED_DRIVER": driver, "SERVED_STORE": store}
    told["SERVED_INSTALLED"] = str(installed)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        number = listening.fileno()
        line = [sys.executable, "-m", *command(name, number, workers, application)]
        process = subprocess.Popen(
            line, env=told, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, pass_fds=[number], cwd=ROOT
        )
        server = Server(name, listening.getsockname()[1], store)
        ready = threading.Event()
        reading = threading.Thread(target=_read, args=(process, server.errors, ready, workers))
        reading.start()
        try:
            assert ready.wait(_LONGEST_SECONDS), f"{name} does not start: {''.join(server.errors)}"
            yield server
        finally:
            process.send_signal(signal.SIGTERM)
            _ended(process)
            reading.join(_LONGEST_SECONDS)
            if process.stderr is not None:
                process.stderr.close()


def _read(process: "subprocess.Popen[str]", errors: list[str], ready: threading.Event, workers: int) -> None:
    assert process.stderr is not None
    found = 0
    for text in process.stderr:
        errors.append(text)
        found += bool(_READY.search(text))
        if found >= workers:
            ready.set()
    ready.set()


def _ended(process: "subprocess.Popen[str]") -> None:
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)
