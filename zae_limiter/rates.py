"""Limits as text, there and back: `100/minute`, `tpm=90000/minute+120000`, `5 per 10 seconds`.

One parser for every place that takes text; `;` stands between several.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from zae_limiter.exceptions import ValidationError


class ParsedRate(NamedTuple):
    """One limit as it stands in a text; `burst` is None where the text names none."""

    name: str
    amount: int
    period_seconds: int
    burst: int | None


_PERIODS: Final = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3_600),
    **dict.fromkeys(("d", "day", "days"), 86_400),
}
_UNEVEN: Final = frozenset({"mo", "month", "months", "y", "yr", "year", "years", "w", "week", "weeks"})
_DEFAULT_NAMES: Final = {1: "rps", 60: "rpm", 3_600: "rph", 86_400: "rpd"}
_SHORT: Final = {1: "second", 60: "minute", 3_600: "hour", 86_400: "day"}
_LONGEST_TEXT: Final = 2_000

_RATE: Final = re.compile(
    r"""(?: (?P<name> [^=\s]+ ) \s* = \s* )?
        (?P<amount> \d+ ) \s*
        (?: / | \b per \b | \b every \b ) \s*
        (?P<times> \d+ )? \s* (?P<period> [a-z]+ )
        (?: \s* (?: \+ | \b burst \b ) \s* =? \s* (?P<burst> \d+ ) )?""",
    re.VERBOSE | re.IGNORECASE,
)


def parse_rates(text: str) -> list[ParsedRate]:
    """The limits of a text, in its order.

    Raises `ValidationError` for a text that is empty, too long or cannot be read.
    """
    if not isinstance(text, str):
        raise ValidationError("limits", repr(text), f"must be a text, got {type(text).__name__}")
    if len(text) > _LONGEST_TEXT:
        raise ValidationError("limits", text, f"at most {_LONGEST_TEXT} characters are allowed")
    parts = [part.strip() for part in text.split(";")]
    parsed = [_parse_rate(part) for part in parts if part]
    if not parsed:
        raise ValidationError("limits", text, "is empty; write for example '100/minute'")
    return parsed


def _parse_rate(text: str) -> ParsedRate:
    match = _RATE.fullmatch(text)
    if match is None:
        raise ValidationError("limits", text, "write for example '100/minute' or 'tpm=90000/minute+120000'")
    period = _period_seconds(match["period"].lower(), text)
    times = int(match["times"] or 1)
    if times == 0:
        raise ValidationError("limits", text, "the period must be at least one")
    name = match["name"] or _DEFAULT_NAMES[period]
    burst = match["burst"]
    return ParsedRate(name, int(match["amount"]), times * period, int(burst) if burst else None)


def _period_seconds(word: str, text: str) -> int:
    if word in _UNEVEN:
        raise ValidationError(
            "limits", text, f"{word!r} has no one length in seconds; write days, for example '1000/30 days'"
        )
    seconds = _PERIODS.get(word)
    if seconds is None:
        raise ValidationError("limits", text, f"{word!r} is no period; use second, minute, hour or day")
    return seconds


def rate_text(name: str, capacity: int, amount: int, period_seconds: int, burst: int) -> str | None:
    """The text that `parse_rates` reads back, or None where text cannot tell: capacity differs from the amount."""
    if capacity != amount:
        return None
    unit = next(seconds for seconds in sorted(_SHORT, reverse=True) if period_seconds % seconds == 0)
    times = period_seconds // unit
    shown = "" if _DEFAULT_NAMES[unit] == name else f"{name}="
    period = _SHORT[unit] if times == 1 else f"{times} {_SHORT[unit]}s"
    return f"{shown}{amount}/{period}" + (f"+{burst}" if burst != capacity else "")


def joined(texts: Sequence[str]) -> str:
    """Several limits in one text."""
    return "; ".join(texts)
