"""What is asked of usage, checked, and how snapshots add up, in every store. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from zae_limiter.exceptions import ValidationError
from zae_limiter.models import UsageSnapshot, UsageSummary
from zae_limiter.naming import check_identifier, check_resource
from zae_limiter.windows import WINDOWS, WRITTEN


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """Whose usage of what, in which windows, and between which starts of a window; both ends are in."""

    entity_id: str | None
    resource: str | None
    windows: tuple[str, ...]
    start: str | None
    end: str | None


def usage_query(
    entity_id: str | None,
    resource: str | None,
    window_type: str | None,
    start_time: datetime | str | None,
    end_time: datetime | str | None,
) -> UsageQuery:
    """What the arguments ask for, hourly and daily windows without a window type; `ValidationError`."""
    if entity_id is None and resource is None:
        raise ValidationError("entity_id", "None", "give an entity_id, a resource, or both")
    if entity_id is not None:
        check_identifier(entity_id)
    if resource is not None:
        check_resource(resource)
    if window_type is not None and window_type not in WINDOWS:
        raise ValidationError("window_type", str(window_type), f"must be one of {', '.join(WINDOWS)}")
    windows = (window_type,) if window_type else ("hourly", "daily")
    return UsageQuery(entity_id, resource, windows, _time("start_time", start_time), _time("end_time", end_time))


def check_page_size(limit: object) -> None:
    """How many snapshots a page may have; `ValidationError`."""
    if type(limit) is not int or limit < 1:
        raise ValidationError("limit", str(limit), "must be at least 1")


def summary_of(snapshots: Iterable[UsageSnapshot]) -> UsageSummary:
    """Snapshots added up; the average of a limit is over the snapshots that have it."""
    count = 0
    total: dict[str, int] = {}
    windows: dict[str, int] = {}
    first: str | None = None
    last: str | None = None
    for snapshot in snapshots:
        count += 1
        first = min(first or snapshot.window_start, snapshot.window_start)
        last = max(last or snapshot.window_start, snapshot.window_start)
        for name, used in snapshot.counters.items():
            total[name] = total.get(name, 0) + used
            windows[name] = windows.get(name, 0) + 1
    average = {name: used / windows[name] for name, used in total.items()}
    return UsageSummary(count, total, average, first, last)


def _time(field: str, value: datetime | str | None) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            raise ValidationError(field, str(value), "must be a time as in 2026-01-31T12:00:00Z") from error
    if not isinstance(value, datetime):
        raise ValidationError(field, repr(value), "must be a datetime or a text in ISO form")
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    try:
        return aware.astimezone(UTC).strftime(WRITTEN)
    except OverflowError as error:
        raise ValidationError(field, str(value), "is before the year 1 or after 9999 in UTC") from error
