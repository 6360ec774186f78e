"""Header fields of grants and refusals: RateLimit, RateLimit-Policy, Retry-After, and the older styles.

The fields are those of draft-ietf-httpapi-ratelimit-headers-11, written as RFC 9651 says; integers throughout.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from random import randint
from typing import Final

from zae_limiter.bucket import whole_seconds
from zae_limiter.models import Charge, Limit, LimitStatus
from zae_limiter_http.rules import Rule

Fields = list[tuple[str, str]]

_MOST: Final = 999_999_999_999_999


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


@dataclass(frozen=True, slots=True)
class Member:
    """One policy as clients see it."""

    name: str
    status: LimitStatus
    available: int
    is_violated: bool = False
    wait_ns: int | None = 0
    has_policy: bool = True

    @property
    def limit(self) -> Limit:
        """The limit behind the policy."""
        return self.status.limit

    @property
    def shown(self) -> int:
        """The quota left as the field may have it: never negative, at most 15 digits."""
        return max(0, min(self.available, _MOST))

    @property
    def effective_seconds(self) -> int | None:
        """The wait of a violated limit, else a time that keeps a client at the sustained rate; None for never."""
        if self.is_violated:
            return None if self.wait_ns is None else max(1, whole_seconds(self.wait_ns))
        q, w = self.limit.refill_amount, self.limit.refill_period_seconds
        tokens = self.shown or 1 - self.available
        return max(1, -(-tokens * w // q))

    @property
    def reset_seconds(self) -> int:
        """Seconds until the bucket is full."""
        q, w = self.limit.refill_amount, self.limit.refill_period_seconds
        return max(0, -(-(self.limit.burst - self.available) * w // q))


def members(
    charges: Sequence[tuple[Rule, Charge]], statuses: Sequence[LimitStatus], *, expose_parent: bool
) -> list[Member]:
    """The policies of a decision in the order of rules and limits; parents only where they refuse or may be shown."""
    own = {(charge.entity_id, charge.resource) for _, charge in charges}
    parents = [status for status in statuses if (status.entity_id, status.resource) not in own]
    found: dict[tuple[int, str], Member] = {}
    for rule, charge in charges:
        names = None if charge.limits is None or isinstance(charge.limits, str) else {one.name for one in charge.limits}
        for status in statuses:
            if (status.entity_id, status.resource) != (charge.entity_id, charge.resource):
                continue
            if names is None or status.limit_name in names:
                key = (id(rule), status.limit_name)
                found[key] = _tighter(found.get(key), _member(status))
    for status in parents:
        _with_parent(found, status, expose_parent=expose_parent)
    return _named(charges, found)


def _member(status: LimitStatus) -> Member:
    wait = status.wait_ns if status.retryable else None
    return Member(status.limit_name, status, status.available, status.exceeded, wait)


def _tighter(first: Member | None, second: Member) -> Member:
    if first is None:
        return second
    if first.is_violated != second.is_violated:
        return first if first.is_violated else second
    return first if first.available <= second.available else second


def _with_parent(found: dict[tuple[int, str], Member], status: LimitStatus, *, expose_parent: bool) -> None:
    if not (expose_parent or status.exceeded):
        return
    shown = _member(status)
    if not expose_parent:
        shown = Member(status.limit_name, status, 0, True, shown.wait_ns)
    for key, member in found.items():
        if key[1] == status.limit_name:
            tighter = _tighter(member, shown)
            found[key] = Member(member.name, member.status, tighter.available, tighter.is_violated, tighter.wait_ns)
            return
    if status.exceeded:
        found[0, status.limit_name] = Member(
            status.limit_name, status, 0, True, shown.wait_ns, has_policy=expose_parent
        )


def _named(charges: Sequence[tuple[Rule, Charge]], found: dict[tuple[int, str], Member]) -> list[Member]:
    rules = list(dict.fromkeys(id(rule) for rule, _ in charges))
    labels = {id(rule): rule.name for rule, _ in charges}
    names = [name for _, name in found]
    named: list[Member] = []
    for (rule_id, name), member in found.items():
        shown = member
        if names.count(name) > 1 and rule_id:
            label = labels[rule_id] or f"rule{rules.index(rule_id) + 1}"
            shown = Member(
                f"{label}.{name}",
                member.status,
                member.available,
                member.is_violated,
                member.wait_ns,
                member.has_policy,
            )
        named.append(shown)
    return named


def granted_fields(found: Sequence[Member], style: Style, *, now_ns: int, is_public: bool = False) -> Fields:
    """The fields of a response that was let through; of a publicly cacheable one only the policy."""
    if not found:
        return []
    shown = [min(found, key=_tightness)] if style.members == "tightest" else list(found)
    fields: Fields = []
    if "draft" in style.styles:
        fields.append(("RateLimit-Policy", _policies(shown, style)))
        if not is_public:
            fields.append(("RateLimit", ", ".join(_state(member, style) for member in shown)))
    return fields if is_public else fields + _older(shown, style, now_ns, None)


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
    return ", ".join(_policy(member, style) for member in found)


def _policy(member: Member, style: Style) -> str:
    limit = member.limit
    unit = "" if limit.unit == "requests" else f';qu="{limit.unit}"'
    burst = "" if limit.burst == limit.refill_amount else f";zae-burst={min(limit.burst, _MOST)}"
    amount = min(limit.refill_amount, _MOST)
    return f'"{member.name}";q={amount}{unit};w={limit.refill_period_seconds}{burst}{_partition(member, style)}'


def _state(member: Member, style: Style, *, never: bool = False) -> str:
    left, seconds = member.shown, None if never else member.effective_seconds
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
        for member in found:
            suffix = member.limit.header_suffix or member.limit.unit
            fields.append((f"x-ratelimit-limit-{suffix}", str(member.limit.burst)))
            fields.append((f"x-ratelimit-remaining-{suffix}", str(member.shown)))
            fields.append((f"x-ratelimit-reset-{suffix}", _go_duration(member.reset_seconds)))
    return fields


def _reset(seconds: int, style: Style, now_ns: int) -> str:
    if style.reset_format == "delta":
        return str(seconds)
    at = whole_seconds(now_ns) + seconds
    return str(at) if style.reset_format == "epoch" else _http_date(at)


def _go_duration(seconds: int) -> str:
    hours, rest = divmod(seconds, 3_600)
    minutes, rest = divmod(rest, 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if minutes or hours else "") + f"{rest}s"


def merged(existing: Sequence[tuple[str, str]], ours: Fields, *, status: int, style: Style) -> Fields:
    """The headers of a response with ours among them; those of an inner limiter stay, the lower one of a name wins."""
    if 300 <= status < 400 or 100 <= status < 200 or not ours:
        return list(existing)
    result = list(existing)
    for name, value in ours:
        theirs = [index for index, (key, _) in enumerate(result) if key.lower() == name.lower()]
        if theirs and name in ("RateLimit", "RateLimit-Policy"):
            joined = ", ".join(result[index][1] for index in theirs)
            result = [pair for index, pair in enumerate(result) if index not in theirs]
            result.append((name, _joined(joined, value)))
        else:
            result.append((name, value))
    return _exposed(result, ours) if style.cors_expose else result


def _joined(theirs: str, ours: str) -> str:
    kept = _split(theirs)
    for member in _split(ours):
        name = member.partition(";")[0]
        same = [index for index, other in enumerate(kept) if other.partition(";")[0] == name]
        if not same:
            kept.append(member)
        elif _left(member) < _left(kept[same[0]]):
            kept[same[0]] = member
    return ", ".join(kept)


def _split(value: str) -> list[str]:
    return [part.strip() for part in re.findall(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+', value) if part.strip()]


def _left(member: str) -> int:
    found = re.search(r";\s*[ra]=(\d{1,15})", member)
    return int(found[1]) if found else _MOST


def _exposed(headers: Fields, ours: Fields) -> Fields:
    if not any(key.lower() == "access-control-allow-origin" for key, _ in headers):
        return headers
    already = [value for key, value in headers if key.lower() == "access-control-expose-headers"]
    named = [part.strip() for value in already for part in value.split(",") if part.strip()]
    known = {name.lower() for name in named}
    named += [name for name in dict.fromkeys(("Retry-After", *(name for name, _ in ours))) if name.lower() not in known]
    kept = [pair for pair in headers if pair[0].lower() != "access-control-expose-headers"]
    return [*kept, ("Access-Control-Expose-Headers", ", ".join(named))]


def is_public(headers: Sequence[tuple[str, str]]) -> bool:
    """Whether a shared cache may replay the response to others (RFC 9111)."""
    values = [value.lower() for key, value in headers if key.lower() == "cache-control"]
    directives = {part.strip().partition("=")[0] for value in values for part in value.split(",")}
    return bool(directives & {"public", "s-maxage"})
