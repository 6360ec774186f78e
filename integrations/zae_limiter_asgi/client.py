"""Waiting for room on behalf of a client, and giving up when the client is gone.

What arrives meanwhile is kept for the application.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any, Final

from zae_limiter.lease import Lease

Message = MutableMapping[str, Any]

_MOST_OCTETS: Final = 65_536
_GONE: Final = ("http.disconnect", "websocket.disconnect")


class ClientGone(Exception):  # noqa: N818 - nobody is left to answer; not a mistake
    """The client has left while it was waiting for room."""


class Inbox:
    """The messages of a connection, in their order, whoever asked for them first."""

    def __init__(self, receive: Callable[[], Awaitable[Message]]) -> None:
        self._receive = receive
        self._kept: deque[Message] = deque()
        self._asked: asyncio.Future[Message] | None = None
        self.receive: Callable[[], Awaitable[Message]] = receive

    async def waited(self, step: Coroutine[Any, Any, Lease]) -> Lease:
        """What a step gives; `ClientGone` when the client leaves before."""
        self.receive = self._next
        waiting = asyncio.ensure_future(step)
        octets = 0
        try:
            while octets <= _MOST_OCTETS:
                if self._asked is None:
                    self._asked = asyncio.ensure_future(self._receive())
                await asyncio.wait((waiting, self._asked), return_when=asyncio.FIRST_COMPLETED)
                if waiting.done():
                    break
                message = self._asked.result()
                self._asked = None
                if message["type"] in _GONE:
                    raise ClientGone
                self._kept.append(message)
                octets += len(message.get("body", b""))
            return await waiting
        finally:
            if not waiting.done():
                waiting.cancel()
                await asyncio.wait((waiting,))

    def close(self) -> None:
        """Ask for no further message: the connection is answered."""
        if self._asked is not None:
            self._asked.cancel()

    async def _next(self) -> Message:
        if self._kept:
            return self._kept.popleft()
        if self._asked is not None:
            asked, self._asked = self._asked, None
            return await asked
        return await self._receive()
