"""A limiter over each repository on each face; a DynamoDB store has a table of its own for each test."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.faces import SHARED, STORES
from tests.dynamodb.aggregation import aggregate_now
from zae_limiter.testing import TurnableClock

Aggregated = Callable[[Any], Awaitable[None]]


@contextlib.asynccontextmanager
async def opened(request: pytest.FixtureRequest, clock: TurnableClock, folder: Path, number: int) -> Any:
    store = STORES[request.param]
    if store.needs_table:
        request.getfixturevalue("dynamodb_endpoint")
    limiters = [store.make(clock, folder) for _ in range(number)]
    if store.needs_table:
        await limiters[0].repository.create_table()
    for made in limiters:
        await made.repository.open()
    yield limiters
    if store.needs_table:
        await limiters[0].repository.delete_table()
    for made in limiters:
        await made.close()


@pytest.fixture(params=list(STORES))
async def limiter(request: pytest.FixtureRequest, clock: TurnableClock, tmp_path: Path) -> AsyncIterator[Any]:
    async with opened(request, clock, tmp_path, 1) as (made,):
        yield made


@pytest.fixture(params=list(SHARED))
async def two_limiters(
    request: pytest.FixtureRequest, clock: TurnableClock, tmp_path: Path
) -> AsyncIterator[tuple[Any, Any]]:
    """Two limiters over one store, each with a connection and a cache of its own, as two processes have."""
    async with opened(request, clock, tmp_path, 2) as (first, second):
        yield first, second


@pytest.fixture(params=[name for name in SHARED if name.startswith("file")])
async def two_on_a_file(
    request: pytest.FixtureRequest, clock: TurnableClock, tmp_path: Path
) -> AsyncIterator[tuple[Any, Any]]:
    """Two limiters over one file, which learn at once what the other has changed."""
    async with opened(request, clock, tmp_path, 2) as (first, second):
        yield first, second


@pytest.fixture
def aggregated(clock: TurnableClock) -> Aggregated:
    """Counts what a table's stream holds, as of now by the test's clock; an embedded store counts by itself."""

    async def aggregate(limiter: Any) -> None:
        if limiter.repository.address.startswith("dynamodb:"):
            aggregate_now(limiter.repository.table_name, clock)

    return aggregate
