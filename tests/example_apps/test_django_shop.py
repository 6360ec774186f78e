"""The shop as servers run it: its workers admit the quota together, exports cost their rows, staff are not limited."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.example_apps.gunicorn import gunicorn
from tests.example_apps.uvicorn import uvicorn
from tests.examples import ROOT

FOLDER = ROOT / "example_apps" / "django_shop"
Server = Callable[[], contextlib.AbstractContextManager[httpx.Client]]

pytestmark = pytest.mark.slow


def _managed(folder: Path, *command: str) -> str:
    paths = os.pathsep.join([str(ROOT), str(ROOT / "integrations")])
    told = {**os.environ, "PYTHONPATH": paths, "SHOP_FOLDER": str(folder)}
    run = [sys.executable, "manage.py", *command]
    return subprocess.run(run, cwd=FOLDER, env=told, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    folder = tmp_path_factory.mktemp("shop")
    return folder, dict(re.findall(r"(\w+) signs in .* token (\w+)", _managed(folder, "open_shop")))


@pytest.fixture
def tokens(opened: tuple[Path, dict[str, str]], tmp_path: Path) -> dict[str, str]:
    folder, tokens = opened
    shutil.copy(folder / "shop.sqlite3", tmp_path)
    return tokens


@pytest.fixture(params=["sync", "preloaded", "gthread", "uvicorn"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Server:
    options = {
        "sync": ("--workers", "3"),
        "preloaded": ("--workers", "3", "--preload"),
        "gthread": ("--workers", "2", "--threads", "4", "--preload"),
    }

    @contextlib.contextmanager
    def served() -> Iterator[httpx.Client]:
        if request.param == "uvicorn":
            with uvicorn("shop.asgi:application", workers=2, chdir=FOLDER, SHOP_FOLDER=str(tmp_path)) as client:
                yield client
        else:
            found = gunicorn("shop.wsgi", tmp_path, *options[request.param], chdir=FOLDER, SHOP_FOLDER=str(tmp_path))
            with found as answering:
                yield answering.client

    return served


def _sign_in(client: httpx.Client, name: str) -> None:
    answer = client.post("/login", data={"name": name, "password": f"{name}-password"})
    assert (answer.status_code, answer.json()) == (200, {"name": name})


def test_the_shop_under_a_server(server: Server, tokens: dict[str, str], tmp_path: Path) -> None:
    with server() as client:
        _admits_exactly_the_quota(client, tokens["ann"])
        _sign_in(client, "ann")
        _limits_the_checkout(client)
        _export_costs_its_rows(client, tmp_path)
        client.cookies.clear()
        _sign_in(client, "sam")
        assert {client.post("/checkout").status_code for _ in range(8)} == {200}


def _admits_exactly_the_quota(client: httpx.Client, token: str) -> None:
    def ask(_: int) -> httpx.Response:
        return client.get("/api/products", headers={"Authorization": f"Token {token}"})

    with ThreadPoolExecutor(max_workers=8) as threads:
        answers = list(threads.map(ask, range(60)))
    assert sorted(answer.status_code for answer in answers) == [200] * 30 + [429] * 30
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["violated-policies"] == ["rph"]


def _limits_the_checkout(client: httpx.Client) -> None:
    assert [client.post("/checkout").status_code for _ in range(5)] == [200, 200, 200, 429, 429]
    assert client.get("/health").json() == {"ok": True}


def _export_costs_its_rows(client: httpx.Client, folder: Path) -> None:
    answer = client.get("/orders.csv", params={"rows": 250})
    assert (answer.status_code, answer.text.count("\n")) == (200, 250)
    assert '"rows";r=9900;' in answer.headers["ratelimit"]
    assert 9_750 <= _rows_left(folder) < 9_800
    usual = client.get("/orders.csv", params={"rows": "lots"})
    assert (usual.status_code, usual.text.count("\n")) == (200, 1_000)
    with client.stream("GET", "/orders.csv", params={"rows": 20_000}) as streamed:
        assert streamed.status_code == 200
        assert sum(part.count(b"\n") for part in streamed.iter_bytes()) == 20_000
    # What a stream has sent is charged after its last byte, by a worker that may be slower than the next request.
    assert any(_rows_left(folder) <= 0 for _ in range(60))
    refused = client.get("/orders.csv")
    assert (refused.status_code, refused.headers["ratelimit"].split(";")[:2]) == (429, ['"rows"', "r=0"])


def _rows_left(folder: Path) -> int:
    shown: Any = re.search(r"export +rows +(-?\d+) left", _managed(folder, "zae_limiter_show", "user:1"))
    return int(shown[1])
