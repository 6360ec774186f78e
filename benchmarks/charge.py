"""One charge on the embedded store, both faces, beside other limiters; redis-backed ones when a server is found."""

import asyncio
import contextlib
import itertools
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from limits import parse, storage, strategies

from benchmarks.rounds import Contender, medians, shown
from zae_limiter import RateLimiter, SyncRateLimiter, open_limiter, open_sync_limiter

ONE = "1000000/second"
TWO = "1000000/second; 50000000/minute"
TEN = "; ".join(f"limit{number}=1000000/second" for number in range(10))


def blocking(limiter: SyncRateLimiter, limits: str, entities: Iterator[str]) -> Contender:
    """Charges on the blocking face."""

    def charge(calls: int) -> None:
        for _ in range(calls):
            with limiter.acquire(next(entities), "api", 1, limits):
                pass

    return charge


def awaiting(loop: asyncio.AbstractEventLoop, limiter: RateLimiter, limits: str) -> Contender:
    """Charges on the async face."""

    async def charge(calls: int) -> None:
        for _ in range(calls):
            async with limiter.acquire("user-1", "api", 1, limits):
                pass

    return lambda calls: loop.run_until_complete(charge(calls))


def others(found: storage.Storage, *, several: int) -> Contender:
    """The moving window of `limits`, as often as there are limits."""
    strategy = strategies.SlidingWindowCounterRateLimiter(found)
    rates = [parse("1000000/second"), parse("50000000/minute")][:several]

    def hit(calls: int) -> None:
        for _ in range(calls):
            for rate in rates:
                strategy.hit(rate, "user-1", "api")

    return hit


def throttled(store: Any, *, several: int) -> Contender:
    """The token bucket of throttled-py, as often as there are limits."""
    from throttled import RateLimiterType, Throttled, rate_limiter

    quotas = [rate_limiter.per_sec(1_000_000, burst=1_000_000), rate_limiter.per_min(50_000_000, burst=50_000_000)]
    kind = RateLimiterType.TOKEN_BUCKET.value
    made = [Throttled(key="user-1", using=kind, quota=quota, store=store) for quota in quotas[:several]]

    def hit(calls: int) -> None:
        for _ in range(calls):
            for one in made:
                one.limit()

    return hit


@contextlib.contextmanager
def redis_url() -> Iterator[str | None]:
    """A redis server on a free port, or None where none is installed."""
    program = shutil.which("redis-server")
    if program is None:
        yield None
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [program, "--port", str(port), "--save", "", "--appendonly", "no", "--bind", "127.0.0.1"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(5)


def main() -> None:
    """Compare, and print."""
    from throttled import MemoryStore, RedisStore

    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        memory = stack.enter_context(open_sync_limiter("memory:"))
        file = stack.enter_context(open_sync_limiter(f"embedded://{folder}/limits.db"))
        loop = asyncio.new_event_loop()
        stack.callback(loop.close)
        async_memory = open_limiter("memory:")
        async_file = open_limiter(f"embedded://{folder}/async.db")
        hot = itertools.repeat("user-1")
        spread = itertools.cycle([f"user-{number}" for number in range(10_000)])
        contenders: dict[str, Contender] = {
            "ours, memory, sync, 1 limit": blocking(memory, ONE, hot),
            "ours, memory, sync, 2 limits": blocking(memory, TWO, hot),
            "ours, memory, sync, 2 limits, 10,000 buckets": blocking(memory, TWO, spread),
            "ours, memory, async, 2 limits": awaiting(loop, async_memory, TWO),
            "ours, memory, sync, 10 limits": blocking(memory, TEN, itertools.repeat("user-10")),
            "ours, file, sync, 1 limit": blocking(file, ONE, hot),
            "ours, file, sync, 10 limits": blocking(file, TEN, itertools.repeat("user-10")),
            "ours, file, sync, 2 limits": blocking(file, TWO, hot),
            "ours, file, async, 2 limits": awaiting(loop, async_file, TWO),
            "limits, memory, 2 limits": others(storage.MemoryStorage(), several=2),
            "throttled-py, memory, 2 limits": throttled(MemoryStore(), several=2),
        }
        # The first charge of a bucket is another matter: all of them have had one.
        contenders["ours, memory, sync, 2 limits, 10,000 buckets"](10_000)
        url = stack.enter_context(redis_url())
        if url is not None:
            contenders["limits, redis, 2 limits"] = others(storage.RedisStorage(url), several=2)
            contenders["throttled-py, redis, 2 limits"] = throttled(RedisStore(server=url), several=2)
        shown("one charge", medians(contenders), base="ours, file, sync, 2 limits")
        loop.run_until_complete(async_memory.close())
        loop.run_until_complete(async_file.close())


if __name__ == "__main__":
    main()
