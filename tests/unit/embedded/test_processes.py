"""One store in several processes, event loops and threads: after a fork, and when nobody closes it."""

import asyncio
import gc
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from zae_limiter import EmbeddedRepository, RateLimiter, RateLimitExceeded, SyncEmbeddedRepository, SyncRateLimiter

SLOW = "x=50/30 days"

_FORKED = """
import asyncio, os, sys
from zae_limiter import *

def taken(limiter, number):
    granted = 0
    for _ in range(number):
        try:
            with limiter.acquire("someone", "api", 1, "x=50/30 days", timeout=20):
                granted += 1
        except RateLimitExceeded:
            pass
    return granted

limiter = SyncRateLimiter(SyncEmbeddedRepository(sys.argv[1]).open())
taken(limiter, 10)
children = []
for _ in range(2):
    child = os.fork()
    if child == 0:
        os._exit(taken(limiter, 30))
    children.append(child)
total = 10 + taken(limiter, 30) + sum(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)
assert total == 50, total
limiter.close()
"""

_FORKED_LOOP = """
import asyncio, os, sys
from zae_limiter import *

limiter = RateLimiter(EmbeddedRepository(sys.argv[1], durable=len(sys.argv) > 2))

async def taken(number):
    async def take():
        try:
            async with limiter.acquire("someone", "api", 1, "x=50/30 days", timeout=20):
                return True
        except RateLimitExceeded:
            return False
    return sum(await asyncio.gather(*(take() for _ in range(number))))

total = asyncio.run(taken(10))
child = os.fork()
if child == 0:
    os._exit(asyncio.run(taken(30)))
total += asyncio.run(taken(30)) + os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
assert total == 50, total
asyncio.run(limiter.close())
"""

_FORKED_WHILE_WRITING = """
import os, threading
from zae_limiter.blocking import run
from zae_limiter.runtimes import BlockingRuntime

runtime, reached, gate = BlockingRuntime(), threading.Event(), threading.Event()

async def stuck(members):
    reached.set()
    gate.wait(20)
    return members

async def quick(members):
    return members

parents = threading.Thread(target=lambda: run(runtime.combined("key", 1, stuck, seconds=20)))
parents.start()
reached.wait(20)
with runtime._groups._lock:
    child = os.fork()
    if child == 0:
        os._exit(run(runtime.combined("key", 7, quick, seconds=5)))
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
gate.set()
parents.join()
assert run(runtime.combined("key", 8, quick, seconds=5)) == 8
"""


def ran(script: str, *arguments: str) -> None:
    # In a process of its own: that of the tests may have threads, and should not fork.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_children_of_a_fork_count_together_with_their_parent(tmp_path: Path) -> None:
    ran(_FORKED, str(tmp_path / "limits.db"))


@pytest.mark.parametrize("durable", [(), ("durable",)])
def test_a_child_of_a_fork_may_run_a_loop_of_its_own(durable: tuple[str, ...], tmp_path: Path) -> None:
    ran(_FORKED_LOOP, str(tmp_path / "limits.db"), *durable)


def test_a_child_does_not_wait_for_threads_that_stayed_in_its_parent() -> None:
    ran(_FORKED_WHILE_WRITING)


@pytest.mark.parametrize("path", [":memory:", "limits.db"])
def test_loops_in_several_threads_share_one_limiter(path: str, tmp_path: Path) -> None:
    limiter = RateLimiter(EmbeddedRepository(path if path == ":memory:" else str(tmp_path / path)))

    async def take() -> bool:
        try:
            async with limiter.acquire("someone", "api", 1, SLOW, timeout=20):
                return True
        except RateLimitExceeded:
            return False

    async def all_of_them() -> int:
        return sum(await asyncio.gather(*(take() for _ in range(40))))

    ready = threading.Barrier(4, timeout=20)

    def loop(_: int) -> int:
        ready.wait()
        return asyncio.run(all_of_them())

    with ThreadPoolExecutor(4) as executor:
        assert sum(executor.map(loop, range(4))) == 50
    asyncio.run(limiter.close())


def test_a_limiter_outlives_the_loop_that_it_began_in(tmp_path: Path) -> None:
    limiter = RateLimiter(EmbeddedRepository(str(tmp_path / "limits.db")))

    async def take() -> None:
        async with limiter.acquire("someone", "api", 1, SLOW):
            pass

    asyncio.run(take())
    asyncio.run(take())
    assert asyncio.run(limiter.available("someone", "api", SLOW)) == {"x": 48}
    asyncio.run(limiter.close())


@pytest.mark.parametrize("path", [":memory:", "limits.db"])
def test_a_store_that_nobody_closes_complains_of_nothing_and_keeps_what_was_charged(path: str, tmp_path: Path) -> None:
    place = path if path == ":memory:" else str(tmp_path / path)

    def forgotten() -> None:
        limiter = SyncRateLimiter(SyncEmbeddedRepository(place).open())
        circle: list[object] = [limiter, limiter.repository]
        circle.append(circle)
        with limiter.acquire("someone", "api", 1, SLOW):
            pass

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        forgotten()
        gc.collect()
    with SyncRateLimiter(SyncEmbeddedRepository(place)) as limiter:
        assert limiter.available("someone", "api", SLOW) == {"x": 50 if path == ":memory:" else 49}


def test_a_lease_that_nobody_ends_stays_charged() -> None:
    with SyncRateLimiter(SyncEmbeddedRepository()) as limiter:
        limiter.acquire("someone", "api", 1, SLOW).__enter__()
        gc.collect()
        assert limiter.available("someone", "api", SLOW) == {"x": 49}
