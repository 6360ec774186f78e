"""A TCP proxy between a client and DynamoDB Local that cuts, delays, truncates and blackholes, on command.

It reads whole requests and whole answers, so it knows what reached the server and can break the connection at a
point of its choice. `served` has what the server has carried out, in order.
"""

import contextlib
import enum
import json
import socket
import threading
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, NamedTuple, Self
from urllib.parse import urlsplit

WRITES: Final = frozenset({"UpdateItem", "BatchExecuteStatement"})
_PATIENCE: Final = 30.0


class Fault(enum.Enum):
    """What happens to one request and its answer."""

    CUT_BEFORE = "the connection ends before the request has arrived"
    TRUNCATE_REQUEST = "half of the request arrives, and the connection ends"
    BLACKHOLE_BEFORE = "the request never arrives, and nobody says so"
    CUT_AFTER = "the connection ends after the request was carried out"
    TRUNCATE_ANSWER = "the connection ends in the middle of the answer"
    STALL_ANSWER = "half of the answer arrives, and nothing after it"
    DELAY_ANSWER = "the answer waits until the proxy is healed"
    BLACKHOLE_AFTER = "the answer is swallowed, and nobody says so"
    RESET = "the connection is reset after the request was carried out"


SILENT: Final = frozenset({Fault.BLACKHOLE_BEFORE, Fault.BLACKHOLE_AFTER, Fault.STALL_ANSWER, Fault.DELAY_ANSWER})
"""Those that only a time-out ends."""
CARRIED_OUT: Final = frozenset(set(Fault) - {Fault.CUT_BEFORE, Fault.TRUNCATE_REQUEST, Fault.BLACKHOLE_BEFORE})
"""Those that leave the request carried out."""


class Instead(NamedTuple):
    """An answer of the service in place of the server's; the request is carried out first where it says so."""

    code: str
    status: int = 400
    is_carried_out: bool = False
    more: Mapping[str, Any] = {}

    def as_answer(self) -> bytes:
        told = {"__type": f"com.amazonaws.dynamodb.v20120810#{self.code}", "message": "as the test wanted"}
        body = json.dumps({**told, **self.more}).encode()
        head = f"HTTP/1.1 {self.status} X\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: {len(body)}"
        return head.encode() + b"\r\n\r\n" + body


class Served(NamedTuple):
    """One request that the server has carried out, and its answer."""

    operation: str
    asked: Mapping[str, Any]
    status: int
    answer: Mapping[str, Any]


class Proxy:
    """Listens on a port of its own; `url` is its address. `next` has what happens to the next writes, then `always`."""

    def __init__(self, endpoint: str) -> None:
        found = urlsplit(endpoint)
        self._server = (found.hostname or "127.0.0.1", found.port or 80)
        self._listener: socket.socket | None = None
        self._address = ("127.0.0.1", 0)
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._healed = threading.Event()
        self.next: deque[Fault | Instead | None] = deque()
        self.always: Fault | Instead | None = None
        self.spares_reads = True
        self.arrived = 0
        self.served: list[Served] = []
        self.up()
        self.url = f"http://127.0.0.1:{self._address[1]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.heal()
        self.down()

    def up(self) -> None:
        """Listen, on the same port as before."""
        self._listener = socket.create_server(self._address, backlog=256)
        self._address = self._listener.getsockname()
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def down(self) -> None:
        """Refuse connections, and end those that are open."""
        if self._listener is not None:
            # Closing alone would leave the thread in its call, and the port open with it.
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        with self._lock:
            found = list(self._open)
        for each in found:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def heal(self) -> None:
        """Let everything through; answers that were held back are sent."""
        self.always = None
        self.next.clear()
        healed, self._healed = self._healed, threading.Event()
        healed.set()

    def writes(self) -> list[Served]:
        """The writes that the server has done, or has refused by their conditions."""
        return [each for each in self.served if each.operation in WRITES]

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client, socket.create_connection(self._server, _PATIENCE) as server:
            self._kept(client)
            try:
                while (request := _message(client)) is not None:
                    if not self._passed(request, client, server):
                        return
            finally:
                with self._lock:
                    self._open.discard(client)

    def _kept(self, client: socket.socket) -> None:
        client.settimeout(_PATIENCE)
        with self._lock:
            self._open.add(client)

    def _passed(self, request: "_Message", client: socket.socket, server: socket.socket) -> bool:
        """Carry one request over and back; false when the connection ends with it."""
        operation = request.operation()
        healed = self._healed
        with self._lock:
            self.arrived += 1
            happens = None
            if operation in WRITES or not self.spares_reads:
                happens = self.next.popleft() if self.next else self.always
        if happens is Fault.BLACKHOLE_BEFORE:
            healed.wait(_PATIENCE)
            return False
        if happens is Fault.CUT_BEFORE:
            return False
        if happens is Fault.TRUNCATE_REQUEST:
            server.sendall(request.text[: len(request.text) // 2])
            return False
        if isinstance(happens, Instead) and not happens.is_carried_out:
            client.sendall(happens.as_answer())
            return True
        server.sendall(request.text)
        answer = _message(server)
        if answer is None:
            return False
        with self._lock:
            self.served.append(Served(operation, request.body(), answer.status(), answer.body()))
        return _answered(happens, answer.text, client, healed)


def _answered(happens: Fault | Instead | None, answer: bytes, client: socket.socket, healed: threading.Event) -> bool:
    if isinstance(happens, Instead):
        client.sendall(happens.as_answer())
        return True
    if happens is None or happens is Fault.DELAY_ANSWER:
        if happens is Fault.DELAY_ANSWER:
            healed.wait(_PATIENCE)
        client.sendall(answer)
        return True
    if happens in (Fault.TRUNCATE_ANSWER, Fault.STALL_ANSWER):
        client.sendall(answer[: len(answer) - len(answer) // 4])
    if happens in SILENT:
        healed.wait(_PATIENCE)
    if happens is Fault.RESET:
        # To close with unsent data dropped sends a reset instead of an end.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    return False


class _Message(NamedTuple):
    """A request or an answer of HTTP, as it came."""

    text: bytes

    def operation(self) -> str:
        head = self.text.partition(b"\r\n\r\n")[0].decode("latin-1").lower()
        line = next((line for line in head.splitlines() if line.startswith("x-amz-target:")), "")
        name = line.rpartition(".")[2].strip()
        return {each.lower(): each for each in _OPERATIONS}.get(name, name)

    def status(self) -> int:
        return int(self.text.split(b" ", 2)[1])

    def body(self) -> Mapping[str, Any]:
        body = self.text.partition(b"\r\n\r\n")[2]
        found: Mapping[str, Any] = json.loads(body) if body else {}
        return found


_OPERATIONS: Final = (*sorted(WRITES), "BatchGetItem", "GetItem", "Query", "TransactWriteItems", "CreateTable")


def _message(source: socket.socket) -> _Message | None:
    """The next whole message, or None when the connection has ended."""
    text = b""
    while b"\r\n\r\n" not in text:
        more = source.recv(65_536)
        if not more:
            return None
        text += more
    head, _, body = text.partition(b"\r\n\r\n")
    lengths = [line.partition(b":")[2] for line in head.splitlines() if line.lower().startswith(b"content-length:")]
    missing = (int(lengths[0]) if lengths else 0) - len(body)
    while missing > 0:
        more = source.recv(65_536)
        if not more:
            return None
        text += more
        missing -= len(more)
    return _Message(text)
