"""OpenTelemetry: every instrument is fed, and no entity is ever a label."""

from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from zae_limiter import RateLimiterUnavailable, RateLimitExceeded
from zae_limiter.otel import OpenTelemetryObserver
from zae_limiter.testing import faulty_limiter


def _points(reader: InMemoryMetricReader) -> dict[str, list[Any]]:
    data = reader.get_metrics_data()
    assert data is not None
    return {
        metric.name: list(metric.data.data_points)
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


@pytest.mark.anyio
async def test_each_outcome_is_counted_and_no_entity_is_a_label() -> None:
    reader = InMemoryMetricReader()
    observer = OpenTelemetryObserver(MeterProvider([reader]))
    limiter, store = faulty_limiter(observers=[observer])
    async with limiter.acquire("secret-entity", "api", 1, limits="1/minute"):
        pass
    with pytest.raises(RateLimitExceeded):
        await limiter.acquire("secret-entity", "api", 1, limits="1/minute").__aenter__()
    store.fail("debit")
    with pytest.raises(RateLimiterUnavailable):
        await limiter.acquire("secret-entity", "api", 1, limits="1/minute").__aenter__()
    async with limiter.acquire("secret-entity", "api", 1, limits="1/minute", on_unavailable="allow"):
        pass
    points = _points(reader)
    outcomes = {point.attributes["outcome"]: point.value for point in points["zae_limiter.charges"]}
    assert outcomes == {"granted": 1, "refused": 1, "unavailable": 1, "degraded": 1}
    assert [point.attributes["limit"] for point in points["zae_limiter.violations"]] == ["rpm"]
    assert sum(point.count for point in points["zae_limiter.store.duration"]) == 4
    assert "secret-entity" not in str(points)


@pytest.mark.anyio
async def test_a_lost_settle_is_counted() -> None:
    reader = InMemoryMetricReader()
    limiter, store = faulty_limiter(observers=[OpenTelemetryObserver(MeterProvider([reader]))])
    async with limiter.acquire("someone", "api", 1, limits="5/minute") as lease:
        await lease.adjust(rpm=1)
        store.fail("settle")
    assert [point.value for point in _points(reader)["zae_limiter.settle_failures"]] == [1]
