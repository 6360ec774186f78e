"""Asks a WSGI application in process; requests that are asked at once go in threads.

By PEP 3333: a server iterates over the body and closes it, whether it came to its end or not.
"""

import io
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote_to_bytes

from zae_limiter_http.conformance.asking import Ask, Reply


class WsgiCaller:
    """Calls one application."""

    def close(self) -> None:
        """Nothing is kept open."""

    def done(self, value: Any) -> Any:
        """The value itself: a blocking call has its result."""
        return value

    def ask(self, app: Any, asks: Sequence[Ask]) -> list[Reply]:
        """Ask everything at once."""
        if len(asks) == 1:
            return [_replied(app, asks[0])]
        with ThreadPoolExecutor(max_workers=16) as threads:
            return list(threads.map(lambda ask: _replied(app, ask), asks))


def environ_of(ask: Ask) -> dict[str, Any]:
    """The environment of a request; several lines of a header are one value."""
    path, _, query = ask.path.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": ask.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "SERVER_NAME": "test",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "test",
        "CONTENT_LENGTH": str(len(ask.body)),
        "REMOTE_ADDR": ask.peer or "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(ask.body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in ask.headers:
        key = name.upper().replace("-", "_")
        key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ


def _replied(app: Any, ask: Ask) -> Reply:
    began: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        began.append((status, headers))
        return lambda _: None

    parts: list[bytes] = []
    is_complete = True
    body = app(environ_of(ask), start_response)
    try:
        for part in body:
            parts.append(part)
            if ask.leaves_after is not None and len(parts) >= ask.leaves_after:
                is_complete = False
                break
    finally:
        if hasattr(body, "close"):
            body.close()
    assert began, "the application has returned without an answer"
    status, headers = began[-1]
    if ask.method == "HEAD":
        assert b"".join(parts) == b"", "an answer to HEAD has no body"
    return Reply(
        int(status.split()[0]), [(name.lower(), value) for name, value in headers], b"".join(parts), is_complete
    )
