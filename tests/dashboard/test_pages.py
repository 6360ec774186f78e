"""The page of a store, asked in process: what it shows, what it refuses, what it lets be changed."""

import html
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from markupsafe import escape

from tests.dynamodb import local_server
from zae_limiter import Limit, RateLimiter, Repository
from zae_limiter.testing import TurnableClock, memory_limiter
from zae_limiter_dashboard import create_app

SITE = "http://page.test"


@pytest.fixture
async def limiter(clock: TurnableClock) -> AsyncIterator[RateLimiter]:
    async with memory_limiter(clock=clock) as made:
        await made.set_system_defaults("60/minute", principal="ops")
        await made.set_resource_defaults("gpt/4", "rpm=100/minute+150", principal="ops")
        await made.set_limits("user-1", "5/minute", "gpt/4", principal="ops")
        await made.create_entity("user-1", "Anna <b>", "acme", cascade=True, metadata={"plan": "pro"})
        async with made.acquire("user-1", "gpt/4", 3):
            pass
        yield made


def browser(limiter: RateLimiter, **options: Any) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(create_app(limiter, **options), raise_app_exceptions=True)
    return httpx.AsyncClient(transport=transport, base_url=SITE, headers={"origin": SITE})


async def asked(limiter: RateLimiter, *paths: str) -> list[httpx.Response]:
    """What a page that only shows answers to each path."""
    async with browser(limiter) as client:
        return [await client.get(path) for path in paths]


async def test_the_overview_shows_the_levels(limiter: RateLimiter) -> None:
    (page,) = await asked(limiter, "/")

    assert page.status_code == 200
    assert "60/minute" in page.text
    assert '<a href="/resources/gpt%2F4">' in page.text
    assert "read-only" in page.text
    assert "<form method=" not in page.text


async def test_a_resource_shows_its_buckets_and_who_differs(limiter: RateLimiter) -> None:
    page, part, unused = await asked(limiter, "/resources/gpt%2F4", "/buckets?resource=gpt%2F4", "/resources/web")

    assert 'data-live="/buckets?resource=gpt%2F4&amp;page=1"' in page.text
    assert '<a href="/entities/user-1">' in page.text
    assert '>2</span> <span class="hint">of 5<' in part.text
    assert '>147</span> <span class="hint">of 150<' in part.text
    assert "<html" not in part.text
    assert unused.status_code == 200
    assert "No bucket has been used." in unused.text
    assert "These are the system&#39;s" in unused.text or "These are the system's" in unused.text


async def test_an_entity_shows_what_is_known_of_it_escaped(limiter: RateLimiter) -> None:
    page, parent = await asked(limiter, "/entities/user-1", "/entities/acme")

    assert "Anna &lt;b&gt;" in page.text
    assert "5/minute" in page.text
    assert "limits set" in page.text
    assert '<a href="/entities/user-1">' in parent.text
    assert "No such entity is stored" in parent.text


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("kind=entity&name=user-1", "/entities/user-1"),
        ("kind=resource&name=gpt/../4", "/resources/gpt%2F..%2F4"),
        ("name=", "/"),
        ("name=a b/../c", "/entities/a%20b%2F..%2Fc"),
        ("name=//evil.test", "/entities/%2F%2Fevil.test"),
    ],
)
async def test_what_is_looked_for_is_found(limiter: RateLimiter, query: str, place: str) -> None:
    (answer,) = await asked(limiter, f"/find?{query}")

    assert (answer.status_code, answer.headers["location"]) == (303, place)


async def test_a_name_that_cannot_be_is_told(limiter: RateLimiter) -> None:
    entity, resource = await asked(limiter, "/entities/no%23body", "/resources/9")

    assert (entity.status_code, resource.status_code) == (400, 400)
    assert "must not contain" in entity.text


async def test_a_page_that_only_shows_takes_no_form(limiter: RateLimiter) -> None:
    async with browser(limiter) as client:
        answer = await client.post("/limits", data={"resource": "gpt/4", "limits": ""})

    assert answer.status_code == 403
    assert await limiter.get_resource_defaults("gpt/4")


async def test_limits_are_changed_and_removed_at_each_level(limiter: RateLimiter) -> None:
    forms = [
        ({"limits": "rpm:7/minute"}, "/?saved"),
        ({"resource": "gpt/4", "limits": "rpm:8/minute:20\r\n\r\ntpm:900/minute::tokens"}, "/resources/gpt%2F4?saved"),
        ({"entity_id": "user-1", "limits": "rpm:9/minute"}, "/entities/user-1?saved"),
        ({"entity_id": "user-1", "resource": "gpt/4", "limits": " "}, "/entities/user-1?saved"),
    ]
    async with browser(limiter, writable=True) as client:
        answers = [(await client.post("/limits", data=data), place) for data, place in forms]
        page = await client.get("/resources/gpt%2F4?saved")

    assert [answer.headers["location"] for answer, _ in answers] == [place for _, place in answers]
    assert [limit.capacity for limit in (await limiter.get_system_defaults())[0]] == [7]
    assert [(limit.burst, limit.unit) for limit in await limiter.get_resource_defaults("gpt/4")] == [
        (20, "requests"),
        (900, "tokens"),
    ]
    assert [limit.capacity for limit in await limiter.get_limits("user-1")] == [9]
    assert await limiter.get_limits("user-1", "gpt/4") == []
    assert "rpm:8/minute:20\ntpm:900/minute::tokens</textarea>" in page.text
    assert "The limits are saved." in page.text


