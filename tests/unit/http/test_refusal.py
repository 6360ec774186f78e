"""The 429 and the 503 as plain data: the body that a client prefers, headers for caches and scripts, no names."""

import json
from typing import Any

import pytest

from tests.unit.http.statuses import RPM, TPM, member, status
from zae_limiter import RateLimitExceeded
from zae_limiter_http.facts import HttpRequest
from zae_limiter_http.headers import Style
from zae_limiter_http.refusal import Page, Refusal, exceeded, unavailable, unmapped

PROBLEM = "application/problem+json"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def refused(*headers: tuple[str, str], method: str = "GET", page: Page | None = None, **words: Any) -> Refusal:
    error = RateLimitExceeded([status(RPM, 42), status(TPM, -800, wait=11.4)])
    found = [member(RPM, 42), member(TPM, -800, wait=11.4)]
    request = HttpRequest(method, "/", headers, "203.0.113.7")
    return exceeded(error, found, request, style=Style(), page=page or Page(), now_ns=0, **words)


def once(found: Refusal) -> dict[str, str]:
    names = [name.lower() for name, _ in found.headers]
    assert len(names) == len(set(names))
    return dict(found.headers)


def test_the_body_is_that_of_the_conventions() -> None:
    found = refused()
    assert found.body.decode() == (
        '{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Quota Exceeded",'
        '"status":429,"detail":"Rate limit \\"tpm\\" exceeded. Retry in 12 seconds.",'
        '"violated-policies":["tpm"],"retry_after":12}'
    )
    assert once(found) == {
        "Content-Type": PROBLEM,
        "Content-Length": str(len(found.body)),
        "Cache-Control": "no-store",
        "Vary": "Accept, HX-Request",
        "Retry-After": "12",
        "RateLimit-Policy": '"rpm";q=100;w=60, "tpm";q=90000;qu="tokens";w=60',
        "RateLimit": '"tpm";r=0;t=12',
    }


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        (None, PROBLEM),
        ("", PROBLEM),
        ("*/*", PROBLEM),
        ("garbage", PROBLEM),
        ("image/png", PROBLEM),
        ("application/json", PROBLEM),
        (PROBLEM, PROBLEM),
        ("application/*", PROBLEM),
        ("application/json;q=0.5,text/html;q=0.4", PROBLEM),
        (BROWSER, "text/html; charset=utf-8"),
        ("text/html", "text/html; charset=utf-8"),
        ("TEXT/HTML ; Q=0.9", "text/html; charset=utf-8"),
        ("text/*", "text/html; charset=utf-8"),
        ("text/plain", "text/plain; charset=utf-8"),
        ("text/html;q=0.1, text/plain;q=0.2", "text/plain; charset=utf-8"),
        ("text/html;q=0, */*;q=0.1", PROBLEM),
        ("*/*;q=0.1, text/*;q=0.9", "text/html; charset=utf-8"),
        ("*/*, application/*;q=0", "text/html; charset=utf-8"),
        ("text/html;q=nan, text/plain", "text/plain; charset=utf-8"),
        ("text/html;level=1;q=x", PROBLEM),
    ],
)
def test_a_client_gets_what_it_prefers(accept: str | None, media: str) -> None:
    found = refused(*([] if accept is None else [("accept", accept)]))
    assert once(found)["Content-Type"] == media
    assert "12 seconds" in found.body.decode()


def test_a_head_request_gets_the_headers_and_no_body() -> None:
    head, get = refused(method="HEAD"), refused()
    assert (head.body, head.headers) == (b"", get.headers)


@pytest.mark.parametrize(("value", "is_htmx"), [("true", True), (" TRUE ", True), ("false", False), ("1", False)])
def test_a_part_of_a_page_is_not_replaced_by_the_refusal(value: str, is_htmx: bool) -> None:
    headers = once(refused(("hx-request", value)))
    assert (headers.get("HX-Reswap") == "none") is is_htmx
    if is_htmx:
        assert json.loads(headers["HX-Trigger"]) == {"zae-limiter:limited": {"retry_after": 12}}
        assert headers["Content-Type"].startswith("text/html")


