"""The one 429 and the one 503, as plain data: status, headers, body. No entity ever appears in them."""

import html
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from zae_limiter.bucket import whole_seconds
from zae_limiter.exceptions import RateLimitExceeded
from zae_limiter_http.facts import HttpRequest
from zae_limiter_http.headers import Fields, Member, Style, refused_fields

PROBLEM: Final = "application/problem+json"
_QUOTA: Final = "https://iana.org/assignments/http-problem-types#quota-exceeded"
_ABNORMAL: Final = "https://iana.org/assignments/http-problem-types#abnormal-usage-detected"
_OFFERS: Final = (PROBLEM, "application/json", "text/html", "text/plain")

Responder = Callable[["Refusal", Any], tuple[bytes, str] | None]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP answer instead of the application's; `body` is empty for HEAD, Content-Length is not."""

    status: int
    headers: Fields
    body: bytes
    wait_seconds: int | None = None


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
    then = "It cannot be granted at any time." if shown is None else f"Retry in {shown} second{'s' * (shown != 1)}."
    body: dict[str, Any] = {
        "type": _ABNORMAL if problem == "abnormal-usage" else _QUOTA,
        "title": "Abnormal Usage Detected" if problem == "abnormal-usage" else "Quota Exceeded",
        "status": 429,
        "detail": f"Rate limit {names} exceeded. {then}",
        "violated-policies": violated,
    }
    if shown is None:
        body["retryable"] = False
    else:
        body["retry_after"] = shown
    if page.expose_limits:
        body["limits"] = [_limit(member) for member in found if member.has_policy]
    return _answered(429, "Too Many Requests", body, fields, request, page, shown)


def unavailable(request: HttpRequest, *, page: Page, retry_after_seconds: int) -> Refusal:
    """The 503 while the store cannot be used: no policy was violated, so none is named (RFC 9110, 15.6.4)."""
    body = {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "detail": f"The service cannot answer now. Retry in {retry_after_seconds} seconds.",
        "retry_after": retry_after_seconds,
    }
    fields = [("Retry-After", str(retry_after_seconds))]
    return _answered(503, "Service Unavailable", body, fields, request, page, retry_after_seconds)


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
) -> Refusal:
    is_htmx = (request.header("hx-request") or "").strip().lower() == "true"
    octets, media = _body(_preferred(request.header("accept"), is_htmx=is_htmx), title, body, page)
    if page.responder is not None:
        replaced = page.responder(Refusal(status, list(fields), octets, seconds), request.native)
        if replaced is not None:
            octets, media = replaced
    headers = [("Content-Type", media), ("Content-Length", str(len(octets))), ("Cache-Control", "no-store")]
    headers.append(("Vary", "Accept, HX-Request"))
    if is_htmx:
        headers.append(("HX-Reswap", "none"))
        headers.append(("HX-Trigger", json.dumps({"zae-limiter:limited": {"retry_after": seconds}})))
    return Refusal(status, headers + fields, b"" if request.method == "HEAD" else octets, seconds)


def _body(media: str, title: str, body: dict[str, Any], page: Page) -> tuple[bytes, str]:
    detail = str(body["detail"])
    if media == "text/html":
        template = page.html_template or _HTML
        text = template.replace("{title}", html.escape(title)).replace("{detail}", html.escape(detail))
        return text.encode(), "text/html; charset=utf-8"
    if media == "text/plain":
        return f"{title}\n{detail}\n".encode(), "text/plain; charset=utf-8"
    return json.dumps(body, separators=(",", ":")).encode(), PROBLEM


_HTML: Final = """<!doctype html>
<html lang="en">
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
            quality = max(found, key=lambda each: each[0].count("*") == 0)[1]
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
