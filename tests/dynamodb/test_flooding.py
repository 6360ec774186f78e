"""Floods below a shared parent: the real charge, over a table in memory whose answers take their time, virtually.

Each test fails when the rule that it is about is taken away; the figures of that stand in its comment.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from tests.dynamodb.fake_table import FakeTable
from tests.dynamodb.virtual_time import VirtualClock, simulated
from zae_limiter import Limit
from zae_limiter.dynamodb.buckets import Buckets
from zae_limiter.models import Debit, Granted, Stale
from zae_limiter.runtimes import AsyncRuntime

SECONDS: Final = 60
MUCH: Final = Limit.per_minute("rpm", 100_000)


class Wire:
    """Takes its time to the table and back, and counts the writes of each entity, refused ones too."""

    def __init__(self, answers: float) -> None:
        self._table = FakeTable()
        self._answers = answers
        self.writes: Counter[str] = Counter()

    async def once(self, operation: str, parameters: Mapping[str, Any], *, seconds: float) -> Mapping[str, Any]:
        sent = [parameters] if operation == "UpdateItem" else parameters["Statements"]
        for entity in ("flooding", "sibling", "parent"):
            self.writes[entity] += sum(f"#{entity}#" in str(each) for each in sent)
        await asyncio.sleep(self._answers / 2)
        try:
            return self._table.execute(operation, parameters)
        finally:
            await asyncio.sleep(self._answers / 2)

    async def call(self, operation: str, parameters: Mapping[str, Any], *, deadline_ns: int) -> Mapping[str, Any]:
        raise NotImplementedError


class Tenant:
    """One process of a child below the parent."""

    def __init__(self, wire: Wire, name: str, own: Limit, parent: Limit) -> None:
        self._debits = [Debit(name, "api", (own,), {"rpm": 1}), Debit("parent", "api", (parent,), {"rpm": 1}, False)]
        self._clock = VirtualClock()
        self._buckets = Buckets(
            wire,
            "table",
            _namespace,
            clock=self._clock,
            runtime=AsyncRuntime(),
            renew=_nothing,
        )

    async def is_granted(self) -> bool:
        while True:
            deadline_ns = self._clock.monotonic_ns() + 1_000_000_000
            found = await self._buckets.debit(self._debits, now_ns=self._clock.now_ns(), deadline_ns=deadline_ns)
            if not isinstance(found, Stale):
                return isinstance(found, Granted)

    async def asks(self, every: float, *, first: float = 0.0) -> int:
        """How often it is granted when it asks again and again."""
        granted = 0
        await asyncio.sleep(first)
        while asyncio.get_running_loop().time() < SECONDS:
            granted += await self.is_granted()
            await asyncio.sleep(every)
        return granted


async def _namespace() -> str:
    return "ns"


def _nothing(*_: str) -> None:
    """No configuration is remembered that could be read again."""


def test_a_child_without_room_does_not_touch_its_parent_and_its_sibling_gets_its_share() -> None:
    """Without room levels go from the leaf up."""

    async def flooded() -> tuple[int, int, int]:
        wire = Wire(answers=0.02)
        parent = Limit.custom("rpm", 3, 200, 60)
        flooding = [Tenant(wire, "flooding", Limit.per_second("rpm", 1), parent) for _ in range(20)]
        sibling = Tenant(wire, "sibling", MUCH, parent)
        *many, other = await asyncio.gather(
            *(each.asks(every=0.1, first=number * 0.013) for number, each in enumerate(flooding)),
            sibling.asks(every=0.45, first=0.2),
        )
        return sum(many), other, wire.writes["parent"]

    flooding, sibling, writes_of_parent = simulated(flooded())
    # Together always, the parent is written 2,651 times and the sibling gets 113 of its 128; without known refusals
    # besides, it is 11,261 times and 72.
    assert 58 <= flooding <= 61
    assert sibling >= 118
    assert writes_of_parent <= 2 * (flooding + sibling)


def test_a_parent_without_room_is_known_before_a_child_is_written() -> None:
    """Known refusals of every level are asked before anything is written."""

    async def flooded() -> tuple[int, int]:
        wire = Wire(answers=0.005)
        tenant = Tenant(wire, "flooding", MUCH, Limit.custom("rpm", 10, 200, 60))
        return await tenant.asks(every=0.05), wire.writes["flooding"]

    granted, writes = simulated(flooded())
    # Asked for one after the other, each ask is written to the child and given back: 1,795 writes.
    assert granted >= 205
    assert writes <= granted + 20
