"""A response's headers with those of the limits among them: what an inner limiter or the application set stays."""

import re
from collections.abc import Sequence
from typing import Final

from zae_limiter_http.headers import Fields, Style
from zae_limiter_http.members import MOST

_OLDER: Final = re.compile(r"(x-)?ratelimit-(limit|remaining|reset)(-.+)?", re.IGNORECASE)
MERGED: Final = frozenset(
    {
        *("ratelimit", "ratelimit-policy", "cache-control", "access-control-allow-origin"),
        *(f"ratelimit-{part}" for part in ("limit", "remaining", "reset")),
        *(f"x-ratelimit-{part}{of}" for part in ("limit", "remaining", "reset") for of in ("", "-requests", "-tokens")),
    }
)
"""The lower-cased names of headers of which a response must have none for ours to be simply added."""


def merged(existing: Sequence[tuple[str, str]], ours: Fields, *, status: int, style: Style) -> Fields:
    """The headers of a response with ours among them; those of an inner limiter stay, the lower one of a name wins."""
    if not ours or not has_fields(status):
        return list(existing)
    result, ours = _told_once(existing, ours)
    for name, value in ours:
        theirs = [index for index, (key, _) in enumerate(result) if key.lower() == name.lower()]
        if theirs and name in ("RateLimit", "RateLimit-Policy"):
            joined = ", ".join(result[index][1] for index in theirs)
            result = [pair for index, pair in enumerate(result) if index not in theirs]
            result.append((name, _joined(joined, value)))
        else:
            result.append((name, value))
    return exposed(result, ours) if style.cors_expose else result


def has_fields(status: int) -> bool:
    """Whether a response of this status carries fields of limits: no interim one, no redirection."""
    return not (100 <= status < 200 or 300 <= status < 400)


def _told_once(existing: Sequence[tuple[str, str]], ours: Fields) -> tuple[Fields, Fields]:
    """Both without what the other one tells more strictly in fields of the older styles, which are of one limit."""
    theirs, mine = _left_of(existing), _left_of(ours)
    lower = {one for one, left in theirs.items() if one in mine and left < mine[one]}
    return (
        [pair for pair in existing if (one := _one_limit(pair[0])) is None or one not in mine or one in lower],
        [pair for pair in ours if _one_limit(pair[0]) not in lower],
    )


def _left_of(fields: Sequence[tuple[str, str]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, value in fields:
        one = _one_limit(name)
        if one is not None and "-remaining" in name.lower():
            found[one] = int(value) if re.fullmatch("[0-9]{1,15}", value) else MOST
    return found


def _one_limit(name: str) -> str | None:
    """What the fields of one limit have in common, in the older styles; None for any other field."""
    found = _OLDER.fullmatch(name)
    return None if found is None else f"{found[1] or ''}{found[3] or ''}".lower()


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
    return int(found[1]) if found else MOST


def exposed(headers: Fields, ours: Fields) -> Fields:
    """Headers that let scripts of other origins read ours, where they may read anything of the response."""
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
