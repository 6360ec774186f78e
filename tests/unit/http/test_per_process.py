"""What a process makes for itself: once, and again in a child that was forked."""

import subprocess
import sys
import threading

import pytest

from zae_limiter_http.per_process import PerProcess


def test_it_is_made_once_by_whoever_comes_first() -> None:
    made: list[int] = []
    barrier = threading.Barrier(8)

    def make() -> object:
        made.append(1)
        return object()

    own = PerProcess(make)
    found: list[object] = []

    def ask() -> None:
        barrier.wait(5)
        found.append(own.get())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert (len(made), len(set(map(id, found)))) == (1, 1)


def test_what_cannot_be_made_is_tried_again() -> None:
    tries: list[int] = []

    def make() -> str:
        tries.append(1)
        if len(tries) == 1:
            raise OSError("not yet")
        return "there"

    own = PerProcess(make)
    with pytest.raises(OSError, match="not yet"):
        own.get()
    assert (own.get(), own.get(), len(tries)) == ("there", "there", 2)


_FORKING = """
import os
from zae_limiter_http.per_process import PerProcess

own = PerProcess(os.getpid)
assert own.get() == os.getpid()
with own._lock:
    child = os.fork()
    if child == 0:
        os._exit(0 if own.get() == os.getpid() else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert own.get() == os.getpid()
"""


def test_a_child_makes_its_own_though_the_lock_was_held_at_the_fork() -> None:
    # In a process of its own: that of the tests may have threads, and should not fork.
    subprocess.run([sys.executable, "-c", _FORKING], check=True, timeout=20)
