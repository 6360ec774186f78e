"""Header fields of grants and refusals: RateLimit, RateLimit-Policy, Retry-After, and the older styles.

The fields are those of draft-ietf-httpapi-ratelimit-headers-11, written as RFC 9651 says; integers throughout.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from random import randint
from typing import Final

from zae_limiter.bucket import whole_seconds
from zae_limiter.models import Limit
from zae_limiter_http.members import MOST, Member, paced_seconds

Fields = list[tuple[str, str]]

_DRAFT_ALONE: Final = ("draft",)
_MOST_TEXTS: Final = 4_096
_texts: dict[int, tuple[Limit, str]] = {}


@dataclass(frozen=True, slots=True)
class Style:
    """Which fields are written, and how."""

    styles: tuple[str, ...] = ("draft",)
    dialect: str = "draft11"
    members: str = "all"
    retry_after_format: str = "delta"
    jitter_seconds: int = 0
    reset_format: str = "epoch"
    expose_parent: bool = False
    partition_key: str = "none"
    secret: str | None = None
    cors_expose: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether grants are told in the plainest way: every limit of the caller's own, by the draft, as it is."""
        plain = replace(
            Style(),
            retry_after_format=self.retry_after_format,
            jitter_seconds=self.jitter_seconds,
            reset_format=self.reset_format,
            secret=self.secret,
            cors_expose=self.cors_expose,
        )
        return self == plain


def granted_fields(found: Sequence[Member], style: Style, *, now_ns: int, is_public: bool = False) -> Fields:
    """The fields of a response that was let through; of a publicly cacheable one only the policy."""
    if not found:
        return []
    shown = [min(found, key=_tightness)] if style.members == "tightest" else found
    fields: Fields = []
    if "draft" in style.styles:
        fields.append(("RateLimit-Policy", _policies(shown, style)))
        if not is_public:
            fields.append(("RateLimit", ", ".join([_state(member, style) for member in shown])))
    if not is_public and style.styles != _DRAFT_ALONE:
        fields += _older(shown, style, now_ns, None)
    return fields


def plain_fields(left: Sequence[tuple[Limit, int]]) -> Fields:
    """What `granted_fields` makes in the plain style, of limits and what is available of them."""
    if not left:
        return []
    states = [f'"{limit.name}";r={max(0, min(n, MOST))};t={paced_seconds(limit, n)}' for limit, n in left]
    return [
        ("RateLimit-Policy", ", ".join([_known_policy(limit) for limit, _ in left])),
        ("RateLimit", ", ".join(states)),
    ]