def test_a_responder_makes_the_body_and_takes_nothing_away() -> None:
    found = refused(page=Page(responder=lambda told, _: (f"{told.wait_seconds}".encode(), "text/x-own")))
    assert (found.body, once(found)["Content-Type"], once(found)["Content-Length"]) == (b"12", "text/x-own", "2")
    assert [name for name, _ in refused().headers] == [name for name, _ in found.headers]
    assert refused(page=Page(responder=lambda *_: None)).body == refused().body


def test_a_template_makes_the_page_and_what_stands_in_it_is_escaped() -> None:
    found = refused(("accept", "text/html"), page=Page(html_template="<p>{title}: {detail}</p>"))
    assert found.body.decode() == (
        "<p>Too Many Requests: Rate limit &quot;tpm&quot; exceeded. Retry in 12 seconds.</p>"
    )
    assert b"<script" not in refused(("accept", "text/html")).body


def test_limits_are_told_where_that_is_wanted() -> None:
    told = json.loads(refused(page=Page(expose_limits=True)).body)["limits"]
    rpm = {"name": "rpm", "unit": "requests", "limit": 100, "remaining": 42, "window_seconds": 60, "exceeded": False}
    tpm = {"name": "tpm", "unit": "tokens", "limit": 90_000, "remaining": 0, "window_seconds": 60, "exceeded": True}
    assert told == [rpm, tpm]


def test_what_can_never_be_granted_is_not_to_be_repeated() -> None:
    never = float("inf")
    error = RateLimitExceeded([status(RPM, 100, wait=never)])
    request = HttpRequest("GET", "/")
    found = exceeded(error, [member(RPM, 100, wait=never)], request, style=Style(), page=Page(), now_ns=0)
    body = json.loads(found.body)
    assert (body["retryable"], "retry_after" in body, "Retry-After" in once(found)) == (False, False, False)


def test_abnormal_usage_has_a_type_of_its_own() -> None:
    body = json.loads(refused(problem="abnormal-usage").body)
    assert body["type"].endswith("#abnormal-usage-detected")
    assert body["title"] == "Abnormal Usage Detected"


def test_an_outage_names_no_policy() -> None:
    found = unavailable(HttpRequest("GET", "/"), page=Page(), retry_after_seconds=5)
    body = json.loads(found.body)
    assert (found.status, body["type"], body["status"], body["retry_after"]) == (503, "about:blank", 503, 5)
    assert "RateLimit" not in once(found)
    assert once(found)["Retry-After"] == "5"


def test_a_request_that_no_rule_covers_is_forbidden_without_a_word_of_when() -> None:
    found = unmapped(HttpRequest("GET", "/"), page=Page())
    assert (found.status, json.loads(found.body)["title"]) == (403, "Forbidden")
    assert "Retry-After" not in once(found)


@pytest.mark.parametrize("accept", [PROBLEM, "text/html", "text/plain"])
def test_nobody_is_named(accept: str) -> None:
    found = refused(("accept", accept), page=Page(expose_limits=True))
    everything = found.body + repr(found.headers).encode() + repr(found).encode()
    assert b"203.0.113.7" not in everything


@pytest.mark.parametrize(("theirs", "told"), [("999", "999"), ("11", "12"), ("Fri, 31 Dec 1999 23:59:59 GMT", "12")])
def test_of_two_waits_the_larger_is_told(theirs: str, told: str) -> None:
    """R21."""
    fields = refused().fields_on([("retry-after", theirs)])
    assert [value for name, value in fields if name.lower() == "retry-after"] == [told]


def test_the_answer_of_an_application_gets_the_headers_of_the_refusal() -> None:
    existing = [("content-type", "text/own"), ("vary", "Cookie, accept"), ("retry-after", "1"), ("set-cookie", "a")]
    fields = refused().fields_on(existing)
    told = dict(fields)
    assert (told["content-type"], told["Retry-After"], told["set-cookie"]) == ("text/own", "12", "a")
    assert told["Cache-Control"] == "no-store"
    assert {word.strip().lower() for word in told["Vary"].split(",")} == {"cookie", "accept", "hx-request"}
    assert [name.lower() for name, _ in fields].count("retry-after") == 1
