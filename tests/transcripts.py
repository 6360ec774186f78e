"""Runs the console blocks of a page in one shell, and compares what they print with what the page says.

Times and identifiers differ in every run, and what a few commands count does, too: those are left out of the
comparison, and nothing else is. `python -m tests.transcripts PAGE` runs a page and writes what was printed into it.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.time_limit import at_most

ROOT: Final = Path(__file__).parents[1]
_BLOCK: Final = re.compile(r"^```(console|yaml)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_FILE: Final = re.compile(r"`([\w.]+)`:\n\n```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
_IN_EVERY_RUN: Final = re.compile(r"\b(?:[0-9a-f]{24}|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)\b")
_END: Final = "-- this was all of it, and it ended with"


@dataclass
class Step:
    """A command and the lines that it prints."""

    command: str
    lines: list[str] = field(default_factory=list)


def steps(text: str) -> list[Step]:
    """The commands of a page in their order."""
    found: list[Step] = []
    for kind, block in _BLOCK.findall(text):
        for line in block.splitlines() if kind == "console" else ():
            if line.startswith("$ "):
                found.append(Step(line.removeprefix("$ ")))
            else:
                found[-1].lines.append(line)
    return found


def write_files(text: str, folder: Path) -> None:
    """Write the files that a page shows under their names."""
    for name, content in _FILE.findall(text):
        (folder / name).write_text(content, encoding="utf-8")


def compared(lines: Sequence[str], differing: str | None = None) -> list[str]:
    """Lines without the time and the identifier of an event, and without what a pattern finds.

    What a pattern finds is of any width, and so is the space beside it.
    """
    plain = [_IN_EVERY_RUN.sub("...", line) for line in lines]
    return plain if differing is None else [" ".join(re.sub(differing, "...", line).split()) for line in plain]


class Shell:
    """A shell that keeps its variables and background jobs from one command to the next."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def run(self, command: str, *, seconds: float = 180) -> tuple[list[str], int]:
        """What a command prints, on both outputs, and its exit code."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{{ {command}\n}} 2>&1; code=$?; echo; echo '{_END}' $code\n")
        self._process.stdin.flush()
        with at_most(seconds, self._process):
            lines = list(self._until_the_end(self._process.stdout))
        code = int(lines.pop().removeprefix(_END))
        while lines and not lines[-1]:
            lines.pop()
        return lines, code

    @staticmethod
    def _until_the_end(output: Iterator[str]) -> Iterator[str]:
        for line in output:
            yield line.rstrip()
            if line.startswith(_END):
                return
        raise AssertionError("the shell ended, or the command took too long")


@contextmanager
def shell(folder: Path, environment: Mapping[str, str]) -> Generator[Shell]:
    """A shell in a folder; whatever it left running is ended with it."""
    command = ["bash", "--norc", "--noprofile"]
    with subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **environment, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield Shell(process)
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def _record(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(text, folder)
        (folder / "example_apps").symlink_to(ROOT / "example_apps")
        with shell(folder, {"XDG_STATE_HOME": name}) as running:
            for step in steps(text):
                lines, code = running.run(step.command)
                print(code, step.command, *lines, sep="\n", flush=True)
                before = "\n".join([f"$ {step.command}", *step.lines])
                text = text.replace(before, "\n".join([f"$ {step.command}", *lines]), 1)
        if (folder / "page.png").exists():
            (folder / "page.png").replace(page.with_suffix(".png"))
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    _record(Path(sys.argv[1]))
