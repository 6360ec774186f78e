"""Asks an ASGI application in process, on an event loop of its own.

Messages go by the specification: a client that leaves is an `http.disconnect`, and what is sent to it goes nowhere.
"""

import asyncio
import inspect
from collections.abc import MutableMapping, Sequence
from typing import Any, Final
from urllib.parse import unquote

from zae_limiter_http.conformance.asking import Ask, Reply
from zae_limiter_http.rule import SettingsError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]

_LONGEST_SECONDS: Final = 10


class AsgiCaller:
    """Calls one application."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()

    def close(self) -> None:
        """End the event loop."""
        self._runner.close()

    def done(self, value: Any) -> Any:
        """The result of what may have to be awaited."""
        return self._runner.run(_awaited(value)) if inspect.isawaitable(value) else value

    def ask(self, app: Any, asks: Sequence[Ask]) -> list[Reply]:
        """Ask everything at once."""
        return self._runner.run(_all(app, asks))

    def run(self, app: Any, scope: Scope, messages: Sequence[Message]) -> list[Message]:
        """Run a connection that is no request: what it sends, given the messages that it receives one by one."""
        return self._runner.run(_sent(app, scope, messages))


async def _awaited(value: Any) -> Any:
    return await value


async def _all(app: Any, asks: Sequence[Ask]) -> list[Reply]:
    return list(await asyncio.gather(*(replied(app, scope_of(ask), ask) for ask in asks)))


async def _sent(app: Any, scope: Scope, messages: Sequence[Message]) -> list[Message]:
    sent: list[Message] = []
    waiting = list(messages)
    echoed = asyncio.Event()
    echoed.set()

    async def receive() -> Message:
        # A text is sent once the one before has come back, and the client leaves after the last.
        await echoed.wait()
        assert waiting, f"the application waits for more than it gets; it has sent {sent}"
        message = waiting.pop(0)
        if message["type"] == "websocket.receive":
            echoed.clear()
        return message

    async def send(message: Message) -> None:
        sent.append(message)
        if message["type"] == "websocket.send":
            echoed.set()

    try:
        async with asyncio.timeout(_LONGEST_SECONDS):
            await app(scope, receive, send)
    except Exception:
        # A server logs what an application raises once it has told that it cannot start.
        if not sent or sent[-1]["type"] != "lifespan.startup.failed":
            raise
    return sent


def scope_of(ask: Ask) -> Scope:
    """The scope of a request, as a server makes it."""
    path, _, query = ask.path.partition("?")
    headers = [(b"host", b"test"), (b"content-length", str(len(ask.body)).encode())]
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": ask.spec_version},
        "http_version": "1.1",
        "method": ask.method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": headers + [(name.encode("latin-1"), value.encode("latin-1")) for name, value in ask.headers],
        "client": (ask.peer, 1234) if ask.peer is not None else None,
        "server": ("test", 80),
        "state": {},
        "extensions": {},
    }
    for key in ask.without:
        (scope["asgi"] if key == "spec_version" else scope).pop(key)
    return scope


async def replied(app: Any, scope: Scope, ask: Ask) -> Reply:
    """The reply to one request; an application that raises before it has answered gives a 500."""
    connection = _Connection(ask)
    try:
        async with asyncio.timeout(_LONGEST_SECONDS):
            await app(scope, connection.receive, connection.send)
    except (TimeoutError, SettingsError):
        raise
    except Exception:
        # An application may pass on the error of a send to a client that is gone; a server drops it.
        if ask.leaves_after is not None and ask.spec_version < "2.4":
            raise
        if connection.status is None:
            return Reply(500, (), b"", is_complete=False)
    assert connection.status is not None, "the application has returned without an answer"
    body = b"" if ask.method == "HEAD" else b"".join(connection.parts)
    return Reply(connection.status, connection.headers, body, connection.is_complete, connection.names)


class _Connection:
    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._is_read = False
        self._is_gone = asyncio.Event()
        self.status: int | None = None
        self.headers: list[tuple[str, str]] = []
        self.names: list[str] = []
        self.parts: list[bytes] = []
        self.is_complete = False

    async def receive(self) -> Scope:
        if not self._is_read:
            self._is_read = True
            return {"type": "http.request", "body": self._ask.body, "more_body": False}
        await self._is_gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if self._is_gone.is_set():
            if self._ask.spec_version >= "2.4":
                raise OSError("the client is gone")
            return
        if message["type"] == "http.response.start":
            assert self.status is None, "a response begins once"
            self.status = message["status"]
            self.headers = [_text(header) for header in message.get("headers", ())]
            self.names = [bytes(name).decode("latin-1") for name, _ in message.get("headers", ())]
        elif message["type"] == "http.response.body":
            self._body(message)

    def _body(self, message: Message) -> None:
        if message.get("body"):
            self.parts.append(bytes(message["body"]))
        if not message.get("more_body", False):
            self.is_complete = True
            self._is_gone.set()
        elif self._ask.leaves_after is not None and len(self.parts) >= self._ask.leaves_after:
            self._is_gone.set()


def _text(header: Any) -> tuple[str, str]:
    name, value = header
    return bytes(name).decode("latin-1").lower(), bytes(value).decode("latin-1")
