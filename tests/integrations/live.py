"""An application behind a real server in a thread of this process, so that its store and clock are at hand."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from werkzeug.serving import make_server

from zae_limiter_http.conformance import Interface

_LONGEST_SECONDS = 20


@contextmanager
def listening(app: Any, interface: Interface) -> Iterator[str]:
    """The address at which an application answers, for as long as the block lasts."""
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        opened.listen(64)
        address = f"http://127.0.0.1:{opened.getsockname()[1]}"
        with _uvicorn(app, opened) if interface == "asgi" else _werkzeug(app, opened):
            yield address


@contextmanager
def _uvicorn(app: Any, opened: socket.socket) -> Iterator[None]:
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="auto"))
    with _running(lambda: server.run(sockets=[opened])):
        try:
            yield
        finally:
            server.should_exit = True


@contextmanager
def _werkzeug(app: Any, opened: socket.socket) -> Iterator[None]:
    server = make_server("127.0.0.1", 0, app, threaded=True, fd=opened.fileno())
    with _running(server.serve_forever):
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()


@contextmanager
def _running(serve: Any) -> Iterator[None]:
    # Connections that come before the server accepts them wait in the queue of the socket.
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join(_LONGEST_SECONDS)
    assert not thread.is_alive(), "the server has not ended"
