"""`zae-limiter serve`, as a process, and the page in a real browser."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.dynamodb.tables import fresh_name
from zae_limiter import SyncRepository, local, open_sync_limiter
from zae_limiter.aggregator.stream import roll_up

pytestmark = pytest.mark.slow

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
HOSTILE = "</title><img src=x onerror=alert(1)><script>alert(2)</script>"
QUIET = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


@pytest.fixture(params=["embedded", "dynamodb"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A store in which something has happened, of each kind."""
    if request.param == "embedded":
        made = f"embedded://{tmp_path / 'limits.db'}"
        fill(made)
        yield made
        return
    endpoint = request.getfixturevalue("dynamodb_endpoint")
    repository = SyncRepository(fresh_name(), endpoint_url=endpoint, timeout=5.0)
    repository.create_table()
    fill(repository.address)
    roll_up(repository.table_name, endpoint_url=endpoint)
    yield repository.address
    repository.delete_table()
    repository.close()


def fill(address: str) -> None:
    with open_sync_limiter(address, timeout=5.0) as limiter:
        limiter.set_resource_defaults("gpt-4", "rpm=60/minute", principal="ops")
        limiter.create_entity("user-1", HOSTILE, "acme", cascade=True, metadata={"note": HOSTILE}, principal="ops")
        for _ in range(30):
            with limiter.acquire("user-1", "gpt-4", 1):
                pass


