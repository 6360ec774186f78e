"""What a page shows of buckets, limits, events and long lists: plain values for the templates. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote, urlencode

from zae_limiter import AuditEvent, BucketState, Limit, ValidationError
from zae_limiter.cli.parse import limits_of
from zae_limiter.cli.render import rate_of
from zae_limiter.models import check_limits

T = TypeVar("T")

PAGE: Final = 50
_OFTEN_SECONDS: Final = 2
_SELDOM_SECONDS: Final = 10
_FEW: Final = 500
_LONGEST_NUMBER: Final = 9
_PARTS: Final = ("page", "children", "custom", "window", "after")
"""What a query says of the parts of a page, each of which is turned over by itself."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a long list: its rows, which ones they are, and the pages around it, 0 for none."""

    rows: Sequence[T]
    first: int
    last: int
    total: int
    before: int
    after: int


def paged(rows: Sequence[T], number: str) -> Page[T]:
    """The page of that number; the first one for what is no number, the last one for one that is too high."""
    # Cut, as Python reads no endless number; it is too high all the same.
    wanted = int(number[:_LONGEST_NUMBER]) if number.isdecimal() else 1
    pages = max(1, -(-len(rows) // PAGE))
    page = min(max(1, wanted), pages)
    first = (page - 1) * PAGE
    shown = rows[first : first + PAGE]
    return Page(
        shown, first + 1 if shown else 0, first + len(shown), len(rows), page - 1, 0 if page == pages else page + 1
    )


def in_path(name: str) -> str:
    """A name as one part of a path: a slash in it, or dots, must not lead elsewhere."""
    return quote(name, safe="")


def query_with(asked: Mapping[str, str], **changed: object) -> str:
    """The query of a link that turns over one part of a page, or to None; the other parts stay where they are."""
    shown = changed | {name: asked[name] for name in _PARTS if name in asked and name not in changed}
    return "?" + urlencode({name: value for name, value in shown.items() if value is not None}, quote_via=quote)


def buckets_shown(states: Sequence[BucketState]) -> list[dict[str, Any]]:
    """Buckets, the emptiest first."""
    return [
        {
            "entity_id": state.entity_id,
            "resource": state.resource,
            "limit": state.limit_name,
            "available": state.tokens,
            "burst": state.burst,
            "rate": rate_of(Limit.from_bucket_state(state)),
            "left_pct": max(0, min(100, state.tokens_milli * 100 // state.burst_milli)),
        }
        for state in sorted(states, key=_emptiest)
    ]


def _emptiest(state: BucketState) -> tuple[float, str, str, str]:
    return state.tokens_milli / state.burst_milli, state.entity_id, state.resource, state.limit_name


def seconds_between_looks(buckets: int) -> int:
    """How often a page reads the buckets again: each look reads them all."""
    return _OFTEN_SECONDS if buckets <= _FEW else _SELDOM_SECONDS


def limit_lines(limits: Sequence[Limit]) -> str:
    """Limits as the form takes them, one a line."""
    return "\n".join(map(_line, limits))


def _line(limit: Limit) -> str:
    burst = str(limit.burst) if limit.burst != limit.capacity else ""
    unit = limit.unit if limit.unit != "requests" else ""
    end = f":{burst}:{unit}" if unit else f":{burst}" if burst else ""
    line = f"{limit.name}:{rate_of(limit).replace(',', '')}{end}"
    # What a line of text cannot say must not be lost by whoever saves what the form showed.
    return line if limits_of([line]) == (limit,) else json.dumps(limit.to_dict())


def limits_in(text: str) -> tuple[Limit, ...]:
    """The limits of a form, one a line; `ValidationError`."""
    found: list[Limit] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        found += [_told_in_full(line)] if line.startswith("{") else limits_of([line])
    return check_limits(found)


def _told_in_full(line: str) -> Limit:
    try:
        data = json.loads(line)
    except ValueError as error:
        raise ValidationError("limits", line, "is no JSON; write NAME:RATE[:BURST[:UNIT]]") from error
    return Limit.from_dict(data)


def limit_text(limit: Limit) -> str:
    """The rate of a limit in a few words, as in `100/minute, burst 150`."""
    burst = f", burst {limit.burst:,}" if limit.burst != limit.capacity else ""
    unit = f" {limit.unit}" if limit.unit != "requests" else ""
    return f"{rate_of(limit)}{unit}{burst}"


def details_text(event: AuditEvent) -> str:
    """What an event tells beside its action: limits in words, the rest as `name: value`."""
    texts: list[str] = []
    for key, value in event.details.items():
        if key == "limits":
            texts += [f"{each['name']} {limit_text(Limit.from_dict(each))}" for each in value]
        elif value not in (None, {}, []):
            texts.append(f"{key.replace('_', ' ')}: {_in_words(value)}")
    return "; ".join(texts)


def _in_words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={_in_words(each)}" for key, each in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def when(time: str) -> str:
    """A time as people read it."""
    return time.replace("T", " ").removesuffix("Z")
