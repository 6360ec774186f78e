"""A terminal for a program to write to."""

import contextlib
import os
import pty
import subprocess

from tests.time_limit import at_most

_SECONDS = 60


def on_a_terminal(*command: str, **variables: str) -> str:
    """What a program that ends well shows on a terminal of its own, whatever this one and its variables are like."""
    usual = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "FORCE_COLOR", "CI"}}
    read_end, terminal = pty.openpty()
    told = {**usual, "TERM": "xterm", "COLUMNS": "120", **variables}
    shown = b""
    with (
        subprocess.Popen(command, stdout=terminal, stderr=terminal, env=told, start_new_session=True) as process,
        at_most(_SECONDS, process),
    ):
        os.close(terminal)
        # Until the last process has closed it, which Linux tells by an error.
        with contextlib.suppress(OSError):
            while piece := os.read(read_end, 65_536):
                shown += piece
        process.wait()
    os.close(read_end)
    assert process.returncode == 0, (process.returncode, shown.decode())
    return shown.decode()