def refused_fields(found: Sequence[Member], style: Style, *, wait_ns: int | None, now_ns: int) -> Fields:
    """The fields of a 429: all policies, the state of the violated ones, and when to come back, if ever."""
    fields: Fields = []
    if wait_ns is not None:
        fields.append(("Retry-After", retry_after(wait_ns, style, now_ns)))
    violated = [member for member in found if member.is_violated]
    if "draft" in style.styles:
        with_policy = [member for member in found if member.has_policy]
        if with_policy:
            fields.append(("RateLimit-Policy", _policies(with_policy, style)))
        if violated:
            fields.append(("RateLimit", ", ".join(_state(member, style, never=wait_ns is None) for member in violated)))
    older = _older(found, style, now_ns, violated)
    if "openai" in style.styles:
        if wait_ns is None:
            older.append(("x-should-retry", "false"))
        else:
            older.append(("retry-after-ms", str(max(1, -(-wait_ns // 1_000_000)))))
    return fields + older


def retry_after(wait_ns: int, style: Style, now_ns: int) -> str:
    """The value of Retry-After (RFC 9110, 10.2.3); jitter only ever adds."""
    seconds = max(1, whole_seconds(wait_ns)) + (randint(0, style.jitter_seconds) if style.jitter_seconds else 0)
    if style.retry_after_format == "delta":
        return str(seconds)
    return _http_date(whole_seconds(now_ns) + seconds)


def _http_date(seconds: int) -> str:
    return format_datetime(datetime.fromtimestamp(seconds, UTC), usegmt=True)


def _policies(found: Sequence[Member], style: Style) -> str:
    return ", ".join([_policy(member, style) for member in found])


def _policy(member: Member, style: Style) -> str:
    limit = member.status.limit
    if style.partition_key == "none" and member.name == limit.name:
        return _known_policy(limit)
    return _policy_text(member.name, limit) + _partition(member, style)


def _known_policy(limit: Limit) -> str:
    """The policy of a limit under its own name, whose text is kept with it."""
    known = _texts.get(id(limit))
    if known is None or known[0] is not limit:
        if len(_texts) >= _MOST_TEXTS:
            _texts.clear()
        known = _texts[id(limit)] = limit, _policy_text(limit.name, limit)
    return known[1]


def _policy_text(name: str, limit: Limit) -> str:
    unit = "" if limit.unit == "requests" else f';qu="{limit.unit}"'
    burst = "" if limit.burst == limit.refill_amount else f";zae-burst={min(limit.burst, MOST)}"
    return f'"{name}";q={min(limit.refill_amount, MOST)}{unit};w={limit.refill_period_seconds}{burst}'


def _state(member: Member, style: Style, *, never: bool = False) -> str:
    left, seconds = member.shown, None if never else member.effective_seconds
    if seconds is not None and style.dialect == "draft11" and style.partition_key == "none":
        return f'"{member.name}";r={left};t={seconds}'
    draft = f";r={left}" + ("" if seconds is None else f";t={seconds}")
    editors = f";a={left}" + ("" if seconds is None else f";w={seconds}")
    shown = {"draft11": draft, "editors": editors, "both": draft + editors}[style.dialect]
    return f'"{member.name}"{shown}{_partition(member, style)}'


def _partition(member: Member, style: Style) -> str:
    status = member.status
    if style.partition_key == "none":
        return ""
    if style.partition_key == "resource":
        octets = status.resource.encode()
    else:
        text = "\x1f".join((member.name, status.entity_id, status.resource))
        octets = hmac.new((style.secret or "").encode(), text.encode(), hashlib.sha256).digest()[:12]
    return f";pk=:{base64.b64encode(octets).decode()}:"


def _tightness(member: Member) -> float:
    return member.available / member.limit.burst


def _older(found: Sequence[Member], style: Style, now_ns: int, violated: Sequence[Member] | None) -> Fields:
    fields: Fields = []
    candidates = violated or [member for member in found if member.has_policy]
    if not candidates:
        return fields
    tightest = min(candidates, key=_tightness) if not violated else max(violated, key=lambda one: one.wait_ns or 0)
    if "x" in style.styles:
        fields.append(("X-RateLimit-Limit", str(tightest.limit.burst)))
        fields.append(("X-RateLimit-Remaining", str(min(tightest.shown, tightest.limit.burst))))
        fields.append(("X-RateLimit-Reset", _reset(tightest.reset_seconds, style, now_ns)))
    if "ietf06" in style.styles:
        fields.append(("RateLimit-Limit", str(tightest.limit.burst)))
        fields.append(("RateLimit-Remaining", str(min(tightest.shown, tightest.limit.burst))))
        fields.append(("RateLimit-Reset", str(tightest.reset_seconds)))
    if "openai" in style.styles:
        for suffix, member in _by_suffix(found).items():
            fields.append((f"x-ratelimit-limit-{suffix}", str(member.limit.burst)))
            fields.append((f"x-ratelimit-remaining-{suffix}", str(member.shown)))
            fields.append((f"x-ratelimit-reset-{suffix}", _go_duration(member.reset_seconds)))
    return fields


def _by_suffix(found: Sequence[Member]) -> dict[str, Member]:
    """The limit that is told for each suffix: a header that is there twice would be read as one list."""
    told: dict[str, Member] = {}
    for member in found:
        suffix = member.limit.header_suffix or member.limit.unit
        other = told.get(suffix)
        if other is None or (not member.is_violated, _tightness(member)) < (not other.is_violated, _tightness(other)):
            told[suffix] = member
    return told


def _reset(seconds: int, style: Style, now_ns: int) -> str:
    if style.reset_format == "delta":
        return str(seconds)
    at = whole_seconds(now_ns) + seconds
    return str(at) if style.reset_format == "epoch" else _http_date(at)


def _go_duration(seconds: int) -> str:
    hours, rest = divmod(seconds, 3_600)
    minutes, rest = divmod(rest, 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if minutes or hours else "") + f"{rest}s"
