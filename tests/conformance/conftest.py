"""A limiter over each repository on each face."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.faces import SHARED, STORES
from zae_limiter.testing import TurnableClock


@pytest.fixture(params=list(STORES.values()), ids=list(STORES))
async def limiter(request: pytest.FixtureRequest, clock: TurnableClock, tmp_path: Path) -> AsyncIterator[Any]:
    made = request.param(clock, tmp_path)
    await made.repository.open()
    yield made
    await made.close()


@pytest.fixture(params=list(SHARED.values()), ids=list(SHARED))
async def two_limiters(
    request: pytest.FixtureRequest, clock: TurnableClock, tmp_path: Path
) -> AsyncIterator[tuple[Any, Any]]:
    """Two limiters over one store, each with a connection and a cache of its own, as two processes have."""
    first, second = request.param(clock, tmp_path), request.param(clock, tmp_path)
    for made in (first, second):
        await made.repository.open()
    yield first, second
    for made in (first, second):
        await made.close()
