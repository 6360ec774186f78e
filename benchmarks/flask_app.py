"""One request through Flask: the bare application, ours in it, flask-limiter in it; each over memory, one limit."""

import io
from typing import Any

from flask import Flask
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address

from benchmarks.rounds import Contender, medians, shown
from zae_limiter_flask import ZaeLimiter

LIMIT = "1000000/second"
ENVIRON: dict[str, Any] = {
    "REQUEST_METHOD": "GET",
    "SCRIPT_NAME": "",
    "PATH_INFO": "/",
    "QUERY_STRING": "",
    "SERVER_NAME": "test",
    "SERVER_PORT": "80",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "HTTP_HOST": "test",
    "HTTP_ACCEPT": "*/*",
    "REMOTE_ADDR": "203.0.113.9",
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "http",
    "wsgi.input": io.BytesIO(),
    "wsgi.errors": io.StringIO(),
    "wsgi.multithread": True,
    "wsgi.multiprocess": False,
    "wsgi.run_once": False,
}


def application() -> Flask:
    """An application with one page."""
    app = Flask("benchmark", static_folder=None)
    app.add_url_rule("/", "page", lambda: "hello")
    return app


def asked(app: Flask) -> Contender:
    """Asks an application in process."""

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:  # noqa: ARG001
        assert status == "200 OK"

    def ask(calls: int) -> None:
        for _ in range(calls):
            body: Any = app(dict(ENVIRON), start_response)
            b"".join(body)
            body.close()

    return ask


def main() -> None:
    """Compare, and print."""
    ours = application()
    ZaeLimiter(ours, store="memory:", key="ip", default=LIMIT)
    decorated = application()
    limiter = ZaeLimiter(decorated, store="memory:", key="ip")
    decorated.view_functions["page"] = limiter.limit(LIMIT)(decorated.view_functions["page"])
    other = application()
    Limiter(get_remote_address, app=other, default_limits=[LIMIT], storage_uri="memory://", headers_enabled=True)
    silent = application()
    Limiter(get_remote_address, app=silent, default_limits=[LIMIT], storage_uri="memory://")
    found = medians(
        {
            "bare": asked(application()),
            "with ours, memory": asked(ours),
            "with ours, memory, a decorator": asked(decorated),
            "with flask-limiter, memory": asked(other),
            "with flask-limiter, memory, no headers": asked(silent),
        }
    )
    shown("one request through Flask", found, base="bare")


if __name__ == "__main__":
    main()