@contextlib.contextmanager
def serving(*arguments: str) -> Generator[str]:
    """The page as a process; the address that it prints."""
    command = [sys.executable, "-u", "-m", "zae_limiter", "serve", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as page:
        try:
            assert page.stdout is not None
            yield page.stdout.readline().split()[0]
        finally:
            page.send_signal(signal.SIGINT)
            page.wait(timeout=20)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("the page needs a browser: install the package chromium")
        pytest.skip("needs chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, "--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A window of the browser; a mistake in the page, and whatever else it complains of, fails the test."""
    window = chromium.new_page()
    mistakes: list[str] = []
    window.on("pageerror", lambda error: mistakes.append(str(error)))
    window.on("console", lambda message: mistakes.append(message.text) if message.type == "error" else None)
    window.on("dialog", lambda dialog: mistakes.append(dialog.message))
    yield window
    window.close()
    # The page looks at its buckets still when the server has ended.
    assert [mistake for mistake in mistakes if not mistake.startswith("Failed to load resource: net::")] == []


def test_buckets_fill_while_one_looks(address: str, page: Page) -> None:
    with serving("--store", address) as page_url:
        page.goto(page_url)
        page.click("td a:has-text('gpt-4')")
        before = int(page.inner_text("tr:has-text('user-1') .available"))
        expect(page.locator("tr:has-text('user-1') .available")).not_to_have_text(f"{before}", timeout=15_000)
        expect(page.locator(".live")).to_be_visible()
        after = int(page.inner_text("tr:has-text('user-1') .available"))

    assert 30 <= before < after <= 60


def test_an_entity_is_shown_with_its_usage_and_what_was_changed(address: str, page: Page) -> None:
    with serving("--store", address) as page_url:
        page.goto(page_url)
        page.fill("input[name=name]", "user-1")
        page.click("text=Go")
        shown = page.inner_text("main")
        bars = page.locator(".bars g")
        heights = bars.locator("rect:not(.all)").evaluate_all(
            "all => all.map(bar => Number(bar.getAttribute('height')))"
        )
        labels = bars.locator("title").all_text_contents()
        page.click("text=acme")
        below = page.inner_text("main")

    assert shown.count(HOSTILE) == 4
    assert "entity created" in shown
    assert "30 in 48 hours" in shown
    assert len(heights) == 48
    # All of it was used just now; where the hour has ended meanwhile, its bars are two.
    used = [int(label.rpartition(" ")[2]) for label in labels[-2:]]
    assert (sum(used), heights) == (30, [0] * 46 + [100 * each // max(used) for each in used])
    assert "read-only" in shown
    assert "Entities below" in below
    assert "user-1" in below


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_nothing_is_cut_off_on_a_wide_screen_and_on_a_phone(
    address: str, chromium: Browser, width: int, scheme: Literal["light", "dark"]
) -> None:
    with serving("--store", address, "--write") as page_url:
        window = chromium.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        for path in ("", "resources/gpt-4", "entities/user-1", "nowhere"):
            window.goto(page_url + path)
            assert window.evaluate("document.documentElement.scrollWidth") == width
        window.close()


def test_limits_are_changed_in_the_browser(address: str, page: Page) -> None:
    with serving("--store", address, "--write") as page_url:
        page.goto(f"{page_url}resources/gpt-4")
        page.click("summary")
        page.fill("textarea", "rpm:600/minute")
        page.click("text=Save")
        page.wait_for_selector(".limits:has-text('600/minute')")
        assert "The limits are saved." in page.inner_text("main")

    with open_sync_limiter(address) as limiter:
        assert [limit.capacity for limit in limiter.get_resource_defaults("gpt-4")] == [600]
        assert limiter.get_audit_events("$RESOURCE:gpt-4")[0].principal == "dashboard"


def test_another_machine_needs_the_token(address: str, chromium: Browser) -> None:
    with serving("--store", address, "--host", "0.0.0.0") as page_url:
        page = chromium.new_page()
        here = page_url.replace("0.0.0.0", "127.0.0.1")
        refused = page.goto(here.partition("?")[0])
        assert refused is not None
        assert refused.status == 401
        page.goto(here)
        assert "token" not in page.url
        assert page.inner_text("h1") == "Overview"
        page.close()

    assert re.search(r"\?token=[\w-]{32}$", page_url)


def test_a_connection_that_breaks_is_told_and_so_is_the_next(chromium: Browser, tmp_path: Path) -> None:
    address = f"embedded://{tmp_path / 'limits.db'}"
    fill(address)
    with serving("--store", address) as page_url:
        page = chromium.new_page()
        page.goto(f"{page_url}resources/gpt-4")
        expect(page.locator(".live")).to_be_visible(timeout=15_000)
        page.route("**/buckets?**", lambda route: route.abort())
        expect(page.locator(".notice.bad")).to_be_visible(timeout=15_000)
        expect(page.locator(".live")).to_be_hidden()
        page.unroute("**/buckets?**")
        expect(page.locator(".live")).to_be_visible(timeout=15_000)
        page.close()


@pytest.fixture
def store(dynamodb_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """Starts a DynamoDB Local of one's own, which keeps its tables while it is down; its address."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        port = place.getsockname()[1]
    yield lambda: local.up(engine="java", port=port, data=tmp_path / "tables").endpoint_url
    local.down()


def test_a_store_that_goes_away_is_told_and_so_is_its_return(store: Callable[[], str], chromium: Browser) -> None:
    repository = SyncRepository(fresh_name(), endpoint_url=store(), timeout=60.0)
    repository.create_table()
    repository.close()
    fill(repository.address)
    statuses: list[int] = []
    with serving("--store", repository.address) as page_url:
        page, other = chromium.new_page(), chromium.new_page()
        page.on("response", lambda answer: statuses.append(answer.status) if "/buckets?" in answer.url else None)
        page.goto(f"{page_url}resources/gpt-4")
        expect(page.locator(".live")).to_be_visible(timeout=60_000)
        local.down()
        expect(page.locator(".notice.bad")).to_be_visible(timeout=60_000)
        expect(page.locator(".live")).to_be_hidden()
        answer = other.goto(page_url, timeout=60_000)
        told = other.inner_text("main")
        store()
        expect(page.locator(".live")).to_be_visible(timeout=60_000)
        expect(page.locator(".notice.bad")).to_be_hidden()
        page.close()
        other.close()

    assert answer is not None
    assert answer.status == 503
    assert "The store does not answer" in told
    assert set(statuses) == {200, 503}
    assert statuses[-1] == 200


def test_what_cannot_be_served_is_one_line(tmp_path: Path) -> None:
    address = f"embedded://{tmp_path / 'limits.db'}"
    fill(address)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for arguments, words in (
            (["--store", address, "--port", port], "cannot listen on 127.0.0.1"),
            (["--store", f"embedded://{tmp_path / 'nothing.db'}"], "there is no file"),
            (["--store", address, "--namespace", "nowhere"], "nowhere"),
        ):
            command = [sys.executable, "-m", "zae_limiter", "serve", *arguments]
            done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
            assert done.returncode == 1
            assert words in done.stderr
            assert done.stderr.count("\n") == 1
