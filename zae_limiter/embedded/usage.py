"""The chapter of usage: tokens by hour, day and month, net of credits.

Closed hours stand in their own table, the current one on the buckets; reading adds them up.
"""

from collections.abc import Sequence
from datetime import datetime
from sqlite3 import Connection
from typing import Any

from zae_limiter.embedded.place import Place
from zae_limiter.embedded.retention import USAGE, keep, kept
from zae_limiter.exceptions import ValidationError
from zae_limiter.models import UsageSnapshot, UsageSummary
from zae_limiter.usage import UsageQuery, check_page_size, summary_of, usage_query
from zae_limiter.windows import window_end, window_start


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
        check_page_size(limit)
        found = await self._found(usage_query(entity_id, resource, window_type, start_time, end_time))
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
        query = usage_query(entity_id, resource, window_type or "hourly", start_time, end_time)
        return summary_of(await self._found(query))

    async def set_usage_retention(self, days: int) -> None:
        """Keep the usage of this namespace for so many days, and to the start of that month; 90 if never set."""
        await keep(self._place, USAGE, days)

    async def get_usage_retention(self) -> int:
        """For how many days usage is kept."""
        return await kept(self._place, USAGE)

    async def _found(self, query: UsageQuery) -> list[UsageSnapshot]:
        rows = await self._place.read(
            lambda connection: _rows(connection, self._place, query.entity_id, query.resource)
        )
        found = [snapshot for window in query.windows for snapshot in _snapshots(rows, window)]
        kept = [each for each in found if (query.start or "") <= each.window_start <= (query.end or "~")]
        return sorted(kept, key=lambda each: (each.window_start, each.window_type, each.entity_id, each.resource))[::-1]


_Row = tuple[str, str, int, str, int, int]


def _rows(connection: Connection, place: Place, entity_id: str | None, resource: str | None) -> list[_Row]:
    wanted = {"namespace": place.namespace_id, "entity": entity_id, "resource": resource}
    filters = "namespace = :namespace"
    filters += "" if entity_id is None else " and entity = :entity"
    filters += "" if resource is None else " and resource = :resource"
    return connection.execute(
        f"""select entity, resource, hour, name, used, events from usage where {filters}
            union all
            select entity, resource, hour, name, used, events from bucket where {filters} and events <> 0
            order by entity, resource, hour, name""",
        {key: value for key, value in wanted.items() if value is not None},
    ).fetchall()


def _snapshots(rows: Sequence[_Row], window: str) -> list[UsageSnapshot]:
    counters: dict[tuple[str, str, str], dict[str, int]] = {}
    events: dict[tuple[str, str, str], int] = {}
    for entity, resource, hour, name, used, count in rows:
        start = window_start(window, hour * 3_600)
        key = (entity, resource, start)
        of_window = counters.setdefault(key, {})
        of_window[name] = of_window.get(name, 0) + used
        events[key] = events.get(key, 0) + count
    return [
        UsageSnapshot(
            entity, resource, start, window_end(window, start), window, found, events[entity, resource, start]
        )
        for (entity, resource, start), found in counters.items()
    ]


def _offset(next_key: dict[str, Any]) -> int:
    offset = next_key.get("offset") if isinstance(next_key, dict) else None
    if type(offset) is not int or offset < 0:
        raise ValidationError("next_key", repr(next_key), "must be the key that the page before returned")
    return offset
