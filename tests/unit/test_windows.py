"""Windows of usage: where a moment falls, when a window ends."""

from datetime import UTC, datetime

import pytest

from zae_limiter.windows import WINDOWS, seconds_after, window_end, window_start


@pytest.mark.parametrize(
    ("window", "start", "end"),
    [
        ("hourly", "2026-02-28T23:00:00Z", "2026-02-28T23:59:59Z"),
        ("daily", "2026-02-28T00:00:00Z", "2026-02-28T23:59:59Z"),
        ("monthly", "2026-02-01T00:00:00Z", "2026-02-28T23:59:59Z"),
    ],
)
def test_a_moment_falls_into_the_window_of_its_hour_day_or_month(window: str, start: str, end: str) -> None:
    last = datetime(2026, 2, 28, 23, 59, 59, 999_999, tzinfo=UTC).timestamp()

    assert window_start(window, last) == start
    assert window_end(window, start) == end


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("moment", [datetime(2028, 2, 29, 12, tzinfo=UTC), datetime(2026, 12, 31, 23, tzinfo=UTC)])
def test_a_window_ends_where_the_next_begins(window: str, moment: datetime) -> None:
    start = window_start(window, moment.timestamp())
    after = seconds_after(window, start)

    assert window_start(window, after - 1) == start
    assert window_start(window, after) > start
    assert datetime.fromtimestamp(after, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") == window_start(window, after)
