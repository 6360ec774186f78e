"""A repository over a table of its own, on each face; and one whose client a test can trouble."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.conformance.faces import Awaited
from tests.dynamodb.behind_proxy import Open, Shop
from tests.dynamodb.processes import Table
from tests.dynamodb.proxy import Proxy
from tests.dynamodb.tables import fresh_name
from tests.dynamodb.troubled import TroubledClient
from tests.patience import PATIENCE, PatientBlockingRuntime, PatientRuntime
from zae_limiter.repository import Repository
from zae_limiter.sync_repository import SyncRepository
from zae_limiter.testing import TurnableClock


@pytest.fixture(params=["async", "blocking"])
async def repository(
    request: pytest.FixtureRequest, dynamodb_endpoint: str, clock: TurnableClock
) -> AsyncIterator[Any]:
    options: dict[str, Any] = {"endpoint_url": dynamodb_endpoint, "clock": clock, "timeout": PATIENCE}
    made: Any
    if request.param == "async":
        made = Repository(fresh_name(), runtime=PatientRuntime(clock), **options)
    else:
        made = Awaited(SyncRepository(fresh_name(), runtime=PatientBlockingRuntime(clock), **options))
    await made.create_table()
    yield made
    await made.delete_table()
    await made.close()


@pytest.fixture
def troubled(dynamodb_endpoint: str) -> TroubledClient:
    return TroubledClient(dynamodb_endpoint)


@pytest.fixture
def shaky(troubled: TroubledClient, clock: TurnableClock) -> Iterator[SyncRepository]:
    """A blocking repository over the client `troubled`."""
    made = SyncRepository(
        fresh_name(), client=troubled, clock=clock, runtime=PatientBlockingRuntime(clock), timeout=PATIENCE
    )
    made.create_table()
    yield made
    troubled.heal()
    made.delete_table()
    troubled.close()


@pytest.fixture
def table(dynamodb_endpoint: str) -> Iterator[Table]:
    """A table that processes of a test share."""
    made = Table(dynamodb_endpoint)
    yield made
    made.close()


@pytest.fixture
def proxy(dynamodb_endpoint: str) -> Iterator[Proxy]:
    if not dynamodb_endpoint:
        pytest.skip("the proxy stands before DynamoDB Local")
    with Proxy(dynamodb_endpoint) as made:
        yield made


@pytest.fixture(params=["async", "blocking"])
async def opened(request: pytest.FixtureRequest, dynamodb_endpoint: str, proxy: Proxy) -> AsyncIterator[Open]:
    made: list[Shop] = []

    def make(**options: Any) -> Shop:
        made.append(Shop(request.param, dynamodb_endpoint, proxy, **options))
        return made[-1]

    yield make
    for each in made:
        await each.close()
