"""A websocket client over a plain socket, for tests of real servers."""

import json
import socket
from collections import deque
from types import TracebackType
from typing import Any

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)

_LONGEST_SECONDS = 20


class Connection:
    """One connection; `status` and `headers` are of the answer to its handshake."""

    def __init__(self, port: int, path: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_LONGEST_SECONDS)
        self._protocol = WSConnection(ConnectionType.CLIENT)
        self._events: deque[Any] = deque()
        self._socket.sendall(self._protocol.send(Request("test", path)))
        answer = self._next()
        self.status: int = answer.status_code if isinstance(answer, RejectConnection) else 101
        pairs = answer.headers if isinstance(answer, RejectConnection) else answer.extra_headers
        self.headers = {name.decode(): value.decode() for name, value in pairs}
        self.body = b""
        if isinstance(answer, RejectConnection) and answer.has_body:
            self.body = self._body()
        assert isinstance(answer, RejectConnection | AcceptConnection)

    def __enter__(self) -> "Connection":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._socket.close()

    def say(self, text: str) -> None:
        """Send a text."""
        self._socket.sendall(self._protocol.send(TextMessage(text)))

    def say_bytes(self, data: bytes) -> None:
        """Send bytes."""
        self._socket.sendall(self._protocol.send(BytesMessage(data)))

    def hear(self) -> Any:
        """The next message, of JSON, or the code that the server closes with."""
        event = self._next()
        if isinstance(event, CloseConnection):
            return int(event.code)
        assert isinstance(event, TextMessage)
        return json.loads(event.data)

    def _body(self) -> bytes:
        found = b""
        while True:
            event = self._next()
            assert isinstance(event, RejectData)
            found += bytes(event.data)
            if event.body_finished:
                return found

    def _next(self) -> Any:
        while not self._events:
            read = self._socket.recv(65_536)
            assert read, "the server has hung up"
            self._protocol.receive_data(read)
            self._events.extend(self._protocol.events())
        return self._events.popleft()
