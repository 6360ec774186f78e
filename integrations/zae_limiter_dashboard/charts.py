"""Usage as bars: the last hours, days or months without a gap, each limit for itself. Pure, but for the reading."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from zae_limiter import RateLimiter, UsageSnapshot
from zae_limiter.windows import window_start

HEIGHT: Final = 100
_BARS: Final = {"hourly": 48, "daily": 30, "monthly": 12}
_WORDS: Final = {"hourly": "48 hours", "daily": "30 days", "monthly": "12 months"}
_PAGE: Final = 1_000
_MOST_PAGES: Final = 10


@dataclass(frozen=True, slots=True)
class Bar:
    """One window of a chart: how high of a hundred, and what it says when pointed at."""

    height: int
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """What was used of one limit: all of it, the most in one window, and a bar a window, oldest first."""

    name: str
    total: int
    most: int
    bars: tuple[Bar, ...]
    first: str
    last: str


@dataclass(frozen=True, slots=True)
class Usage:
    """The charts of an entity or a resource over one kind of window; not `is_whole` when there was too much to read."""

    window: str
    span: str
    charts: tuple[Chart, ...]
    is_whole: bool


async def usage_of(
    limiter: RateLimiter, window: str, *, entity_id: str | None = None, resource: str | None = None
) -> Usage:
    """What was used in the latest windows; a kind of window that nobody knows is read as hourly."""
    chosen = window if window in _BARS else "hourly"
    starts = _starts(chosen, limiter.clock.now_ns() // 1_000_000_000)
    found, key = await limiter.get_usage_snapshots(entity_id, resource, chosen, starts[0], limit=_PAGE)
    pages = 1
    while key is not None and pages < _MOST_PAGES:
        page, key = await limiter.get_usage_snapshots(entity_id, resource, chosen, starts[0], None, _PAGE, key)
        found, pages = found + page, pages + 1
    return Usage(chosen, _WORDS[chosen], charts_of(found, starts), key is None)


def charts_of(snapshots: Sequence[UsageSnapshot], starts: Sequence[str]) -> tuple[Chart, ...]:
    """A chart for each limit, over windows that begin at `starts`, oldest first."""
    used: dict[str, dict[str, int]] = {}
    for snapshot in snapshots:
        for name, amount in snapshot.counters.items():
            windows = used.setdefault(name, {})
            windows[snapshot.window_start] = windows.get(snapshot.window_start, 0) + amount
    return tuple(_chart(name, windows, starts) for name, windows in sorted(used.items()))


def _chart(name: str, windows: Mapping[str, int], starts: Sequence[str]) -> Chart:
    amounts = [windows.get(start, 0) for start in starts]
    most = max(0, *amounts)
    bars = tuple(
        # What was used is seen, however little it is beside the rest.
        Bar(max(1, amount * HEIGHT // most) if amount > 0 else 0, f"{_short(start)}: {amount:,}")
        for start, amount in zip(starts, amounts, strict=True)
    )
    return Chart(name, sum(amounts), most, bars, _short(starts[0]), _short(starts[-1]))


def _starts(window: str, now_seconds: int) -> list[str]:
    latest = datetime.fromisoformat(window_start(window, now_seconds))
    if window == "monthly":
        months = latest.year * 12 + latest.month - 1
        found = [datetime(*_month(months - back), 1, tzinfo=UTC) for back in range(_BARS[window])]
    else:
        step = timedelta(hours=1) if window == "hourly" else timedelta(days=1)
        found = [latest - back * step for back in range(_BARS[window])]
    return [window_start(window, each.timestamp()) for each in reversed(found)]


def _month(number: int) -> tuple[int, int]:
    return number // 12, number % 12 + 1


def _short(start: str) -> str:
    day, _, time = start.partition("T")
    return day if time == "00:00:00Z" else f"{day} {time[:5]}"
