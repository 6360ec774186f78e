"""The chapter of usage: tokens by hour, day and month, net of credits.

Closed hours stand in their own table, the current one on the buckets; reading adds them up.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from sqlite3 import Connection
from typing import Any, Final

from zae_limiter.embedded.place import Place
from zae_limiter.exceptions import ValidationError
from zae_limiter.models import UsageSnapshot, UsageSummary
from zae_limiter.naming import check_identifier, check_resource

_WINDOWS: Final = {"hourly": "%Y-%m-%dT%H:00:00Z", "daily": "%Y-%m-%dT00:00:00Z", "monthly": "%Y-%m-01T00:00:00Z"}
_WRITTEN: Final = "%Y-%m-%dT%H:%M:%SZ"


class Usage:
    """Reads the usage of one namespace."""

    def __init__(self, place: Place) -> None:
        self._place = place

    async def get_usage_snapshots(
        self,
        entity_id: str | None = None,
        resource: str | None = None,
        window_type: str | None = None,
        start_time: datetime | str | None = None,
        end_time: datetime | str | None = None,
        limit: int = 100,
        next_key: dict[str, Any] | None = None,
    ) -> tuple[list[UsageSnapshot], dict[str, Any] | None]:
        """One page of usage, newest first, and the key of the next; `ValidationError` without entity or resource.

        Without a window type hourly and daily windows are listed. Times are compared with the start of a window.
        """
        if type(limit) is not int or limit < 1:
            raise ValidationError("limit", str(limit), "must be at least 1")
        found = await self._found(entity_id, resource, window_type, start_time, end_time)
        offset = 0 if next_key is None else _offset(next_key)
        page = found[offset : offset + limit]
        more = offset + limit < len(found)
        return page, {"offset": offset + limit} if more else None

    async def get_usage_summary(
        self,
        entity_id: str | None = None,
        resource: str | None = None,
        window_type: str | None = None,
        start_time: datetime | str | None = None,
        end_time: datetime | str | None = None,
    ) -> UsageSummary:
        """All of the usage that the filters leave, added up; hourly windows without a window type."""
        found = await self._found(entity_id, resource, window_type or "hourly", start_time, end_time)
        total: dict[str, int] = {}
        windows: dict[str, int] = {}
        for snapshot in found:
            for name, used in snapshot.counters.items():
                total[name] = total.get(name, 0) + used
                windows[name] = windows.get(name, 0) + 1
        average = {name: used / windows[name] for name, used in total.items()}
        starts = [snapshot.window_start for snapshot in found]
        return UsageSummary(len(found), total, average, min(starts, default=None), max(starts, default=None))

    async def _found(
        self,
        entity_id: str | None,
        resource: str | None,
        window_type: str | None,
        start_time: datetime | str | None,
        end_time: datetime | str | None,
    ) -> list[UsageSnapshot]:
        if entity_id is None and resource is None:
            raise ValidationError("entity_id", "None", "give an entity_id, a resource, or both")
        if entity_id is not None:
            check_identifier(entity_id)
        if resource is not None:
            check_resource(resource)
        if window_type is not None and window_type not in _WINDOWS:
            raise ValidationError("window_type", str(window_type), f"must be one of {', '.join(_WINDOWS)}")
        windows = [window_type] if window_type else ["hourly", "daily"]
        start, end = _time("start_time", start_time), _time("end_time", end_time)
        rows = await self._place.read(lambda connection: _rows(connection, self._place, entity_id, resource))
        found = [snapshot for window in windows for snapshot in _snapshots(rows, window)]
        kept = [each for each in found if (start or "") <= each.window_start <= (end or "~")]
        return sorted(kept, key=lambda each: (each.window_start, each.window_type, each.entity_id, each.resource))[::-1]


_Row = tuple[str, str, int, str, int, int]


def _rows(connection: Connection, place: Place, entity_id: str | None, resource: str | None) -> list[_Row]:
    wanted = {"namespace": place.namespace_id, "entity": entity_id, "resource": resource}
    filters = "namespace = :namespace"
    filters += "" if entity_id is None else " and entity = :entity"
    filters += "" if resource is None else " and resource = :resource"
    return connection.execute(
        f"""select entity, resource, hour, name, sum(used), sum(events) from (
                select entity, resource, hour, name, used, events from usage where {filters}
                union all
                select entity, resource, hour, name, used, events from bucket where {filters} and events <> 0
            ) group by entity, resource, hour, name""",
        {key: value for key, value in wanted.items() if value is not None},
    ).fetchall()


def _snapshots(rows: Sequence[_Row], window: str) -> list[UsageSnapshot]:
    counters: dict[tuple[str, str, str], dict[str, int]] = {}
    events: dict[tuple[str, str, str], int] = {}
    for entity, resource, hour, name, used, count in rows:
        start = datetime.fromtimestamp(hour * 3_600, UTC).strftime(_WINDOWS[window])
        key = (entity, resource, start)
        of_window = counters.setdefault(key, {})
        of_window[name] = of_window.get(name, 0) + used
        events[key] = events.get(key, 0) + count
    return [
        UsageSnapshot(entity, resource, start, _end(start, window), window, found, events[entity, resource, start])
        for (entity, resource, start), found in counters.items()
    ]


def _end(start: str, window: str) -> str:
    began = datetime.strptime(start, _WRITTEN).replace(tzinfo=UTC)
    if window == "hourly":
        after = began + timedelta(hours=1)
    elif window == "daily":
        after = began + timedelta(days=1)
    else:
        after = (began + timedelta(days=32)).replace(day=1)
    return (after - timedelta(seconds=1)).strftime(_WRITTEN)


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
    return aware.astimezone(UTC).strftime(_WRITTEN)


def _offset(next_key: dict[str, Any]) -> int:
    offset = next_key.get("offset") if isinstance(next_key, dict) else None
    if type(offset) is not int or offset < 0:
        raise ValidationError("next_key", repr(next_key), "must be the key that the page before returned")
    return offset
