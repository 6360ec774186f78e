"""Usage on DynamoDB: by entity and by resource, newest first, over pages, without a gap."""

from typing import Any

import pytest

from tests.dynamodb.troubled import TroubledClient
from zae_limiter import SyncRepository, UsageSnapshot, ValidationError
from zae_limiter.schema import listing_key, usage_key

STARTS = [f"2026-03-{day:02}T{hour:02}:00:00Z" for day in (1, 2) for hour in (0, 7, 23)]


def put(client: TroubledClient, made: SyncRepository, entity: str, resource: str, window: str, start: str) -> None:
    key = usage_key(made.namespace_id, entity, resource, window, start)
    listed = listing_key(made.namespace_id, "USAGE", entity, resource, f"{start}#{window}")
    texts = {"PK": key.pk, "SK": key.sk, "L": listed.pk, "LS": listed.sk}
    numbers = {"u.rpm": 3, "u.ttl": -1, "n": 2}
    item: dict[str, Any] = {name: {"S": text} for name, text in texts.items()}
    item |= {name: {"N": str(number)} for name, number in numbers.items()}
    client.put_item(TableName=made.table_name, Item=item)


@pytest.fixture
def filled(shaky: SyncRepository, troubled: TroubledClient) -> SyncRepository:
    shaky.open()
    for start in STARTS:
        for entity in ("user-1", "user-2"):
            for resource in ("api", "gpt-4"):
                put(troubled, shaky, entity, resource, "hourly", start)
        put(troubled, shaky, "user-1", "api", "daily", start[:10] + "T00:00:00Z")
        put(troubled, shaky, "user-1", "api", "monthly", start[:8] + "01T00:00:00Z")
    troubled.page_at(4)
    return shaky


def all_pages(made: SyncRepository, limit: int, **query: Any) -> list[UsageSnapshot]:
    found, following = made.get_usage_snapshots(**query, limit=limit)
    while following is not None:
        assert len(found) % limit == 0, "only the last page may be short"
        page, following = made.get_usage_snapshots(**query, limit=limit, next_key=following)
        found += page
    return found


@pytest.mark.parametrize("limit", [1, 3, 5, 12, 100])
def test_pages_of_any_size_have_every_snapshot_once_newest_first(filled: SyncRepository, limit: int) -> None:
    of_entity = all_pages(filled, limit, entity_id="user-1", window_type="hourly")
    assert [(each.window_start, each.resource) for each in of_entity] == [
        (start, resource) for start in reversed(STARTS) for resource in ("gpt-4", "api")
    ]
    of_resource = all_pages(filled, limit, resource="api", window_type="hourly")
    assert [(each.window_start, each.entity_id) for each in of_resource] == [
        (start, entity) for start in reversed(STARTS) for entity in ("user-2", "user-1")
    ]


def test_both_ends_of_a_span_are_in_it(filled: SyncRepository) -> None:
    query = {"start_time": STARTS[1], "end_time": STARTS[3], "window_type": "hourly"}
    for whose in ({"entity_id": "user-2", "resource": "api"}, {"resource": "gpt-4"}):
        found = all_pages(filled, 2, **query, **whose)
        assert sorted({each.window_start for each in found}) == STARTS[1:4]


def test_without_a_window_hours_and_days_are_listed(filled: SyncRepository) -> None:
    found = all_pages(filled, 5, entity_id="user-1", resource="api")
    assert {each.window_type for each in found} == {"hourly", "daily"}
    assert len(found) == 8
    (month,) = all_pages(filled, 5, entity_id="user-1", window_type="monthly")
    assert (month.window_start, month.window_end) == ("2026-03-01T00:00:00Z", "2026-03-31T23:59:59Z")


def test_a_summary_adds_up_every_page_and_limits_may_have_any_name(filled: SyncRepository) -> None:
    """W26: a limit called `ttl` is a limit."""
    summary = filled.get_usage_summary(resource="api")
    assert (summary.snapshot_count, summary.total) == (12, {"rpm": 36, "ttl": -12})
    assert (summary.min_window_start, summary.max_window_start) == (STARTS[0], STARTS[-1])
    assert filled.get_usage_summary(entity_id="nobody").snapshot_count == 0


@pytest.mark.parametrize("wrong", [{}, {"after": 1}, {"after": "x"}, "x", {"after": "#USAGE#2026" + "x" * 1_024}])
def test_a_key_that_no_page_returned_is_told(filled: SyncRepository, wrong: Any) -> None:
    with pytest.raises(ValidationError, match="the page before"):
        filled.get_usage_snapshots(entity_id="user-1", next_key=wrong)
    with pytest.raises(ValidationError, match="entity_id"):
        filled.get_usage_snapshots()


def test_a_page_may_be_longer_than_the_service_counts(filled: SyncRepository, troubled: TroubledClient) -> None:
    troubled.heal()
    assert len(filled.get_usage_snapshots(entity_id="user-1", limit=10**12)[0]) == len(
        all_pages(filled, 5, entity_id="user-1")
    )
