"""Tasks, threads and processes on one bucket: exactly the burst, and a file that a kill leaves whole."""

import asyncio
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from zae_limiter import EmbeddedRepository, RateLimiter, RateLimitExceeded, SyncEmbeddedRepository, SyncRateLimiter

SLOW = "x=50/30 days"
_TAKER = """
import sys
from zae_limiter import RateLimitExceeded, open_sync_limiter
granted = 0
with open_sync_limiter("embedded://" + sys.argv[1]) as limiter:
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(int(sys.argv[2])):
        try:
            with limiter.acquire("someone", "api", 1, "x=50/30 days", timeout=20):
                granted += 1
        except RateLimitExceeded:
            pass
print(granted)
"""


def taker(path: Path, tries: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _TAKER, str(path), str(tries)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("name", [":memory:", "limits.db"])
async def test_two_hundred_tasks_get_exactly_the_burst(name: str, tmp_path: Path) -> None:
    path = name if name == ":memory:" else str(tmp_path / name)

    async def take(limiter: RateLimiter) -> bool:
        try:
            async with limiter.acquire("someone", "api", 1, SLOW, timeout=20):
                return True
        except RateLimitExceeded:
            return False

    async with RateLimiter(EmbeddedRepository(path)) as limiter:
        assert sum(await asyncio.gather(*(take(limiter) for _ in range(200)))) == 50


@pytest.mark.parametrize("name", [":memory:", "limits.db"])
def test_sixteen_threads_get_exactly_the_burst(name: str, tmp_path: Path) -> None:
    path = name if name == ":memory:" else str(tmp_path / name)
    with SyncRateLimiter(SyncEmbeddedRepository(path)) as limiter:

        def take(_: int) -> bool:
            try:
                with limiter.acquire("someone", "api", 1, SLOW, timeout=20):
                    return True
            except RateLimitExceeded:
                return False

        with ThreadPoolExecutor(16) as executor:
            assert sum(executor.map(take, range(200))) == 50


@pytest.mark.slow
def test_four_processes_on_one_file_get_exactly_the_burst(tmp_path: Path) -> None:
    processes = [taker(tmp_path / "limits.db", 40) for _ in range(4)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    assert sum(int(process.communicate(timeout=60)[0]) for process in processes) == 50


@pytest.mark.slow
def test_a_kill_in_the_middle_leaves_a_file_that_opens_and_no_bucket_above_its_burst(tmp_path: Path) -> None:
    path = tmp_path / "limits.db"
    for _ in range(4):
        process = taker(path, 100_000)
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.readline()
        process.stdin.write("\n")
        process.stdin.flush()
        with SyncRateLimiter(SyncEmbeddedRepository(str(path))) as limiter:
            found: dict[str, Any] = limiter.available("someone", "api", SLOW)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=20)
        with SyncRateLimiter(SyncEmbeddedRepository(str(path))) as limiter:
            found = limiter.available("someone", "api", SLOW)
        assert 0 <= found["x"] <= 50
