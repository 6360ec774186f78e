"""Amazon's DynamoDB Local for tests: fetched once with Maven, started once for a run, stopped when the last user ends.

`python -m tests.dynamodb.local_server` runs one by hand until it is interrupted.
"""

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Final

import boto3

from zae_limiter import SyncRepository
from zae_limiter.local import fetched_libraries, is_up, java_command, locked, wait_until_up

ENVIRONMENT: Final = {
    "AWS_ACCESS_KEY_ID": "x",
    "AWS_SECRET_ACCESS_KEY": "x",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    # What a developer has set up for AWS itself is no part of a test.
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
"""What a client of DynamoDB Local needs; it takes any key."""

_START_SECONDS: Final = 180
_PORTS_TRIED: Final = 3
_ROOT: Final = Path(__file__).parents[2]


@contextlib.contextmanager
def running() -> Generator[str, None, None]:
    """A server of one's own; its address."""
    libraries = fetched_libraries()
    for _ in range(_PORTS_TRIED):
        port = _free_port()
        command = java_command(libraries, port)
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            if _is_up(f"http://127.0.0.1:{port}", process):
                _warm(f"http://127.0.0.1:{port}")
                yield f"http://127.0.0.1:{port}"
                return
        finally:
            process.kill()
            process.wait()
    raise RuntimeError(f"DynamoDB Local did not start on any of {_PORTS_TRIED} ports")


def _is_up(endpoint: str, process: "subprocess.Popen[bytes]") -> bool:
    return wait_until_up(endpoint, lambda: process.poll() is None)


def _warm(endpoint: str) -> None:
    """Make and delete a table with patience: a server's first one takes seconds, more than a test's deadline allows."""
    keys = {name.lower(): ENVIRONMENT[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    session = boto3.Session(**keys, region_name=ENVIRONMENT["AWS_DEFAULT_REGION"])
    repository = SyncRepository("warm-up", endpoint_url=endpoint, session=session, timeout=120.0)
    repository.create_table()
    repository.delete_table()
    repository.close()


def _free_port() -> int:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        port: int = place.getsockname()[1]
        return port


@contextlib.contextmanager
def shared(folder: Path) -> Generator[str, None, None]:
    """The server of all who name the same folder; the first one starts it, the last one's end stops it."""
    with (folder / "users").open("a") as users:
        # A killed process lets go of its lock too, so that the server ends in any case.
        fcntl.flock(users, fcntl.LOCK_SH)
        with locked(folder / "starting"):
            endpoint = _started(folder)
        yield endpoint


def _started(folder: Path) -> str:
    found = folder / "endpoint"
    if found.exists() and is_up(found.read_text(encoding="utf-8")):
        return found.read_text(encoding="utf-8")
    found.unlink(missing_ok=True)
    fetched_libraries()
    log = folder / "server.log"
    with log.open("wb") as output:
        # In a session of its own: an interrupt at the keyboard must not stop it before those who use it.
        keeper = subprocess.Popen(
            [sys.executable, "-m", "tests.dynamodb.local_server", str(folder)],
            cwd=_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    until = time.monotonic() + _START_SECONDS
    while not found.exists():
        if keeper.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"DynamoDB Local did not start: {log.read_text(encoding='utf-8')}")
        time.sleep(0.05)
    # The keeper outlives this process; it is nobody's to wait for.
    keeper.returncode = 0
    return found.read_text(encoding="utf-8")


def _keep(folder: Path) -> None:
    """Run the server until nobody holds the folder's lock any more."""
    found = folder / "endpoint"
    with running() as endpoint, (folder / "users").open("a") as users:
        written = folder / "endpoint.new"
        written.write_text(endpoint, encoding="utf-8")
        written.rename(found)
        fcntl.flock(users, fcntl.LOCK_EX)
        found.unlink(missing_ok=True)


def _by_hand() -> None:
    with running() as endpoint:
        print(f"DynamoDB Local answers at {endpoint}; interrupt to stop it", flush=True)
        signal.pause()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        _keep(Path(sys.argv[1])) if len(sys.argv) > 1 else _by_hand()
