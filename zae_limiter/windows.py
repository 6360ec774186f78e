"""The windows of usage: hours, days and months of UTC, from a moment to the text of its window and on to its end.

Pure; what is counted in a window is the stores' to say.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

WRITTEN: Final = "%Y-%m-%dT%H:%M:%SZ"
_STARTS: Final = {"hourly": "%Y-%m-%dT%H:00:00Z", "daily": "%Y-%m-%dT00:00:00Z", "monthly": "%Y-%m-01T00:00:00Z"}
WINDOWS: Final = tuple(_STARTS)


def moment(now_ns: int) -> str:
    """A time of day in UTC, to the second, such as `2026-01-31T12:34:56Z`."""
    return datetime.fromtimestamp(now_ns // 1_000_000_000, UTC).strftime(WRITTEN)


def window_start(window: str, at_seconds: float) -> str:
    """The start of the window that holds a moment (seconds since the epoch), such as `2026-01-31T12:00:00Z`."""
    return datetime.fromtimestamp(at_seconds, UTC).strftime(_STARTS[window])


def window_end(window: str, start: str) -> str:
    """The last second of the window that starts there."""
    return (_after(window, start) - timedelta(seconds=1)).strftime(WRITTEN)


def seconds_after(window: str, start: str) -> int:
    """The moment at which the window is over, in seconds since the epoch."""
    return int(_after(window, start).timestamp())


def _after(window: str, start: str) -> datetime:
    began = datetime.fromisoformat(start)
    if window == "hourly":
        return began + timedelta(hours=1)
    if window == "daily":
        return began + timedelta(days=1)
    return (began + timedelta(days=32)).replace(day=1)
