"""Requests a second of uvicorn and gunicorn with one worker, with and without the limiter, over open connections.

The client is a bare one, in this process; with two processors it does not take the server's time. Beside the
throughput stands the processor's time that the server took for a request, which says more on a busy machine.
"""

import asyncio
import contextlib
import functools
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from flask import Flask
from rich.console import Console
from rich.table import Table
from starlette.applications import Starlette

CONNECTIONS = 16
REQUESTS = 1_500
ROUNDS = 7
REQUEST = b"GET / HTTP/1.1\r\nHost: test\r\nAccept: */*\r\n\r\n"


def application() -> Starlette:
    """What the server serves, as its environment says: with a limiter over a store, or bare."""
    from starlette.routing import Route

    from benchmarks.asgi import LIMIT, page
    from zae_limiter_asgi import Rule, ZaeLimiterMiddleware

    app = Starlette(routes=[Route("/", page)])
    store = os.environ["SERVED_WITH"]
    if store != "nothing":
        app.add_middleware(ZaeLimiterMiddleware, store=store, rules=[Rule(key="ip", limits=LIMIT)])
    return app


def flask() -> Flask:
    """The same for Flask."""
    from benchmarks.asgi import LIMIT
    from benchmarks.flask_app import application as bare
    from zae_limiter_flask import ZaeLimiter

    app = bare()
    store = os.environ["SERVED_WITH"]
    if store != "nothing":
        ZaeLimiter(app, store=store, key="ip", default=LIMIT)
    return app


def command(server: str, port: int) -> list[str]:
    """How a server is started."""
    if server == "uvicorn":
        line = ["uvicorn", "--factory", "--port", str(port), "--no-access-log", "--log-level", "warning"]
        return [*line, "benchmarks.server:application"]
    line = ["gunicorn", "--bind", f"127.0.0.1:{port}", "--worker-class", "gthread", "--threads", "4"]
    return [*line, "--keep-alive", "5", "--log-level", "warning", "benchmarks.server:flask()"]


class Client(asyncio.Protocol):
    """Asks again as soon as an answer is there, until all have been asked."""

    def __init__(self, times: int, done: "asyncio.Future[None]") -> None:
        self._left = times
        self._done = done
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask the first time."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(REQUEST)

    def data_received(self, data: bytes) -> None:
        """Ask again; a short answer comes in one piece, or its body in a second."""
        if not data.endswith(b"hello"):
            return
        assert self._transport is not None
        self._left -= 1
        if self._left:
            self._transport.write(REQUEST)
        else:
            self._transport.close()
            self._done.set_result(None)


async def asked(port: int) -> float:
    """Requests a second, over all connections."""
    loop = asyncio.get_running_loop()
    ends = [loop.create_future() for _ in range(CONNECTIONS)]
    begun = time.perf_counter()
    for end in ends:
        await loop.create_connection(functools.partial(Client, REQUESTS // CONNECTIONS, end), "127.0.0.1", port)
    await asyncio.gather(*ends)
    return REQUESTS / (time.perf_counter() - begun)


@contextlib.contextmanager
def served(name: str, store: str) -> Iterator[tuple[int, int]]:
    """A server on a free port: the port, and the number of its process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # Its own socket: one that is handed over has Nagle's delay on, and would measure that.
    line = [sys.executable, "-m", *command(name, port)]
    server = subprocess.Popen(line, env={**os.environ, "SERVED_WITH": store})
    try:
        for _ in range(200):
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.1)
        yield port, server.pid
    finally:
        server.terminate()
        server.wait(10)


def main() -> None:
    """Compare, and print."""
    compare("uvicorn", "uvicorn with Starlette, one worker")
    compare("gunicorn", "gunicorn with Flask, one worker of four threads")


def compare(server: str, title: str) -> None:
    """Ask a server that is bare and two that have the limiter, in turn."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        stores = {
            "bare": "nothing",
            "with ours, memory": "memory:",
            "with ours, file": f"embedded://{folder}/limits.db",
        }
        servers = {name: stack.enter_context(served(server, store)) for name, store in stores.items()}
        found: dict[str, list[float]] = {name: [] for name in servers}
        busy: dict[str, list[float]] = {name: [] for name in servers}
        for port, _ in servers.values():
            asyncio.run(asked(port))
        for _ in range(ROUNDS):
            for name, (port, process) in servers.items():
                before = seconds_of(process)
                found[name].append(asyncio.run(asked(port)))
                busy[name].append((seconds_of(process) - before) / REQUESTS * 1e6)
    rates = {name: statistics.median(each) for name, each in found.items()}
    table = Table(title=title)
    for name in ("what", "requests a second, median", "ratio to bare", "µs of processor time a request, median"):
        table.add_column(name, justify="left" if name == "what" else "right")
    for name, rate in rates.items():
        table.add_row(name, f"{rate:,.0f}", f"{rate / rates['bare']:.2f}", f"{statistics.median(busy[name]):.0f}")
    Console().print(table)


def seconds_of(process: int) -> float:
    """The processor's time that a process and its children have taken; 0 where the system does not tell."""
    spent = 0.0
    for each in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            told = each.read_text(encoding="ascii").rpartition(")")[2].split()
            if process in (int(each.parent.name), int(told[1])):
                spent += (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")
    return spent


if __name__ == "__main__":
    main()
