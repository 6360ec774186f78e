"""Random schedules against an exact model: entities, a cascade, changed limits, leases, a clock that steps back.

ZAE_LIMITER_FUZZ_SCHEDULES says how many; a schedule is its number, so a failure can be run again.
"""

import math
import os
import random
import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import pytest

from tests.fuzz.model import NEAR_NS, Ask, Model, rate_of
from zae_limiter import Limit, RateLimitExceeded, SyncLease
from zae_limiter.sync_lease import SyncAcquisition
from zae_limiter.testing import TurnableClock, sync_memory_limiter

SCHEDULES: Final = int(os.environ.get("ZAE_LIMITER_FUZZ_SCHEDULES", "2000"))
PARTS: Final = 4
PLANS: Final[tuple[tuple[Limit, ...], ...]] = (
    (Limit.per_minute("rpm", 10), Limit.per_hour("tph", 70)),
    (Limit.per_minute("rpm", 20), Limit.per_hour("tph", 70)),
    (Limit.per_minute("rpm", 7, 15),),
    (Limit.per_second("rpm", 3, 9), Limit.per_hour("tph", 35, 50), Limit.per_day("d", 12)),
)
ACTIONS: Final = (
    *["charge"] * 6,
    *["begin"] * 3,
    *["consume", "adjust", "release", "settle", "roll back"] * 2,
    *["turn"] * 4,
    "step back",
    "change limits",
)


@dataclass
class Open:
    """A lease that is open, and what the model knows of it."""

    block: SyncAcquisition
    lease: SyncLease
    asks: list[Ask]
    charged: Counter[str]
    pending: Counter[str] = field(default_factory=Counter)


class Schedule:
    """One run of a limiter beside its model."""

    def __init__(self, seed: int, happened: Counter[str]) -> None:
        self.random = random.Random(seed)
        self.happened = happened
        self.clock = TurnableClock()
        self.limiter = sync_memory_limiter(clock=self.clock)
        self.model = Model()
        self.open: list[Open] = []
        self.limiter.create_entity("parent")
        self.limiter.create_entity("child", parent_id="parent", cascade=True)
        self.plan = PLANS[0]
        self.limiter.set_system_defaults(self.plan)

    def run(self) -> int:
        length = self.random.randint(15, 60)
        with self.limiter:
            for _ in range(length):
                action = self.random.choice(ACTIONS)
                if getattr(self, "_" + action.replace(" ", "_"))() is not False:
                    self.happened[action] += 1
                self._compare()
        self.happened["carry-over"] += self.model.carry_overs
        return length

    def _compare(self) -> None:
        for entity_id in ("parent", "other"):
            told, now = self.limiter.available(entity_id, "api"), self.clock.now_ns()
            for limit in self.plan:
                exact = self.model.available(entity_id, limit, now)
                near = NEAR_NS * rate_of(limit)
                assert math.floor(exact - near) <= told[limit.name] <= math.floor(exact + near)

    def _asks(self, entity_id: str, amounts: Mapping[str, int]) -> list[Ask]:
        names = [entity_id, "parent"] if entity_id == "child" else [entity_id]
        return [Ask(name, self.plan, amounts) for name in names]

    def _amounts(self) -> dict[str, int]:
        names = self.random.sample(self.plan, self.random.randint(1, len(self.plan)))
        return {limit.name: self.random.choice((0, 1, 1, 2, 4, 8, 16)) for limit in names}

    def _judge(self, asks: list[Ask], *, is_granted: bool) -> None:
        now = self.clock.now_ns()
        verdict = self.model.verdict(asks, now)
        assert verdict is None or verdict == is_granted
        if is_granted:
            self.model.grant(asks, now)
        else:
            self.happened["refusal"] += 1
            self.model.refuse(asks, now)

    def _entered(self) -> Open | None:
        entity_id, amounts = self.random.choice(("child", "child", "parent", "other")), self._amounts()
        asks, block = self._asks(entity_id, amounts), self.limiter.acquire(entity_id, "api", amounts)
        try:
            lease = block.__enter__()
        except RateLimitExceeded:
            self._judge(asks, is_granted=False)
            return None
        self._judge(asks, is_granted=True)
        return Open(block, lease, asks, Counter(amounts))

    def _charge(self) -> None:
        entered = self._entered()
        if entered is not None:
            entered.block.__exit__(None, None, None)

    def _begin(self) -> None:
        entered = self._entered()
        if entered is not None:
            self.open.append(entered)

    def _consume(self) -> bool:
        if not self.open:
            return False
        chosen = self.random.choice(self.open)
        amounts = {self.random.choice(chosen.asks[0].limits).name: self.random.randint(1, 5)}
        asks = [Ask(ask.entity_id, ask.limits, amounts) for ask in chosen.asks]
        try:
            chosen.lease.consume(**amounts)
        except RateLimitExceeded:
            self._judge(asks, is_granted=False)
        else:
            self._judge(asks, is_granted=True)
            chosen.charged.update(amounts)
        return True

    def _adjust(self) -> bool:
        if not self.open:
            return False
        chosen = self.random.choice(self.open)
        amounts = {self.random.choice(chosen.asks[0].limits).name: self.random.randint(1, 9)}
        chosen.lease.adjust(**amounts)
        chosen.pending.update(amounts)
        return True

    def _release(self) -> bool:
        held = [(each, name) for each in self.open for name in each.charged if each.lease.consumed[name] > 0]
        if not held:
            return False
        chosen, name = self.random.choice(held)
        amount = self.random.randint(1, chosen.lease.consumed[name])
        assert chosen.lease.consumed[name] == chosen.charged[name] + chosen.pending[name]
        chosen.lease.release(**{name: amount})
        chosen.pending[name] -= amount
        return True

    def _ended(self, error: BaseException | None) -> bool:
        if not self.open:
            return False
        chosen = self.open.pop(self.random.randrange(len(self.open)))
        chosen.block.__exit__(type(error) if error else None, error, None)
        deltas = {name: -amount for name, amount in chosen.charged.items()} if error else chosen.pending
        for ask in chosen.asks:
            self.model.settle(ask.entity_id, ask.limits, deltas, self.clock.now_ns())
        return True

    def _settle(self) -> bool:
        return self._ended(None)

    def _roll_back(self) -> bool:
        return self._ended(ValueError())

    def _turn(self) -> None:
        self.clock.turn_ns(self.random.choice((1_000_000, 700_000_000, 6_000_000_000, 61_000_000_000)))

    def _step_back(self) -> None:
        self.clock.step(-self.random.choice((0.5, 3, 40)))

    def _change_limits(self) -> None:
        self.plan = self.random.choice(PLANS)
        self.limiter.set_system_defaults(self.plan)


@pytest.mark.parametrize("part", range(PARTS))
def test_a_limiter_does_what_the_exact_model_does(part: int) -> None:
    happened: Counter[str] = Counter()
    lengths = [Schedule(seed, happened).run() for seed in range(part, SCHEDULES, PARTS)]
    print(f"\n{len(lengths)} schedules, median of {statistics.median(lengths)} steps: {dict(happened)}")
    assert statistics.median(lengths) >= 20
    assert [action for action in {*ACTIONS, "refusal", "carry-over"} if not happened[action]] == []
