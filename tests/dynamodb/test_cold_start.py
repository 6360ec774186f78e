"""Many come at once to a process that knows nothing yet: they share their reads, and stand in line for connections."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from tests.dynamodb.tables import fresh_name
from tests.dynamodb.test_cost import Bill, billed
from tests.patience import PatientRuntime
from zae_limiter import Limit, RateLimiter, Repository
from zae_limiter.aws import AsyncClient, Connection
from zae_limiter.aws_errors import NotWritten
from zae_limiter.runtimes import AsyncRuntime
from zae_limiter.system_clock import SystemClock
from zae_limiter.testing import TurnableClock


class Held:
    """A client of AWS whose requests are answered when the gate is open."""

    def __init__(self) -> None:
        self.meta = SimpleNamespace(config=SimpleNamespace(retries={"total_max_attempts": 1}))
        self.gate = asyncio.Event()
        self.asked: list[str] = []

    async def update_item(self, **parameters: Any) -> dict[str, Any]:
        self.asked.append(parameters["TableName"])
        await self.gate.wait()
        return {}

    async def batch_execute_statement(self, **_: Any) -> dict[str, Any]:
        return {}


def over(held: Held, connections: int) -> AsyncClient:
    at = Connection(client=held, connections=connections)
    return AsyncClient("dynamodb", "my-app", at, clock=SystemClock(), runtime=AsyncRuntime())


async def turns(number: int = 8) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_requests_beyond_the_connections_wait_in_line_with_nothing_done_for_them() -> None:
    held = Held()
    client = over(held, 2)
    tasks = [
        asyncio.create_task(client.once("UpdateItem", {"TableName": f"{number}"}, seconds=30)) for number in range(5)
    ]
    await turns()
    assert held.asked == ["0", "1"]
    held.gate.set()
    await asyncio.gather(*tasks)
    assert held.asked == ["0", "1", "2", "3", "4"]


async def test_one_whose_time_is_over_in_line_was_surely_not_sent() -> None:
    held = Held()
    client = over(held, 1)
    first = asyncio.create_task(client.once("UpdateItem", {"TableName": "first"}, seconds=30))
    await turns()
    with pytest.raises(NotWritten, match="no connection was free"):
        await client.once("UpdateItem", {"TableName": "second"}, seconds=0.001)
    held.gate.set()
    await first
    assert held.asked == ["first"]


async def test_a_batch_with_what_many_wait_for_does_not_stand_in_line_behind_single_requests() -> None:
    held = Held()
    client = over(held, 1)
    first = asyncio.create_task(client.once("UpdateItem", {"TableName": "first"}, seconds=30))
    await turns()
    assert await client.once("BatchExecuteStatement", {}, seconds=30) == {}
    held.gate.set()
    await first


async def test_charges_that_come_at_once_to_a_cold_process_share_their_reads(
    dynamodb_endpoint: str, clock: TurnableClock
) -> None:
    runtime = PatientRuntime(clock)
    repository = Repository(fresh_name(), clock=clock, runtime=runtime, timeout=20.0)
    bill: Bill = billed(repository)
    limiter = RateLimiter(repository, clock=clock, runtime=runtime, timeout=20.0)
    await repository.create_table()
    await limiter.set_resource_defaults("api", [Limit.per_minute("rpm", 10)])
    await limiter.set_limits("user-7", [Limit.per_minute("rpm", 3)], "api")
    repository._cache.invalidate()
    bill.reset()

    async def charge(number: int) -> int:
        async with limiter.acquire(f"user-{number}", "api", 1) as lease:
            return lease.statuses[0].available

    left = await asyncio.gather(*(charge(number) for number in range(50)))
    assert left == [2 if number == 7 else 9 for number in range(50)]
    # Two fly at once, each with what 25 wait for; a key that all of them want is read once in each.
    assert bill.calls.count("BatchGetItem") == 2
    assert bill.read <= 2 * 3 * 0.5 + 50 * 3 * 0.5
    await repository.delete_table()
    await limiter.close()


class Session:
    """Makes one client whose requests are answered when its gate is open, and which notes that it was closed."""

    def __init__(self) -> None:
        self.made = Held()
        self.is_closed = False

    def client(self, *_: Any, **__: Any) -> Any:
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self.made, name)

    async def __aenter__(self) -> Any:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.is_closed = True


async def test_closing_waits_for_requests_that_are_on_their_way() -> None:
    session = Session()
    at = Connection(session=session)
    client = AsyncClient("dynamodb", "my-app", at, clock=SystemClock(), runtime=AsyncRuntime())
    tasks = [asyncio.create_task(client.once("UpdateItem", {"TableName": "1"}, seconds=30)) for _ in range(2)]
    await turns(20)
    closing = asyncio.create_task(client.close())
    await turns(20)
    assert not session.is_closed
    session.made.gate.set()
    await asyncio.gather(closing, *tasks)
    assert session.is_closed


async def test_closing_does_not_wait_for_ever() -> None:
    session = Session()
    at = Connection(session=session, timeout=0.01)
    client = AsyncClient("dynamodb", "my-app", at, clock=SystemClock(), runtime=AsyncRuntime())
    task = asyncio.create_task(client.once("UpdateItem", {"TableName": "1"}, seconds=30))
    await turns(20)
    await client.close()
    assert session.is_closed
    session.made.gate.set()
    await task
