"""Opening: the limiter of an application, opened once however many requests come first, and closed at the end."""

import asyncio

from zae_limiter.limiter import RateLimiter


class Opening:
    """Shared by all middleware over one limiter."""

    def __init__(self, limiter: RateLimiter) -> None:
        self._limiter = limiter
        self._lock: asyncio.Lock | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.is_open = False

    async def open(self) -> None:
        """Open the limiter unless it is open."""
        loop = asyncio.get_running_loop()
        if self._lock is None or self._loop is not loop:
            # A lock belongs to one event loop, and tests run each request on another.
            self._lock, self._loop = asyncio.Lock(), loop
        async with self._lock:
            if not self.is_open:
                await self._limiter.__aenter__()
                self.is_open = True

    async def close(self) -> None:
        """Close the limiter if it is open."""
        if self.is_open:
            self.is_open = False
            self._lock = self._loop = None
            await self._limiter.__aexit__(None, None, None)
