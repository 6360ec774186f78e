"""The example with plans: in process what it does, and under gunicorn that its workers admit the quota together."""

from concurrent.futures import ThreadPoolExecutor
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from tests.example_apps.gunicorn import gunicorn
from tests.examples import ROOT

FOLDER = ROOT / "example_apps" / "flask_api"
ANN, BOB = {"X-API-Key": "key-ann"}, {"X-API-Key": "key-bob"}
# A connection for each request: one that is kept stays with the worker that took it.
ONE_EACH = {"Connection": "close"}


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("ZAE_LIMITER_STORE", f"embedded://{tmp_path}/limits.db")
    found = spec_from_file_location("flask_api_app", FOLDER / "app.py")
    assert found is not None
    assert found.loader is not None
    module = module_from_spec(found)
    found.loader.exec_module(module)
    return module.create_app().test_client()


def test_a_text_costs_what_it_took_and_not_what_was_announced(client: Any) -> None:
    answer = client.post("/v1/words", json={"text": "to be or not to be"}, headers=ANN)
    assert answer.json == {"words": 6, "units": 1}
    assert '"rpd";r=19;' in answer.headers["RateLimit"]
    padded = client.post("/v1/words", json={"text": "x" * 150, "note": "y" * 700}, headers=ANN)
    assert padded.json["units"] == 2
    assert '"units";r=97;' in padded.headers["RateLimit"]
    refused = client.post("/v1/words", json={"text": "x" * 9_900}, headers=ANN)
    assert (refused.status_code, refused.json["violated-policies"]) == (429, ["units"])
    assert client.post("/v1/words", json=["no object"], headers=BOB).json == {"words": 0, "units": 0}


def test_a_plan_is_changed_by_its_account_and_in_force_at_once(client: Any) -> None:
    assert client.get("/v1/plan", headers=ANN).json == {"plan": "free", "left": {"rpd": 20, "units": 100}}
    assert client.put("/v1/plan", json={"plan": "gold"}, headers=ANN).status_code == 422
    changed = client.put("/v1/plan", json={"plan": "pro"}, headers=ANN)
    assert changed.json == {"plan": "pro", "left": {"rpd": 2_000, "units": 50_000}}
    answer = client.post("/v1/words", json={"text": "x" * 9_900}, headers=ANN)
    assert '"rpd";r=1999;' in answer.headers["RateLimit"]
    assert client.get("/v1/plan", headers=BOB).json["plan"] == "free"


def test_who_has_no_key_is_limited_by_address(client: Any) -> None:
    answers = [client.post("/v1/words", json={}, headers={"X-API-Key": f"guess-{number}"}) for number in range(21)]
    assert [answer.status_code for answer in answers] == [401] * 20 + [429]
    assert client.get("/health").json == {"ok": True}


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [("--workers", "4"), ("--workers", "4", "--preload"), ("--workers", "2", "--threads", "4", "--preload")],
    ids=["sync", "preloaded", "gthread"],
)
def test_workers_that_share_a_file_admit_exactly_the_quota(tmp_path: Path, options: tuple[str, ...]) -> None:
    store = f"embedded://{tmp_path}/limits.db"
    with gunicorn("app:create_app()", tmp_path, *options, chdir=FOLDER, ZAE_LIMITER_STORE=store) as served:

        def ask(_: int) -> int:
            return served.client.post("/v1/words", json={"text": "hello"}, headers=ANN | ONE_EACH).status_code

        with ThreadPoolExecutor(max_workers=8) as threads:
            statuses = list(threads.map(ask, range(60)))
            assert sorted(statuses) == [200] * 20 + [429] * 40
            # The system hands connections out as it likes: ask on until another worker has answered too.
            for _ in range(40):
                if len(served.workers()) > 1:
                    break
                assert list(threads.map(ask, range(16))) == [429] * 16
        assert len(served.workers()) > 1
        served.client.put("/v1/plan", json={"plan": "pro"}, headers=ANN)
        assert [ask(0) for _ in range(8)] == [200] * 8
