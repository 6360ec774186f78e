"""Many windows, any token, forms that lack something, and colours that can be read."""

import html
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

import zae_limiter_dashboard
from tests.dashboard.test_pages import SITE, browser
from tests.time_limit import at_most
from zae_limiter import RateLimiter
from zae_limiter.testing import memory_limiter
from zae_limiter_dashboard import create_app

STYLES = (Path(zae_limiter_dashboard.__file__).parent / "static" / "dashboard.css").read_text(encoding="utf-8")


@pytest.fixture
async def limiter() -> AsyncIterator[RateLimiter]:
    async with memory_limiter() as made:
        await made.set_system_defaults("60/minute")
        await made.set_resource_defaults("gpt-4", "rpm=100/minute+150")
        await made.set_limits("user-1", "5/minute", "gpt-4")
        yield made


def fields(page: httpx.Response) -> dict[str, str]:
    """What the first form of a page that changes limits would send."""
    form = page.text.partition('<form method="post"')[2].partition("</form>")[0]
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form))
    text = form.partition("<textarea")[2].partition(">")[2].partition("</textarea>")[0]
    return {name: html.unescape(value) for name, value in {**hidden, "limits": text}.items()}


@pytest.mark.parametrize("path", ["/", "/resources/gpt-4", "/entities/user-1"])
async def test_what_another_window_has_saved_is_not_overwritten(limiter: RateLimiter, path: str) -> None:
    async with browser(limiter, writable=True) as client:
        first, second = fields(await client.get(path)), fields(await client.get(path))
        saved = await client.post("/limits", data={**first, "limits": "rpm:7/minute"})
        late = await client.post("/limits", data={**second, "limits": "rpm:8/minute"})
        kept = fields(await client.get(path))["limits"]
        again = await client.post("/limits", data=fields(late))
        replaced = fields(await client.get(path))["limits"]

    assert (saved.status_code, late.status_code, again.status_code) == (303, 409, 303)
    assert "have been changed meanwhile: rpm:7/minute. Saving replaces them." in late.text
    assert (kept, replaced) == ("rpm:7/minute", "rpm:8/minute")


async def test_a_form_that_was_put_right_is_still_compared(limiter: RateLimiter) -> None:
    async with browser(limiter, writable=True) as client:
        wrong = await client.post("/limits", data={**fields(await client.get("/")), "limits": "lots"})
        await limiter.set_system_defaults("70/minute")
        late = await client.post("/limits", data={**fields(wrong), "limits": "rpm:8/minute"})

    assert (wrong.status_code, late.status_code) == (400, 409)


@pytest.mark.parametrize("body", [b"", b"\xff\xfe=1", b"limit=rpm:5/minute"])
async def test_a_form_without_limits_removes_none(limiter: RateLimiter, body: bytes) -> None:
    kind = {"content-type": "application/x-www-form-urlencoded"}
    async with browser(limiter, writable=True) as client:
        answer = await client.post("/limits", content=body, headers=kind)

    assert answer.status_code == 400
    assert (await limiter.get_system_defaults())[0]


@pytest.mark.parametrize("origin", ["http://[", "http://page.test/"])
async def test_an_origin_that_is_none_is_refused(limiter: RateLimiter, origin: str) -> None:
    transport = httpx.ASGITransport(create_app(limiter, writable=True), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=SITE, headers={"origin": origin}) as client:
        answer = await client.post("/limits", data={"limits": ""})

    assert (answer.status_code, bool((await limiter.get_system_defaults())[0])) == (403, True)


@pytest.mark.parametrize("token", ["a+b&c#d", "слово", 'a;b "c"'])
async def test_any_text_is_a_token(limiter: RateLimiter, token: str) -> None:
    async with browser(limiter, token=token) as client:
        given = await client.get("/", params={"token": token})
        page = await client.get("/")

    assert (given.status_code, page.status_code) == (303, 200)
    assert token not in given.headers["set-cookie"]


async def test_two_pages_of_one_host_keep_a_token_each(limiter: RateLimiter) -> None:
    cookies = httpx.Cookies()
    for path in ("/?token={}", "/"):
        for token in ("one", "two"):
            transport = httpx.ASGITransport(create_app(limiter, token=token))
            async with httpx.AsyncClient(transport=transport, base_url=SITE, cookies=cookies) as client:
                answer = await client.get(path.format(token))
                cookies.update(answer.cookies)
                assert answer.status_code == (200 if path == "/" else 303)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (["--host", "::1"], r"http://\[::1\]:\d+/"),
        (["--token", "a+b&c"], r"http://127\.0\.0\.1:\d+/\?token=a%2Bb%26c"),
    ],
)
def test_the_address_that_is_printed_can_be_opened_and_ctrl_c_ends_it_well(options: list[str], shown: str) -> None:
    command = [sys.executable, "-u", "-m", "zae_limiter", "serve", "--store", "memory:", "--port", "0", *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as page:
        assert page.stdout is not None
        with at_most(60, page):
            address = page.stdout.readline().split()[0]
            try:
                answer = httpx.get(address, follow_redirects=True)
            finally:
                page.send_signal(signal.SIGINT)
                _, told = page.communicate()

    assert re.fullmatch(shown, address)
    assert answer.status_code == 200
    assert (page.returncode, told) == (0, "")


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1])
@pytest.mark.parametrize(
    ("text", "ground"),
    [
        ("accent", "page"),
        ("bad-text", "bad-page"),
        ("good", "card"),
        ("low", "card"),
        ("middling", "page"),
        ("on-accent", "accent"),
        ("quiet", "soft"),
        ("text", "soft"),
    ],
)
def test_text_stands_out_from_its_ground(scheme: int, text: str, ground: str) -> None:
    colours = dict(re.findall(r"--([\w-]+): #(\w{6})\b", STYLES.replace("#fff;", "#ffffff;").split("@media")[scheme]))
    lighter, darker = sorted((luminance(colours[text]), luminance(colours[ground])), reverse=True)

    assert (lighter + 0.05) / (darker + 0.05) >= 4.5
