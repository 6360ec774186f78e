"""The page that shows all of it at work on DynamoDB: every command runs, and prints what the page says."""

import os
import re
import shutil
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.transcripts import ROOT, compared, shell, steps, write_files

pytestmark = pytest.mark.slow

PAGE = ROOT / "docs" / "guide" / "seen-working.md"
PNG = b"\x89PNG"
DIFFERING = {
    # How long the three requests before took is taken off the wait.
    "ask -w": r"(?<=Retry in )\d+|(?<=\"retry_after\":)\d+|(?<=try again after )\d+",
    # How much the load has asked for, and of which limit there is least, depends on how fast the machine is.
    "zae-limiter top gpt-4 --looks": r"^key-\d +gpt-4 +(rps|tpm) .*",
    "zae-limiter usage rollup": r"\d+",
    "zae-limiter usage summary -r gpt-4": r"(?<= )\d[\d,.]*|^\d+(?= snapshots)",
}
"""What differs from run to run in the lines that a command prints, by its first words."""


def on_free_ports(text: str) -> str:
    """The page with ports that nobody has, in place of those it names."""
    with ExitStack() as taken:
        for port in ("8000", "8001", "8080"):
            place = taken.enter_context(socket.socket())
            place.bind(("127.0.0.1", 0))
            text = re.sub(rf"(?<=[: ]){port}\b", str(place.getsockname()[1]), text)
    return text


@pytest.mark.usefixtures("dynamodb_endpoint")
def test_every_command_of_the_page_prints_what_it_shows(tmp_path: Path) -> None:
    missing = [program for program in ("bash", "curl", "chromium") if shutil.which(program) is None]
    if missing and not os.environ.get("CI"):
        pytest.skip(f"needs {' and '.join(missing)}")
    text = on_free_ports(PAGE.read_text(encoding="utf-8"))
    write_files(text, tmp_path)
    (tmp_path / "example_apps").symlink_to(ROOT / "example_apps")
    with shell(tmp_path, {"XDG_STATE_HOME": str(tmp_path)}) as running:
        try:
            for step in steps(text):
                lines, code = running.run(step.command)
                assert code == 0, (step.command, lines)
                differing = next((DIFFERING[words] for words in DIFFERING if step.command.startswith(words)), None)
                assert compared(lines, differing) == compared(step.lines, differing), step.command
        finally:
            running.run("zae-limiter local down")

    assert (tmp_path / "page.png").read_bytes().startswith(PNG)
    assert PAGE.with_suffix(".png").read_bytes().startswith(PNG)
