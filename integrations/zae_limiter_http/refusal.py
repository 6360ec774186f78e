"""The one 429 and the one 503, as plain data: status, headers, body. No entity ever appears in them."""

import html
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from zae_limiter.bucket import whole_seconds
from zae_limiter.exceptions import RateLimiterUnavailable, RateLimitExceeded
from zae_limiter_http import texts
from zae_limiter_http.facts import HttpRequest
from zae_limiter_http.headers import Fields, Style, refused_fields
from zae_limiter_http.members import Member
from zae_limiter_http.merging import exposed
from zae_limiter_http.texts import ENGLISH, Texts

PROBLEM: Final = "application/problem+json"
_QUOTA: Final = "https://iana.org/assignments/http-problem-types#quota-exceeded"
_ABNORMAL: Final = "https://iana.org/assignments/http-problem-types#abnormal-usage-detected"
_OFFERS: Final = (PROBLEM, "application/json", "text/html", "text/plain")

Responder = Callable[["Refusal", Any], tuple[bytes, str] | None]
_SECONDS: Final = re.compile(r"[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP answer instead of the application's; `body` is empty for HEAD, Content-Length is not.

    `detail` is the sentence that the body tells. `error` is what the limiter raised, with entities in it: for code,
    never to be shown.
    """

    status: int
    headers: Fields
    body: bytes
    wait_seconds: int | None = None
    detail: str = ""
    error: RateLimitExceeded | RateLimiterUnavailable | None = field(default=None, repr=False)
    cors_expose: bool = False

    def fields_on(self, existing: Sequence[tuple[str, str]]) -> Fields:
        """The headers of an answer that the application gave in place of this one, with the limiter's on it."""
        ours = [pair for pair in self.headers if pair[0] not in ("Content-Type", "Content-Length", "Vary")]
        names = {name.lower() for name, _ in ours}
        waits = [int(value) for name, value in existing if name.lower() == "retry-after" and _SECONDS.fullmatch(value)]
        if max(waits, default=0) > (self.wait_seconds or 0):
            # Of two waits the larger holds: R21.
            names.add("retry-after")
            ours = [pair for pair in ours if pair[0] != "Retry-After"] + [("Retry-After", str(max(waits)))]
        kept = [pair for pair in existing if pair[0].lower() not in names]
        varies = [value for name, value in kept if name.lower() == "vary"] + [dict(self.headers)["Vary"]]
        words = {word.lower(): word for value in varies for word in re.split(r"\s*,\s*", value) if word}
        kept = [pair for pair in kept if pair[0].lower() != "vary"]
        result = [*kept, ("Vary", ", ".join(words.values())), *ours]
        # Scripts may read the others of ours, such as Cache-Control, anyway.
        return exposed(result, [pair for pair in ours if pair[0] != "Cache-Control"]) if self.cors_expose else result


class Refused(Exception):  # noqa: N818 - an answer on its way, not a mistake
    """Carries a refusal from inside an application to the middleware around it."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal
        super().__init__(f"refused with {refusal.status}; ZaeLimiterMiddleware answers it")


@dataclass(frozen=True, slots=True)
class Page:
    """How the body is made."""

    expose_limits: bool = False
    html_template: str | None = None
    responder: Responder | None = None
    texts: Texts = ENGLISH
    cors_expose: bool = False

    def one(self, text: str) -> str:
        """A text that has one form."""
        return self.texts.say(text, text, 1)

    def retry(self, seconds: int) -> str:
        """When to come back."""
        return self.texts.say(*texts.RETRY, seconds).replace("{seconds}", str(seconds))


def exceeded(
    error: RateLimitExceeded,
    found: Sequence[Member],
    request: HttpRequest,
    *,
    style: Style,
    page: Page,
    now_ns: int,
    problem: str | None = None,
) -> Refusal:
    """The 429 of a refused charge (RFC 6585, 4; RFC 9457)."""
    violated = list(dict.fromkeys(member.name for member in found if member.is_violated))
    wait_ns = error.wait_ns
    fields = refused_fields(found, style, wait_ns=wait_ns, now_ns=now_ns)
    seconds = None if wait_ns is None else max(1, whole_seconds(wait_ns))
    told = dict(fields).get("Retry-After", "")
    shown = int(told) if told.isdigit() else seconds
    names = ", ".join(f'"{name}"' for name in violated)
    then = page.one(texts.NEVER) if shown is None else page.retry(shown)
    body: dict[str, Any] = {
        "type": _ABNORMAL if problem == "abnormal-usage" else _QUOTA,
        "title": "Abnormal Usage Detected" if problem == "abnormal-usage" else "Quota Exceeded",
        "status": 429,
        "detail": f"{page.texts.say(*texts.EXCEEDED, len(violated)).replace('{names}', names)} {then}",
        "violated-policies": violated,
    }
    if shown is None:
        body["retryable"] = False
    else:
        body["retry_after"] = shown
    if page.expose_limits:
        body["limits"] = [_limit(member) for member in found if member.has_policy]
    return _answered(429, texts.TOO_MANY, body, fields, request, page, shown, error)


def unavailable(
    request: HttpRequest, *, page: Page, retry_after_seconds: int, error: RateLimiterUnavailable | None = None
) -> Refusal:
    """The 503 while the store cannot be used: no policy was violated, so none is named (RFC 9110, 15.6.4)."""
    body = {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "detail": f"{page.one(texts.NO_ANSWER)} {page.retry(retry_after_seconds)}",
        "retry_after": retry_after_seconds,
    }
    fields = [("Retry-After", str(retry_after_seconds))]
    return _answered(503, texts.UNAVAILABLE, body, fields, request, page, retry_after_seconds, error)


def unmapped(request: HttpRequest, *, page: Page) -> Refusal:
    """The 403 of a request that no rule covers, where the configuration lets in only what one does."""
    body = {"type": "about:blank", "title": "Forbidden", "status": 403, "detail": page.one(texts.NOT_SERVED)}
    return _answered(403, texts.FORBIDDEN, body, [], request, page, None, None)


def _limit(member: Member) -> dict[str, Any]:
    return {
        "name": member.name,
        "unit": member.limit.unit,
        "limit": member.limit.refill_amount,
        "remaining": member.shown,
        "window_seconds": member.limit.refill_period_seconds,
        "exceeded": member.is_violated,
    }


def _answered(
    status: int,
    title: str,
    body: dict[str, Any],
    fields: Fields,
    request: HttpRequest,
    page: Page,
    seconds: int | None,
    error: RateLimitExceeded | RateLimiterUnavailable | None,
) -> Refusal:
    is_htmx = (request.header("hx-request") or "").strip().lower() == "true"
    octets, media = _body(_preferred(request.header("accept"), is_htmx=is_htmx), title, body, page)
    if page.responder is not None:
        replaced = page.responder(Refusal(status, list(fields), octets, seconds, str(body["detail"])), request.native)
        if replaced is not None:
            octets, media = replaced
    headers = [("Content-Type", media), ("Content-Length", str(len(octets))), ("Cache-Control", "no-store")]
    headers.append(("Vary", "Accept, HX-Request"))
    if is_htmx:
        headers.append(("HX-Reswap", "none"))
        headers.append(("HX-Trigger", json.dumps({"zae-limiter:limited": {"retry_after": seconds}})))
    sent = b"" if request.method == "HEAD" else octets
    return Refusal(status, headers + fields, sent, seconds, str(body["detail"]), error, page.cors_expose)


def _body(media: str, title: str, body: dict[str, Any], page: Page) -> tuple[bytes, str]:
    detail = str(body["detail"])
    if media == "text/html":
        text = (page.html_template or _HTML).replace("{language}", html.escape(page.texts.language()))
        text = text.replace("{title}", html.escape(page.one(title))).replace("{detail}", html.escape(detail))
        return text.encode(), "text/html; charset=utf-8"
    if media == "text/plain":
        return f"{page.one(title)}\n{detail}\n".encode(), "text/plain; charset=utf-8"
    return json.dumps(body, separators=(",", ":")).encode(), PROBLEM


_HTML: Final = """<!doctype html>
<html lang="{language}">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title></head>
<body><h1>{title}</h1><p>{detail}</p></body>
</html>
"""


def _preferred(accept: str | None, *, is_htmx: bool) -> str:
    if is_htmx:
        return "text/html"
    ranges = [_range(part) for part in (accept or "")[:4_096].split(",")[:64]]
    best, best_quality = PROBLEM, 0.0
    for offer in _OFFERS:
        found = [each for each in ranges if each is not None and _covers(each[0], offer)]
        if found:
            quality = min(found, key=lambda each: each[0].count("*"))[1]
            if quality > best_quality:
                best, best_quality = offer, quality
    return PROBLEM if best == "application/json" else best


def _range(part: str) -> tuple[str, float] | None:
    media, *parameters = (piece.strip().lower() for piece in part.split(";"))
    if media.count("/") != 1:
        return None
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                quality = float(value)
            except ValueError:
                return None
            return media, min(max(quality, 0.0), 1.0) if quality == quality else 0.0
    return media, 1.0


def _covers(media: str, offer: str) -> bool:
    return media in ("*/*", offer) or (media.endswith("/*") and offer.startswith(media[:-1]))