async def test_what_the_form_shows_is_what_it_takes(limiter: RateLimiter) -> None:
    limits = [
        Limit.per_minute("rpm", 100, 150),
        Limit.per_day("tpd", 9_000_000, unit="tokens"),
        Limit.custom("jobs", 5, 1, 60, burst=10, unit="jobs"),
        replace(Limit.per_hour("rph", 7), header_suffix="searches"),
    ]
    await limiter.set_resource_defaults("gpt/4", limits)
    async with browser(limiter, writable=True) as client:
        page = await client.get("/resources/gpt%2F4")
        shown = html.unescape(page.text.partition("<textarea")[2].partition(">")[2].partition("</textarea>")[0])
        await client.post("/limits", data={"resource": "gpt/4", "limits": shown})

    assert await limiter.get_resource_defaults("gpt/4") == limits


async def test_an_empty_form_removes_the_limits(limiter: RateLimiter) -> None:
    async with browser(limiter, writable=True) as client:
        await client.post("/limits", data={"resource": "gpt/4", "limits": ""})

    assert await limiter.get_resource_defaults("gpt/4") == []


@pytest.mark.parametrize(
    "text", ["rpm:lots", '{"name": "rpm"', '{"name": "rpm"}', "rpm:1/minute\nrpm:2/minute", "<script>alert(1)</script>"]
)
async def test_a_limit_that_cannot_be_read_is_told_and_may_be_put_right(limiter: RateLimiter, text: str) -> None:
    async with browser(limiter, writable=True) as client:
        answer = await client.post("/limits", data={"resource": "gpt/4", "limits": text})

    assert answer.status_code == 400
    assert f">{escape(text)}</textarea>" in answer.text
    assert "<script>alert" not in answer.text
    assert [limit.capacity for limit in await limiter.get_resource_defaults("gpt/4")] == [100]


async def test_a_resource_whose_name_climbs_stays_where_it_is(limiter: RateLimiter) -> None:
    await limiter.set_resource_defaults("a/../b", "7/second")
    overview, page = await asked(limiter, "/", "/resources/a%2F..%2Fb")

    assert '<a href="/resources/a%2F..%2Fb">a/../b</a>' in overview.text
    assert "7/second" in page.text


async def test_long_lists_are_shown_page_by_page(limiter: RateLimiter) -> None:
    for number in range(120):
        await limiter.set_limits(f"key-{number:03}", "5/minute", "web")
        await limiter.create_entity(f"child-{number:03}", parent_id="acme")
        await limiter.set_resource_defaults(f"part-{number:03}", "5/minute")
        await limiter.set_system_defaults(f"{number + 1}/minute")
        async with limiter.acquire(f"key-{number:03}", "web", 1):
            pass
    async with browser(limiter) as client:
        overview = await client.get("/?page=3")
        resource = await client.get("/resources/web?page=2")
        further = re.search(r'href="(\?custom=[^"#]+)#custom"', resource.text)
        assert further is not None
        second = await client.get(f"/resources/web{html.unescape(further[1])}")
        older = re.search(r'href="(\?after=[^"#]+)#audit"', overview.text)
        assert older is not None
        trail = await client.get(f"/{html.unescape(older[1])}")
        parent = await client.get("/entities/acme?children=9999999999")

    assert "101 to 122 of 122 resources" in overview.text
    assert "part-099" in overview.text
    assert "51 to 100 of 120 limits of buckets" in resource.text
    assert "key-049" in resource.text.partition('id="buckets"')[0]
    assert "key-050" in second.text.partition('id="buckets"')[0]
    assert "51 to 100 of 120 limits of buckets" in second.text
    assert "101 to 122 of 122 resources" in trail.text
    assert [text.count('class="time"') for text in (overview.text, trail.text)] == [50, 50]
    assert "Newest" in trail.text
    assert "101 to 121 of 121 entities" in parent.text


