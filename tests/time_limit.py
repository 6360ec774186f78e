"""A time limit for what a process takes, so that nobody reads for ever from one that hangs."""

import os
import signal
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from threading import Timer
from typing import Any


@contextmanager
def at_most(seconds: float, process: "subprocess.Popen[Any]") -> Generator[None]:
    """End a process that takes longer, and all it has started: one with a session of its own."""
    watch = Timer(seconds, os.killpg, (process.pid, signal.SIGKILL))
    watch.start()
    try:
        yield
    finally:
        watch.cancel()
