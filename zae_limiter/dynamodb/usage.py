"""The chapter of usage: snapshots that the aggregator writes, by entity from the table, by resource from the listing.

A snapshot holds the tokens of each limit under `u.` and its name, net of credits, and how often it was changed.
"""

from datetime import datetime
from typing import Any, Final, NamedTuple

from zae_limiter.dynamodb.items import Item, Values, from_item, key_of
from zae_limiter.dynamodb.place import Place
from zae_limiter.dynamodb.table import values_of
from zae_limiter.exceptions import ValidationError
from zae_limiter.models import UsageSnapshot, UsageSummary
from zae_limiter.schema import (
    EVENTS,
    LISTING_SK,
    SK,
    USAGE_SK,
    USED,
    Key,
    entity_key,
    listing_key,
    listing_parts,
    usage_of,
)
from zae_limiter.usage import UsageQuery, check_page_size, summary_of, usage_query
from zae_limiter.windows import window_end

_SUMMED_AT_ONCE: Final = 1_000
_READ_AT_LEAST: Final = 50
_LONGEST_PLACE: Final = 1_024
"""What a sort key may have; each of ours is far below that."""
_LAST: Final = "~"


class _Place(NamedTuple):
    """Where a snapshot is, and how it sorts among those that were asked for."""

    order: str
    key: Key
    item: Item


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
        query = usage_query(entity_id, resource, window_type, start_time, end_time)
        return await self._page(query, limit, next_key)

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
        found, following = await self._page(query, _SUMMED_AT_ONCE, None)
        while following is not None:
            page, following = await self._page(query, _SUMMED_AT_ONCE, following)
            found += page
        return summary_of(found)

    async def _page(
        self, query: UsageQuery, limit: int, next_key: dict[str, Any] | None
    ) -> tuple[list[UsageSnapshot], dict[str, Any] | None]:
        namespace_id = await self._place.id()
        if query.entity_id is not None:
            low, high = _between(USAGE_SK, query, next_key)
            pk = entity_key(namespace_id, query.entity_id).pk
            found = await self._newest(pk, low, high, query, limit + 1, next_key, listed=False)
            snapshots = [_snapshot(each.key, from_item(each.item)) for each in found[:limit]]
        else:
            prefix = listing_key(namespace_id, "USAGE", resource=query.resource or "").sk.removesuffix("##") + "#"
            low, high = _between(prefix, query, next_key)
            parts = listing_parts(namespace_id, resource=query.resource)
            steps = [self._newest(part, low, high, query, limit + 1, next_key, listed=True) for part in parts]
            merged = [each for some in values_of(await self._place.table.runtime.together(steps)) for each in some]
            found = sorted(merged, reverse=True)[: limit + 1]
            stored = await self._place.table.get_all(each.key for each in found[:limit])
            snapshots = [_snapshot(each.key, stored[each.key]) for each in found[:limit] if each.key in stored]
        return snapshots, {"after": found[limit - 1].order} if len(found) > limit else None

    async def _newest(
        self,
        pk: str,
        low: str,
        high: str,
        query: UsageQuery,
        count: int,
        next_key: dict[str, Any] | None,
        *,
        listed: bool,
    ) -> list[_Place]:
        done = next_key and next_key["after"]
        found: list[_Place] = []
        after: Any = None
        while len(found) < count:
            page = await self._place.table.page(
                pk,
                low=low,
                high=high,
                listed=listed,
                after=after,
                newest_first=True,
                limit=max(_READ_AT_LEAST, 2 * count),
            )
            for item in page.items:
                order, key = item[LISTING_SK if listed else SK]["S"], key_of(item)
                if order != done and _is_asked_for(key, query):
                    found.append(_Place(order, key, item))
            after = page.after
            if after is None:
                break
        return found[:count]


def _between(prefix: str, query: UsageQuery, next_key: dict[str, Any] | None) -> tuple[str, str]:
    low = f"{prefix}{query.start or ''}"
    high = f"{prefix}{query.end or ''}{_LAST if query.end is None else '#' + _LAST}"
    if next_key is None:
        return low, high
    after = next_key.get("after") if isinstance(next_key, dict) else None
    if not isinstance(after, str) or len(after) > _LONGEST_PLACE or not low <= after <= high:
        raise ValidationError("next_key", repr(next_key), "must be the key that the page before returned")
    return low, after


def _is_asked_for(key: Key, query: UsageQuery) -> bool:
    _, resource, window, _ = usage_of(key)
    return window in query.windows and query.resource in (None, resource)


def _snapshot(key: Key, stored: Values) -> UsageSnapshot:
    entity_id, resource, window, start = usage_of(key)
    counters = {name.removeprefix(USED): value for name, value in stored.items() if name.startswith(USED)}
    return UsageSnapshot(entity_id, resource, start, window_end(window, start), window, counters, stored[EVENTS])
