"""Processes that share a table: each with a client, a memory and a clock of its own, over one DynamoDB Local.

`Wire` is a client's port in front of the real one: it notes what is sent, adds up what it costs, and does to the
next requests what the test wants.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

import boto3
from botocore.config import Config

from tests.dynamodb.tables import fresh_name
from tests.patience import PatientBlockingRuntime, PatientRuntime
from zae_limiter import Limit, decision
from zae_limiter.aws import BlockingClient, Connection
from zae_limiter.aws_errors import NotWritten, Throttled, UnknownOutcome
from zae_limiter.dynamodb.buckets import Buckets
from zae_limiter.dynamodb.stored import Stored, stored_bucket
from zae_limiter.dynamodb.table_clock import TableClock
from zae_limiter.models import Change, Debit, Granted, LimitStatus, Refused, Stale
from zae_limiter.runtimes import BlockingRuntime
from zae_limiter.schema import bucket_key, get_table_definition
from zae_limiter.system_clock import SystemClock
from zae_limiter.testing import TurnableClock

NAMESPACE: Final = "ns"
Happens = Callable[[str, Mapping[str, Any]], Any]


class Table:
    """A table of its own for a test."""

    def __init__(self, endpoint: str) -> None:
        self.name = fresh_name()
        config = Config(retries={"total_max_attempts": 1})
        self.raw = boto3.client("dynamodb", endpoint_url=endpoint or None, config=config)
        self.raw.create_table(**get_table_definition(self.name))
        self.raw.get_waiter("table_exists").wait(TableName=self.name, WaiterConfig={"Delay": 1, "MaxAttempts": 120})

    def close(self) -> None:
        self.raw.delete_table(TableName=self.name)
        self.raw.close()

    def key(self, entity_id: str) -> dict[str, Any]:
        found = bucket_key(NAMESPACE, entity_id, "api")
        return {"PK": {"S": found.pk}, "SK": {"S": found.sk}}

    def item(self, entity_id: str) -> dict[str, Any] | None:
        answer = self.raw.get_item(TableName=self.name, Key=self.key(entity_id), ConsistentRead=True)
        found: dict[str, Any] | None = answer.get("Item")
        return found

    def stored(self, entity_id: str) -> Stored:
        return stored_bucket(self.item(entity_id))

    def delete(self, entity_id: str) -> None:
        self.raw.delete_item(TableName=self.name, Key=self.key(entity_id))


class Wire:
    """What goes to the table: `calls` has the operations, `units` the write units of the table and its indexes."""

    def __init__(self, table: Table) -> None:
        at = Connection(client=table.raw)
        self._client = BlockingClient("dynamodb", table.name, at, clock=SystemClock(), runtime=BlockingRuntime())
        self._name = table.name
        self.calls: list[str] = []
        self.sent: list[Mapping[str, Any]] = []
        self.units = 0.0
        self.index_units = 0.0
        self.next: deque[Happens | None] = deque()
        self.gate: asyncio.Event | None = None
        self.afterwards: Callable[[], Coroutine[Any, Any, Any]] | None = None

    def clear(self) -> None:
        self.calls.clear()
        self.sent.clear()
        self.units = self.index_units = 0.0

    async def once(self, operation: str, parameters: Mapping[str, Any], *, seconds: float) -> Mapping[str, Any]:
        self.calls.append(operation)
        self.sent.append(parameters)
        happens = self.next.popleft() if self.next else None
        if self.gate is not None:
            await self.gate.wait()
        if happens is not None:
            found = happens(operation, parameters)
            if found is not None:
                return found  # type: ignore[no-any-return]
        answer = await self.through(operation, parameters)
        if self.afterwards is not None:
            afterwards, self.afterwards = self.afterwards, None
            await afterwards()
        if happens is lost_answer:
            raise UnknownOutcome("the answer was lost, as the test wanted", stack_name=self._name)
        return answer

    async def through(self, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        if operation == "UpdateItem":
            parameters = {**parameters, "ReturnConsumedCapacity": "INDEXES"}
        answer = await self._client.once(operation, parameters, seconds=5)
        consumed = answer.get("ConsumedCapacity")
        if operation == "UpdateItem" and consumed:
            self.units += consumed["Table"]["CapacityUnits"]
            self.index_units += sum(
                each["CapacityUnits"] for each in consumed.get("GlobalSecondaryIndexes", {}).values()
            )
        elif operation == "BatchExecuteStatement":
            # DynamoDB Local does not tell what these cost: each that was written is one small record.
            self.units += sum("Error" not in each for each in answer["Responses"])
        return answer

    async def call(self, operation: str, parameters: Mapping[str, Any], *, deadline_ns: int) -> Mapping[str, Any]:
        return await self.once(operation, parameters, seconds=5)


def lost_answer(operation: str, parameters: Mapping[str, Any]) -> None:
    """The request is carried out, and its answer is lost."""


def lost_request(operation: str, parameters: Mapping[str, Any]) -> None:
    """Nobody knows whether the request arrived; it did not."""
    raise UnknownOutcome("the request was lost, as the test wanted", stack_name="table")


def no_connection(operation: str, parameters: Mapping[str, Any]) -> None:
    raise NotWritten("no connection, as the test wanted", stack_name="table")


def throttled_key(operation: str, parameters: Mapping[str, Any]) -> None:
    raise Throttled("throttled, as the test wanted", stack_name="table", of_key=True)


def throttled_table(operation: str, parameters: Mapping[str, Any]) -> None:
    raise Throttled("throttled, as the test wanted", stack_name="table", of_key=False)


def statements_fail(code: str) -> Happens:
    """Every statement of the next batch fails so."""

    def happens(operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"Responses": [{"Error": {"Code": code, "Message": ""}} for _ in parameters["Statements"]]}

    return happens


class Process:
    """One process: its charges, as a limiter makes them."""

    def __init__(
        self,
        table: Table,
        clock: TurnableClock,
        *,
        waits: bool = False,
        ttl_multiplier: int = 1,
        table_clock: TableClock | None = None,
    ) -> None:
        self.clock = clock
        self.wire = Wire(table)
        self.renewed: list[tuple[str, str]] = []
        runtime = PatientRuntime(clock) if waits else PatientBlockingRuntime(clock)
        self.buckets = Buckets(
            self.wire,
            table.name,
            _namespace,
            clock=clock,
            runtime=runtime,
            known_namespace=lambda: NAMESPACE,
            renew=lambda entity_id, resource: self.renewed.append((entity_id, resource)),
            ttl_multiplier=ttl_multiplier,
            table_clock=table_clock,
        )

    @property
    def calls(self) -> list[str]:
        return self.wire.calls

    def deadline_ns(self, seconds: float = 1) -> int:
        return self.clock.monotonic_ns() + int(seconds * 1e9)

    async def debit(self, *debits: Debit, seconds: float = 1) -> Granted | Refused | Stale:
        return await self.buckets.debit(debits, now_ns=self.clock.now_ns(), deadline_ns=self.deadline_ns(seconds))

    async def ask(
        self, *limits: Limit, entity_id: str = "someone", seconds: float = 1, **amounts: int
    ) -> Granted | Refused:
        """Charge as a limiter does: what is stale is asked again."""
        debit = Debit(entity_id, "api", limits, amounts or {limits[0].name: 1})
        while isinstance(found := await self.debit(debit, seconds=seconds), Stale):
            continue
        return found

    async def is_granted(self, *limits: Limit, entity_id: str = "someone", **amounts: int) -> bool:
        return isinstance(await self.ask(*limits, entity_id=entity_id, **amounts), Granted)

    async def settle(self, *limits: Limit, entity_id: str = "someone", **deltas: int) -> Exception | None:
        changes = [Change(entity_id, "api", limits, deltas, dict.fromkeys(deltas, 1))]
        (found,) = await self.buckets.settle(changes, now_ns=self.clock.now_ns(), deadline_ns=self.deadline_ns())
        return found

    def known(self, entity_id: str = "someone") -> Any:
        return self.buckets._bucket_table.memory.of(bucket_key(NAMESPACE, entity_id, "api"))


def status(found: Granted | Refused | Stale, *limits: Limit, name: str | None = None, amount: int = 1) -> LimitStatus:
    """How the first limit, or the named one, stands as an answer for one bucket says."""
    assert not isinstance(found, Stale)
    wanted = name or limits[0].name
    debit = Debit("someone", "api", limits, {wanted: amount})
    return next(each for each in decision.statuses([debit], found.images, found.now_ns) if each.limit_name == wanted)


async def _namespace() -> str:
    return NAMESPACE