async def test_a_link_that_turns_one_part_over_leaves_the_others_where_they_are(limiter: RateLimiter) -> None:
    for number in range(60):
        async with limiter.acquire(f"key-{number:03}", "gpt/4", 1):
            pass
    async with browser(limiter) as client:
        page = await client.get("/resources/gpt%2F4?window=daily&after=x&page=2&saved&resource=web")
        live = re.search(r'data-live="([^"]+)"', page.text)
        assert live is not None
        part = await client.get(html.unescape(live[1]))
    links = set(map(html.unescape, re.findall(r'href="(\?[^"]*)"', page.text)))

    assert {
        "?page=1&window=daily&after=x#buckets",
        "?window=hourly&page=2&after=x#usage",
        "?page=2&window=daily#audit",
    } <= links
    assert html.unescape(live[1]) == "/buckets?resource=gpt%2F4&page=2&window=daily&after=x"
    assert 'href="?page=1&amp;window=daily&amp;after=x#buckets"' in part.text


async def test_usage_is_drawn_without_gaps_over_the_kind_of_window_asked_for(
    limiter: RateLimiter, clock: TurnableClock
) -> None:
    clock.turn(3 * 3_600)
    async with limiter.acquire("user-1", "gpt/4", 4):
        pass
    answers = await asked(limiter, *(f"/entities/user-1?window={window}" for window in ("hourly", "daily", "monthly")))
    pages = [answer.text for answer in answers]

    assert [page.count('class="all"') for page in pages] == [48, 30, 12]
    heights = [int(height) for height in re.findall(r'width="8" height="(\d+)"', pages[0])]
    assert heights[-4:] == [75, 0, 0, 100]
    assert "7 in 48 hours" in pages[0]


async def test_a_store_that_does_not_answer_is_told_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in local_server.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    # Port 1 is nobody's: the connection is refused at once.
    repository = Repository("my-app", endpoint_url="http://127.0.0.1:1")
    answers = await asked(RateLimiter(repository), "/", "/entities/user-1", "/buckets?resource=web")
    await repository.close()

    assert [answer.status_code for answer in answers] == [503] * 3
    assert all("The store does not answer" in answer.text for answer in answers)
    assert "my-app" in answers[0].text


async def test_a_page_that_is_not_there_leads_back(limiter: RateLimiter) -> None:
    (answer,) = await asked(limiter, "/nowhere<b>")

    assert answer.status_code == 404
    assert "There is no page /nowhere" in answer.text
    assert '<a href="/">' in answer.text


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8080", 200),
        ("127.0.0.1:8080", 200),
        ("[::1]:8080", 200),
        ("page.test:8080", 421),
        ("localhost.page.test", 421),
        ("10.0.0.1", 421),
        ("LOCALHOST", 200),
        ("page{1}.test:8080", 421),
        ("page_1.test:8080", 421),
        ("visitor@localhost:8080", 421),
        ("localhost:8080:8080", 421),
    ],
)
async def test_a_local_page_answers_under_its_own_names_alone(limiter: RateLimiter, host: str, status: int) -> None:
    headers, here = {"host": host, "origin": f"http://{host}"}, "http://127.0.0.1:8080"
    async with browser(limiter, writable=True, is_local=True) as client:
        page = await client.get(f"{here}/", headers=headers)
        form = await client.post(f"{here}/limits", data={"limits": ""}, headers=headers)

    assert page.status_code == status
    assert form.status_code == (303 if status == 200 else status)
    assert bool((await limiter.get_system_defaults())[0]) is (status != 200)


@pytest.mark.parametrize("number", ["9" * 5_000, "-1", "\u0663", "x"])
async def test_a_page_of_a_made_up_number_is_shown_all_the_same(limiter: RateLimiter, number: str) -> None:
    async with browser(limiter) as client:
        assert (await client.get("/", params={"page": number})).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.test", "null", ""])
async def test_a_form_of_another_site_is_not_taken(limiter: RateLimiter, origin: str) -> None:
    async with browser(limiter, writable=True) as client:
        answer = await client.post("/limits", data={"limits": ""}, headers={"origin": origin})

    assert answer.status_code == 403
    assert (await limiter.get_system_defaults())[0]


async def test_nothing_is_shown_without_the_token(limiter: RateLimiter) -> None:
    async with browser(limiter, token="s3cret") as client:
        paths = ["/", "/?token=wrong", "/static/dashboard.css", "/buckets?resource=gpt/4", "/?token=%ff"]
        refused = [(await client.get(path)).status_code for path in paths]
        given = await client.get("/?token=s3cret")
        page = await client.get("/")

    assert refused == [401] * 5
    assert (given.status_code, given.headers["location"]) == (303, f"{SITE}/")
    assert "httponly" in given.headers["set-cookie"].lower()
    assert page.status_code == 200


async def test_every_answer_keeps_foreign_content_out(limiter: RateLimiter) -> None:
    answers = await asked(limiter, "/", "/nowhere", "/static/dashboard.js")

    assert all("default-src 'none'" in answer.headers["content-security-policy"] for answer in answers)
    assert all(answer.headers["x-content-type-options"] == "nosniff" for answer in answers)
