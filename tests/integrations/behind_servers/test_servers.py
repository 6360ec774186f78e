"""Each framework behind each of its servers: the answers of the table, and the other things only a socket shows."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from tests.integrations.answers import ROUTES, RULES, TABLE, told
from tests.integrations.behind_servers.servers import Server, served
from tests.integrations.drivers.every import DRIVERS
from zae_limiter.stores import open_sync_limiter
from zae_limiter.testing import TurnableClock
from zae_limiter_http.conformance import Ask, World

PLACES: Final = [
    *((name, server) for name in ("starlette", "fastapi", "litestar", "quart") for server in ("uvicorn", "hypercorn")),
    *(("django-asgi", server) for server in ("uvicorn", "hypercorn", "daphne")),
    ("django", "gunicorn"),
    ("flask", "gunicorn"),
]
WORKERS: Final = [
    *((name, "uvicorn", 3) for name in ("starlette", "fastapi", "litestar", "quart", "django-asgi")),
    *((name, server, 3) for name in ("django", "flask") for server in ("gunicorn", "gthread")),
]
IP: Final = "ip4:127.0.0.1"

pytestmark = pytest.mark.slow


@cache
def _expected() -> list[Any]:
    world = World(DRIVERS["starlette"]())
    world.peer = "127.0.0.1"
    world.serve(routes=ROUTES, rules=RULES)
    found = [told(world.ask(ask)) for ask in TABLE]
    world.close()
    return found


def _place(name: str) -> str:
    driver = DRIVERS[name]
    return f"{driver.__module__}:{driver.__qualname__}"


@pytest.fixture(params=PLACES, ids="-".join, scope="module")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Server]]:
    name, kind = request.param
    with served(_place(name), kind, tmp_path_factory.mktemp(kind)) as found:
        yield name, found


def test_a_server_passes_on_the_answers_of_the_table(server: tuple[str, Server]) -> None:
    for ask, expected in zip(TABLE, _expected(), strict=True):
        assert _as_sent(ask, told(server[1].ask(ask))) == _as_sent(ask, expected), f"{ask.path} {ask.headers}"


def _as_sent(ask: Ask, answer: Any) -> Any:
    status, body, headers = answer
    # A server may leave out the length of a body that it does not send.
    is_head = ask.method == "HEAD"
    return status, body, [pair for pair in headers if not (is_head and pair[0] == "content-length")]


def test_c86_and_c88_a_handshake_is_charged_and_refused_with_a_whole_answer(server: tuple[str, Server]) -> None:
    name, found = server
    if DRIVERS[name].letter not in "SALQ":
        return  # websockets are Channels' there
    accepted, refused = (_handshake(found.port) for _ in range(2))
    assert accepted.startswith("HTTP/1.1 101 ")
    assert 'ratelimit: "rpd";r=0;' in accepted.lower()
    assert refused.startswith("HTTP/1.1 429 ")
    assert "retry-after: 86400\r\n" in refused.lower()
    assert "content-type: application/problem+json\r\n" in refused.lower()


def _handshake(port: int) -> str:
    lines = ["GET /ws HTTP/1.1", "Host: test", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
    lines += ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", ""]
    with socket.create_connection(("127.0.0.1", port), timeout=120) as client:
        client.sendall("\r\n".join(lines).encode())
        read = b""
        while b"\r\n\r\n" not in read and (part := client.recv(65_536)):
            read += part
    return read.decode()


def test_c55_a_client_that_leaves_mid_stream_keeps_its_charge(server: tuple[str, Server]) -> None:
    _, found = server
    with socket.create_connection(("127.0.0.1", found.port), timeout=120) as client:
        client.sendall(b"GET /endless HTTP/1.1\r\nHost: test\r\n\r\n")
        with client.makefile("rb") as answer:
            assert b" 200 " in answer.readline()
    # The charge of 100 is there from the start; the 200 of the handler once the lease has ended.
    left = _left_but(900, found, IP, "endless")
    assert left == 700
    assert not [line for line in found.errors if "Traceback" in line], found.errors


def _left(server: Server, entity: str, resource: str, limits: str) -> dict[str, int]:
    with open_sync_limiter(server.store, clock=TurnableClock()) as limiter:
        return limiter.available(entity, resource, limits)


def _left_but(first: int, server: Server, entity: str, resource: str) -> int:
    """What is left of a thousand tokens, once that is another number: a lease ends after the last byte was sent."""
    deadline = time.monotonic() + 120
    with open_sync_limiter(server.store, clock=TurnableClock()) as limiter:
        while (left := limiter.available(entity, resource, "tpm=1000/day")["tpm"]) == first:
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)  # until the server has ended the request
    return left


def test_c52_to_c54_what_a_handler_charges_shows_in_the_headers_and_in_the_store(server: tuple[str, Server]) -> None:
    _, found = server
    caller = [("x-forwarded-for", "203.0.113.52")]
    demanding, adjusted, streamed = (
        found.ask(Ask(path, headers=caller)) for path in ("/demanding", "/adjusted", "/streamed")
    )
    assert (demanding.status, demanding.header("retry-after")) == (429, "8640")
    assert demanding.told("content-type") == "application/problem+json"
    assert demanding.told("ratelimit").startswith('"rpd";r=8;')
    assert adjusted.told("ratelimit").startswith('"tpm";r=400;')
    assert (streamed.body, streamed.told("ratelimit")[:11]) == (b"onetwo", '"tpm";r=900')
    entity = "ip4:203.0.113.52"
    # What the request itself took stays taken; what its handler asked for besides was refused.
    assert _left(found, entity, "demanding", "10/day") == {"rpd": 8}
    assert _left(found, entity, "adjusted", "tpm=1000/day") == {"tpm": 400}
    assert _left_but(900, found, entity, "streamed") == 650


def test_c62_two_lines_of_a_header_are_one_list(server: tuple[str, Server]) -> None:
    _, found = server
    lines = [("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "203.0.113.62, 10.0.0.2")]
    assert found.ask(Ask("/missing", headers=lines)).status == 404
    assert _left(found, "ip4:203.0.113.62", "missing", "4/day+6") == {"rpd": 5}
    for other in ("6.6.6.6", "10.0.0.2"):
        assert _left(found, f"ip4:{other}", "missing", "4/day+6") == {"rpd": 6}


HOSTILE: Final = [
    b"X-Api-Key: " + b"x" * 60_000,
    b"X-Forwarded-For: 203.0.113.99\0",
    b"X-Forwarded-For: 203.0.113.99\r\nX-Forwarded-For: \xff\xfe, 203.0.113.99",
    b"X-Forwarded-For: fe80::1%eth0, " + b", ".join([b"6.6.6.6"] * 900) + b", 203.0.113.99",
    b'Forwarded: for="unclosed\r\nX-Forwarded-For: 203.0.113.99',
    b"Accept: \xff;q=nan, */*;q=1e999\r\nX-Forwarded-For: 203.0.113.99",
    b"Accept: " + b"text/html;q=0.1," * 900 + b"\r\nX-Forwarded-For: 203.0.113.99",
    b"Hx-Request: true\r\nHx-Request: \x01\r\nX-Forwarded-For: 203.0.113.99",
    b"Content-Length: 0\r\nContent-Length: 7\r\nX-Forwarded-For: 203.0.113.99",
    b"X-Forwarded-For : 203.0.113.99",
]


def test_hostile_requests_get_an_answer_and_no_second_bucket(server: tuple[str, Server]) -> None:
    _, found = server
    answers = [_raw(found.port, lines) for lines in HOSTILE]
    statuses = [int(answer.split(b" ", 2)[1]) if answer else None for answer in answers]
    # Some of these a server answers itself; none is an error of the application.
    assert set(statuses) - {None} <= {200, 400, 408, 413, 431}, statuses
    # Daphne alone hangs up, and on nothing but so long a line.
    hung_up_on = [number for number, status in enumerate(statuses) if status is None]
    assert hung_up_on == ([0] if found.kind == "daphne" else []), statuses
    assert statuses.count(200) >= 4, statuses
    left = [_left(found, f"ip4:{each}", "many", "20/day")["rpd"] for each in ("203.0.113.99", "127.0.0.1")]
    assert 40 - sum(left) == statuses.count(200)
    assert not [line for line in found.errors if "Traceback" in line], found.errors


def _raw(port: int, lines: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=120) as client:
        client.sendall(b"GET /many HTTP/1.1\r\nHost: test\r\nConnection: close\r\n" + lines + b"\r\n\r\n")
        try:
            with client.makefile("rb") as answer:
                return answer.readline()
        except ConnectionResetError:
            return b""


@pytest.mark.parametrize(("name", "kind"), dict(PLACES).items())
def test_c51_installed_twice_a_rule_is_charged_once(tmp_path: Path, name: str, kind: str) -> None:
    with served(_place(name), kind, tmp_path, installed=2) as found:
        assert found.ask(Ask("/plain")).header("ratelimit") == '"rpd";r=1;t=43200'
        assert _left(found, IP, "plain", "2/day") == {"rpd": 1}


@pytest.mark.parametrize(("name", "kind", "workers"), WORKERS)
def test_workers_that_share_a_file_admit_exactly_the_quota(tmp_path: Path, name: str, kind: str, workers: int) -> None:
    with served(_place(name), kind, tmp_path, workers=workers) as found, ThreadPoolExecutor(12) as threads:
        statuses = list(threads.map(lambda _: found.ask(Ask("/many")).status, range(80)))
    assert sorted(statuses) == [200] * 20 + [429] * 60
