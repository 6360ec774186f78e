"""Websocket handshakes: a refusal as the server can send it, and the fields of a grant when it is accepted.

Limited is the handshake alone; messages are the application's.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from zae_limiter_asgi.facts import octets
from zae_limiter_http import Refusal

Message = MutableMapping[str, Any]

CLOSED: Final = 403
"""What a server answers to a handshake that is closed without more."""


async def denied(
    scope: MutableMapping[str, Any], send: Callable[[Message], Awaitable[None]], refusal: Refusal, close_code: int
) -> None:
    """Refuse a handshake: with the whole answer where the server knows how, else with a bare close."""
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": close_code, "reason": ""})
        return
    headers = octets(refusal.headers)
    await send({"type": "websocket.http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": refusal.body, "more_body": False})


class Handshake:
    """The connection as the application sees it; `status` tells how the application has answered the handshake."""

    def __init__(
        self,
        connect: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
        fields: list[tuple[bytes, bytes]],
    ) -> None:
        self._connect: Message | None = connect
        self._receive = receive
        self._send = send
        self._fields = fields
        self.status: int | None = None

    async def receive(self) -> Message:
        """The next message; the handshake first."""
        if self._connect is not None:
            connect, self._connect = self._connect, None
            return connect
        return await self._receive()

    async def send(self, message: Message) -> None:
        """Send on; an acceptance carries the fields of the limits."""
        if self.status is None:
            if message["type"] == "websocket.accept":
                self.status = 101
                message = {**message, "headers": [*message.get("headers", ()), *self._fields]}
            elif message["type"] == "websocket.close":
                self.status = CLOSED
            elif message["type"] == "websocket.http.response.start":
                self.status = message["status"]
        await self._send(message)
