"""The server that tests run against is shared by all who name a folder, and gone after the last of them."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from zae_limiter.exceptions import LocalStoreError
from zae_limiter.local import check_java_tools, is_up

_USER = """
import sys
from pathlib import Path
from tests.dynamodb import local_server
with local_server.shared(Path(sys.argv[1])) as endpoint:
    print(endpoint, flush=True)
    sys.stdin.readline()
"""
_PATIENCE_SECONDS = 20


def user(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _USER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def is_down_soon(endpoint: str) -> bool:
    until = time.monotonic() + _PATIENCE_SECONDS
    while is_up(endpoint) and time.monotonic() < until:
        pass
    return not is_up(endpoint)


@pytest.mark.slow
def test_users_that_start_at_once_share_a_server_which_ends_with_the_last_of_them(
    dynamodb_endpoint: str, tmp_path: Path
) -> None:
    first, second = user(tmp_path), user(tmp_path)
    assert first.stdout is not None
    assert second.stdout is not None
    endpoint = first.stdout.readline().strip()
    assert second.stdout.readline().strip() == endpoint != dynamodb_endpoint
    first.communicate("\n", timeout=_PATIENCE_SECONDS)
    assert is_up(endpoint)
    # Killed: it has no chance to say that it is done.
    second.kill()
    second.communicate(timeout=_PATIENCE_SECONDS)
    assert is_down_soon(endpoint)


def test_without_java_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(LocalStoreError, match="install Java"):
        check_java_tools()
