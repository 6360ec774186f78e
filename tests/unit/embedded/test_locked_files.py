"""Leases that end while another process writes the file, and whose callers are cancelled meanwhile."""

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import pytest

from zae_limiter import EmbeddedRepository, RateLimiter
from zae_limiter.testing import TurnableClock

LIMITS = "10/hour"


@pytest.mark.anyio
@pytest.mark.parametrize(("error", "left"), [(None, 4), (ValueError("the work failed"), 10)])
async def test_a_lease_ends_although_its_caller_is_cancelled_while_the_file_is_locked(
    error: Exception | None, left: int, tmp_path: Path, clock: TurnableClock
) -> None:
    path = str(tmp_path / "limits.db")
    # Its clock stands still, so that no deadline passes on a slow machine.
    limiter = RateLimiter(EmbeddedRepository(path, clock=clock), clock=clock)
    locked = asyncio.Event()
    async with limiter, contextlib.AsyncExitStack() as stack:

        async def work() -> None:
            async with limiter.acquire("someone", "api", 1, LIMITS) as lease:
                await lease.adjust(rph=5)
                other = stack.enter_context(contextlib.closing(sqlite3.connect(path, isolation_level=None)))
                other.execute("begin immediate")
                locked.set()
                if error is not None:
                    raise error

        task = asyncio.create_task(work())
        await locked.wait()
        task.cancel()
        await asyncio.sleep(0)
        await stack.aclose()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await limiter.available("someone", "api", LIMITS) == {"rph": left}
