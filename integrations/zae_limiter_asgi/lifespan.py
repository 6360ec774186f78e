"""The lifespan of an application, with the limiter's around it."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from zae_limiter_asgi.opening import Opening

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Lifespan:
    """Opens the limiter before the application starts, and closes it after its end, however that comes."""

    def __init__(self, opening: Opening, receive: Receive, send: Send) -> None:
        self._opening = opening
        self._receive = receive
        self._send = send
        self._failure: Exception | None = None
        self._is_started = False

    async def run(self, app: Callable[[Any, Receive, Send], Awaitable[None]], scope: Any) -> None:
        """Serve the lifespan; the limiter is closed even when the application fails after its start."""
        try:
            await app(scope, self._receiving, self._sending)
        except Exception:
            # An application without a lifespan raises here; servers take that as "none", and the first request opens.
            if self._failure is None:
                raise
            message = f"the limiter cannot start: {self._failure}"
            await self._send({"type": "lifespan.startup.failed", "message": message})
        finally:
            if self._is_started:
                await self._opening.close()

    async def _receiving(self) -> Message:
        message = await self._receive()
        if message["type"] == "lifespan.startup":
            try:
                await self._opening.open()
            except Exception as error:
                self._failure = error
                raise
            self._is_started = True
        return message

    async def _sending(self, message: Message) -> None:
        if message["type"] in ("lifespan.startup.failed", "lifespan.shutdown.complete", "lifespan.shutdown.failed"):
            await self._opening.close()
        await self._send(message)
