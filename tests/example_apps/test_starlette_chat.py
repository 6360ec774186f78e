"""The chat under uvicorn: members talk, floods are held back, and so are handshakes."""

import json
import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.example_apps.uvicorn import uvicorn
from tests.example_apps.websockets import Connection
from tests.examples import ROOT
from zae_limiter import Limit, open_sync_limiter

pytestmark = pytest.mark.slow


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    store = f"embedded://{tmp_path}/limits.db"
    with open_sync_limiter(store) as limiter:
        # A plan that was stored before stands; this one fills so slowly that no machine is too slow for the test.
        messages = Limit.custom("messages", 5, 1, 3_600, unit="messages")
        limiter.set_resource_defaults("chat", [messages, Limit.per_hour("characters", 1_000, unit="characters")])
    folder = ROOT / "example_apps" / "starlette_chat"
    with uvicorn("app:app", "--app-dir", str(folder), ZAE_LIMITER_STORE=store) as client:
        assert "you are in" in client.get("/").text
        assert client.base_url.port is not None
        yield client.base_url.port


def test_members_of_a_room_hear_each_other_and_a_flood_is_held_back(port: int) -> None:
    with Connection(port, "/rooms/a?token=token-ann") as ann, Connection(port, "/rooms/a?token=token-bob") as bob:
        bob.say("hello")
        assert [each.hear() for each in (ann, bob)] == [{"from": "bob", "text": "hello"}] * 2
        for number in range(6):
            ann.say(f"flood {number}")
        heard = [ann.hear() for _ in range(6)]
        assert heard[:5] == [{"from": "ann", "text": f"flood {number}"} for number in range(5)]
        assert heard[5]["refused"] == ["messages"]
        assert 3_000 <= heard[5]["wait"] <= 3_600
        # The sixth was for nobody, and bob has room of his own.
        bob.say("quiet, please")
        assert [bob.hear()["text"] for _ in range(6)] == [*(f"flood {number}" for number in range(5)), "quiet, please"]


def test_who_is_refused_too_often_in_a_row_is_shown_out(port: int) -> None:
    with Connection(port, "/rooms/a?token=token-ann") as ann:
        ann.say("x" * 600)
        assert ann.hear()["from"] == "ann"
        for _ in range(10):
            ann.say("x" * 900)
        heard = [ann.hear() for _ in range(11)]
    assert {tuple(each["refused"]) for each in heard[:10]} == {("characters",)}
    assert heard[10] == 1013


def test_a_message_that_is_no_text_is_told_so(port: int) -> None:
    with Connection(port, "/rooms/a?token=token-ann") as ann:
        ann.say_bytes(b"\x00")
        assert ann.hear() == 1003


def test_handshakes_are_limited_by_address_whatever_the_token(port: int) -> None:
    answers = [_shaken(port, "token-ann" if number % 2 else f"guess-{number}") for number in range(10)]
    assert [answer.status for answer in answers] == [403, 101] * 5
    # One comes back every six seconds, so a slow machine may see more of them.
    refused = next(answer for answer in (_shaken(port, "token-ann") for _ in range(50)) if answer.status == 429)
    assert refused.headers["ratelimit-policy"] == '"rpm";q=10;w=60'
    assert 1 <= int(refused.headers["retry-after"]) <= 6
    assert json.loads(refused.body)["violated-policies"] == ["rpm"]


def _shaken(port: int, token: str) -> Connection:
    with Connection(port, f"/rooms/a?token={token}") as connection:
        return connection


def test_a_room_that_nobody_is_in_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZAE_LIMITER_STORE", f"embedded://{tmp_path}/limits.db")
    module = runpy.run_path(str(ROOT / "example_apps" / "starlette_chat" / "app.py"))
    with TestClient(module["app"]) as client:
        with client.websocket_connect("/rooms/a?token=token-ann") as ann:
            with client.websocket_connect("/rooms/a?token=token-bob"):
                assert len(module["rooms"]["a"]) == 2
            ann.send_text("still here")
            assert ann.receive_json()["text"] == "still here"
            assert list(module["rooms"]) == ["a"]
        assert not module["rooms"]
