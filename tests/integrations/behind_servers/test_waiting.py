"""`max_wait` behind real servers: room that comes is used, and a client that has left is not waited for."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integrations.behind_servers.servers import Server, served
from zae_limiter.stores import open_sync_limiter
from zae_limiter_http.conformance import Ask

IP = "ip4:127.0.0.1"

pytestmark = pytest.mark.slow


@pytest.fixture(params=["uvicorn", "hypercorn", "daphne"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    with served("", request.param, tmp_path, application="tests.integrations.behind_servers.waiting:app") as found:
        yield found


def _until(server: Server, line: str, times: int) -> None:
    deadline = time.monotonic() + 120
    while sum(each.strip() == line for each in server.errors) < times:
        assert time.monotonic() < deadline, f"{line!r} was not told {times} times: {server.errors}"
        time.sleep(0.02)  # until the server's process has told it


def test_room_that_comes_in_time_is_used(server: Server) -> None:
    assert [server.ask(Ask("/soon")).status for _ in range(2)] == [200, 200]


def test_a_client_that_has_left_is_not_waited_for_and_pays_nothing(server: Server) -> None:
    assert server.ask(Ask("/late")).status == 200
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(b"GET /late HTTP/1.1\r\nHost: test\r\n\r\n")
        _until(server, "came /late", 2)
    _until(server, "went /late", 2)
    with open_sync_limiter(server.store) as limiter:
        assert limiter.available(IP, "late", "1/hour") == {"rph": 0}
    assert not [line for line in server.errors if "Traceback" in line], server.errors
