"""An HTTP server that answers as DynamoDB would, with what the test put down; no rule of DynamoDB is behind it."""

import json
import threading
from collections.abc import Mapping
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Self


class Answer(NamedTuple):
    """A body and a status; with `hang_up` the connection is closed instead."""

    body: Mapping[str, Any] = {}
    status: int = 200
    hang_up: bool = False


def failure(code: str, message: str = "", status: int = 400, **more: Any) -> Answer:
    return Answer({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message, **more}, status)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


class Canned:
    """Answers each request with the next answer, and with the last one for ever; `asked` has what came."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers) or [Answer()]
        self.asked: list[tuple[str, Any]] = []
        self.connections: set[Any] = set()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        canned = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                canned.connections.add(self.client_address)
                canned.asked.append((self.headers["X-Amz-Target"].partition(".")[2], json.loads(body)))
                answer = canned.answers.pop(0) if len(canned.answers) > 1 else canned.answers[0]
                if answer.hang_up:
                    self.close_connection = True
                    return
                sent = json.dumps(answer.body).encode()
                self.send_response_only(answer.status)
                self.send_header("Date", formatdate(usegmt=True))
                self.send_header("Content-Type", "application/x-amz-json-1.0")
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
                """Say nothing."""

        return Handler
