"""Schedules beside an exact model, as a state machine that Hypothesis steers and shrinks.

Entities in a line that cascades, limits that change at every level, leases, processes whose clocks disagree and
step, answers that get lost. A repository takes part by standing in `tests/conformance/faces.py`.
"""

import math
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.fuzz.bench import ENTITIES, LOSSES, PARENTS, PLANS, RESOURCES, Bench
from tests.fuzz.model import NEAR_NS, Ask, Bucket, Limits, Model, can_ever_fit, rate_of
from zae_limiter import Charge, Limit, RateLimiterUnavailable, RateLimitExceeded
from zae_limiter.testing import TurnableClock

plans = st.integers(0, len(PLANS) - 1)
buckets = st.tuples(st.sampled_from(ENTITIES), st.sampled_from(RESOURCES))
tokens = st.sampled_from((0, 1, 1, 2, 4, 8, 16))
amounts = st.one_of(tokens, st.fixed_dictionaries({}, optional=dict.fromkeys(("rpm", "tph", "d"), tokens)))
few = st.integers(0, 7)
afterwards = st.sampled_from(("go", "wait as told", "come back too early"))


@dataclass
class Open:
    """A lease that is open, and what the model knows of it."""

    process: int
    block: Any
    lease: Any
    asks: list[Ask]
    charged: Counter[str]
    pending: Counter[str] = field(default_factory=Counter)


class Schedule(RuleBasedStateMachine):
    """One schedule in a namespace of its own."""

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self.bench = bench
        self.run: Callable[[Coroutine[Any, Any, Any]], Any] = bench.run
        self.model = Model()
        self.limits = Limits(PARENTS, PLANS[0])
        self.open: list[Open] = []
        self.told_ns: int | None = None
        self.steps = 0
        self.lost_in_a_row = 0
        for clock in bench.clocks:
            # Every schedule sees the same times of day, or a failure could not be run again.
            clock.turn_ns(TurnableClock().now_ns() - clock.now_ns())
        if len(bench.clocks) > 1:
            bench.clocks[1].step(-0.7)
        self.limiters = self.run(self._namespace())

    async def _namespace(self) -> list[Any]:
        name = f"schedule-{len(self.bench.lengths)}-{self.bench.happened['schedule']}"
        self.bench.happened["schedule"] += 1
        await self.bench.limiters[0].repository.register_namespace(name)
        found = [await limiter.namespace(name) for limiter in self.bench.limiters]
        for entity_id in ENTITIES[1:]:
            above = PARENTS.get(entity_id)
            await found[0].create_entity(entity_id, parent_id=above, cascade=above is not None)
        await found[0].set_system_defaults(PLANS[0])
        await self._look_again(found)
        return found

    async def _look_again(self, limiters: Sequence[Any]) -> None:
        for limiter in limiters[1:] if not self.bench.store.is_shared else ():
            await limiter.repository.invalidate_config_cache()

    def _did(self, action: str) -> None:
        self.bench.happened[action] += 1
        self.steps += 1

    def _now(self, process: int) -> int:
        return self.bench.clocks[process].now_ns()

    @invariant()
    def what_is_available_is_what_the_model_has(self) -> None:
        # One bucket a step, each in turn: all of them would take most of the time.
        process, bucket = self._process(self.steps // 8), (ENTITIES[self.steps % 4], RESOURCES[self.steps // 4 % 2])
        told = self.run(self.limiters[process].available(*bucket))
        for name, (least, most) in self._available(bucket, self._now(process)).items():
            assert least <= told[name] <= most, (process, bucket, name)

    def _available(self, bucket: Bucket, now: int) -> dict[str, tuple[int, int]]:
        found: dict[str, tuple[int, int]] = {}
        for name in self.limits.line(bucket[0]):
            for limit in self.limits.in_force(name, bucket[1]):
                exact = self.model.available((name, bucket[1]), limit, now)
                near = NEAR_NS * rate_of(limit)
                least, most = math.floor(exact - near), math.floor(exact + near)
                known = found.get(limit.name, (least, most))
                found[limit.name] = min(known[0], least), min(known[1], most)
                self.bench.happened["debt"] += most < 0
        return found

    def _judge(self, process: int, asks: list[Ask], *, is_granted: bool) -> None:
        now = self._now(process)
        verdict = self.model.verdict(asks, now)
        assert verdict is None or verdict == is_granted
        if is_granted:
            before = self.model.carry_overs
            self.model.grant(asks, now)
            self.bench.happened["carry-over"] += self.model.carry_overs - before
        else:
            self.model.refuse(asks, now)
        self.bench.happened["grant" if is_granted else "refusal"] += 1

    def _known(self, bucket: Bucket, consume: int | Mapping[str, int], own: Sequence[Limit] | None) -> Any:
        """The amounts without those that no level has: they would be a mistake of the caller."""
        if isinstance(consume, int):
            return consume
        line = self.limits.line(bucket[0])
        levels = [own if own and name == bucket[0] else self.limits.in_force(name, bucket[1]) for name in line]
        names = {limit.name for limits in levels for limit in limits}
        return {name: amount for name, amount in consume.items() if name in names}

    def _enter(self, process: int, charges: Sequence[Charge]) -> Open | None:
        limiter, asks = self.limiters[process], self._asks(charges)
        block = limiter.acquire(*charges[0]) if len(charges) == 1 else limiter.acquire_all(charges)
        try:
            lease = self.run(block.__aenter__())
        except RateLimitExceeded as refused:
            self._judge(process, asks, is_granted=False)
            self.told_ns = refused.wait_ns
            self.bench.happened["refusal for good"] += refused.wait_ns is None
            return None
        self._judge(process, asks, is_granted=True)
        self.lost_in_a_row = 0 if asks else self.lost_in_a_row
        self._check_statuses(lease, asks, self._now(process))
        charged = Counter({name: amount for ask in asks for name, amount in ask.amounts.items()})
        return Open(process, block, lease, asks, charged)

    def _asks(self, charges: Sequence[Charge]) -> list[Ask]:
        found: dict[Bucket, Ask] = {}
        for entity_id, resource, consume, own in charges:
            assert not isinstance(own, str)
            for ask in self.limits.asks((entity_id, resource), consume, own):
                before = found[ask.bucket].amounts if ask.bucket in found else {}
                names = {*ask.amounts, *before}
                both = {name: ask.amounts.get(name, 0) + before.get(name, 0) for name in names}
                found[ask.bucket] = Ask(ask.bucket, ask.limits, both)
        return list(found.values())

    def _check_statuses(self, lease: Any, asks: Sequence[Ask], now: int) -> None:
        told = {(each.entity_id, each.resource, each.limit_name): each.available for each in lease.statuses}
        for ask in asks:
            for limit in ask.limits:
                exact, near = self.model.available(ask.bucket, limit, now), NEAR_NS * rate_of(limit)
                assert math.floor(exact - near) <= told[*ask.bucket, limit.name] <= math.floor(exact + near)

    def _process(self, number: int) -> int:
        return number % len(self.limiters)

    def _charge(self, entity_id: str, resource: str, consume: Any, own: Sequence[Limit] | None = None) -> Charge:
        return Charge(entity_id, resource, self._known((entity_id, resource), consume, own), own)

    def _end(self, chosen: Open, error: BaseException | None = None) -> None:
        kind = type(error) if error else None
        self.run(chosen.block.__aexit__(kind, error, None))
        deltas = {name: -amount for name, amount in chosen.charged.items()} if error else chosen.pending
        for ask in chosen.asks:
            self.model.settle(ask, deltas, self._now(chosen.process))

    @rule(process=few, bucket=buckets, consume=amounts, then=afterwards)
    def charge(self, process: int, bucket: Bucket, consume: Any, then: str) -> None:
        self._did("charge")
        self._charged(self._process(process), self._charge(*bucket, consume), then)

    @rule(process=few, bucket=buckets, consume=amounts, own=plans, then=afterwards)
    def charge_with_own_limits(self, process: int, bucket: Bucket, consume: Any, own: int, then: str) -> None:
        self._did("charge with own limits")
        self._charged(self._process(process), self._charge(*bucket, consume, PLANS[own]), then)

    def _charged(self, process: int, charge: Charge, then: str) -> None:
        entered = self._enter(process, [charge])
        if entered is not None:
            self._end(entered)
        elif self.told_ns is not None and then == "wait as told":
            self._did(then)
            self._turn(self.told_ns)
            entered = self._enter(process, [charge])
            assert entered is not None, "what was promised is kept"
            self._end(entered)
        elif self.told_ns is not None and then == "come back too early" and self.told_ns > 2 * NEAR_NS:
            self._did(then)
            self._turn(self.told_ns - 2 * NEAR_NS)
            assert self._enter(process, [charge]) is None, "the wait was no longer than it had to be"

    @rule(process=few, first=buckets, second=buckets, consume=amounts, other=amounts)
    def charge_several(self, process: int, first: Bucket, second: Bucket, consume: Any, other: Any) -> None:
        self._did("charge several")
        entered = self._enter(self._process(process), [self._charge(*first, consume), self._charge(*second, other)])
        if entered is not None:
            self._end(entered)

    @rule(process=few, bucket=buckets, consume=amounts)
    def begin(self, process: int, bucket: Bucket, consume: Any) -> None:
        self._did("begin")
        entered = self._enter(self._process(process), [self._charge(*bucket, consume)])
        if entered is not None and entered.asks:
            self.open.append(entered)

    @precondition(lambda self: self.open)
    @rule(which=few, limit=few, amount=st.integers(1, 5))
    def consume(self, which: int, limit: int, amount: int) -> None:
        self._did("consume")
        chosen = self.open[which % len(self.open)]
        name = self._name(chosen, limit)
        asks = [Ask(ask.bucket, ask.limits, {name: amount}) for ask in chosen.asks if _has(ask, name)]
        try:
            self.run(chosen.lease.consume(**{name: amount}))
        except RateLimitExceeded:
            self._judge(chosen.process, asks, is_granted=False)
        else:
            self._judge(chosen.process, asks, is_granted=True)
            chosen.charged[name] += amount

    @staticmethod
    def _name(chosen: Open, number: int) -> str:
        names = sorted({limit.name for ask in chosen.asks for limit in ask.limits})
        return names[number % len(names)]

    @precondition(lambda self: self.open)
    @rule(which=few, limit=few, amount=st.integers(1, 30))
    def adjust(self, which: int, limit: int, amount: int) -> None:
        self._did("adjust")
        chosen = self.open[which % len(self.open)]
        name = self._name(chosen, limit)
        self.run(chosen.lease.adjust(**{name: amount}))
        chosen.pending[name] += amount

    @precondition(lambda self: any(_held(each) for each in self.open))
    @rule(which=few, limit=few, part=st.integers(1, 4))
    def release(self, which: int, limit: int, part: int) -> None:
        self._did("release")
        found = [(each, name, most) for each in self.open for name, most in sorted(_held(each).items())]
        chosen, name, most = found[(which + 8 * limit) % len(found)]
        amount = -(-most * part // 4)
        self.run(chosen.lease.release(**{name: amount}))
        chosen.pending[name] -= amount

    @precondition(lambda self: self.open)
    @rule(which=few)
    def settle(self, which: int) -> None:
        self._did("settle")
        self._end(self.open.pop(which % len(self.open)))

    @precondition(lambda self: self.open)
    @rule(which=few)
    def roll_back(self, which: int) -> None:
        self._did("roll back")
        self._end(self.open.pop(which % len(self.open)), ValueError())

    @rule(nanoseconds=st.sampled_from((1_000_000, 700_000_000, 6_000_000_000, 61_000_000_000, 3_600_000_000_000)))
    def turn(self, nanoseconds: int) -> None:
        self._did("turn")
        self._turn(nanoseconds)

    def _turn(self, nanoseconds: int) -> None:
        for clock in self.bench.clocks:
            clock.turn_ns(nanoseconds)

    @rule(process=few, seconds=st.sampled_from((-40, -3, -0.5, 0.5)))
    def step_the_clock(self, process: int, seconds: float) -> None:
        self._did("step the clock")
        self.bench.clocks[self._process(process)].step(seconds)

    @rule(process=few, plan=plans)
    def change_the_systems_limits(self, process: int, plan: int) -> None:
        self._did("change the system's limits")
        self.limits.system = PLANS[plan]
        self._change(self.limiters[self._process(process)].set_system_defaults(PLANS[plan]))

    @rule(process=few, resource=st.sampled_from(RESOURCES), plan=plans)
    def change_a_resources_limits(self, process: int, resource: str, plan: int) -> None:
        self._did("change a resource's limits")
        self.limits.of_resource[resource] = PLANS[plan]
        self._change(self.limiters[self._process(process)].set_resource_defaults(resource, PLANS[plan]))

    @rule(process=few, bucket=buckets, plan=plans)
    def change_an_entitys_limits(self, process: int, bucket: Bucket, plan: int) -> None:
        self._did("change an entity's limits")
        self.limits.of_entity[bucket] = PLANS[plan]
        self._change(self.limiters[self._process(process)].set_limits(bucket[0], PLANS[plan], bucket[1]))

    @precondition(lambda self: self.limits.of_entity)
    @rule(process=few, which=few)
    def remove_an_entitys_limits(self, process: int, which: int) -> None:
        self._did("remove an entity's limits")
        bucket = sorted(self.limits.of_entity)[which % len(self.limits.of_entity)]
        del self.limits.of_entity[bucket]
        self._change(self.limiters[self._process(process)].delete_limits(*bucket))

    def _change(self, change: Coroutine[Any, Any, Any]) -> None:
        self.run(change)
        self.run(self._look_again(self.limiters))

    @rule(process=few, entity_id=st.sampled_from(ENTITIES))
    def reset(self, process: int, entity_id: str) -> None:
        self._did("reset")
        self.run(self.limiters[self._process(process)].reset(entity_id))
        self.model.forget(entity_id)

    # The fifth in a row would open the breaker, and then nothing reaches the store.
    @precondition(lambda self: self.bench.store.lose is not None and self.lost_in_a_row < 4)
    @rule(bucket=buckets, consume=amounts)
    def charge_whose_answer_is_lost(self, bucket: Bucket, consume: Any) -> None:
        """Unknown errs towards charged: what the store has done is done, whether the caller got a lease or an error."""
        assert self.bench.store.lose is not None
        charge = self._charge(*bucket, consume)
        asks = self._asks([charge])
        verdict = self.model.verdict(asks, self._now(0))
        if verdict is None or not asks or not can_ever_fit(asks):
            return
        self._did(LOSSES[0])
        self.lost_in_a_row += 1
        self.bench.store.lose(self.limiters[0], "debit")
        block = self.limiters[0].acquire(*charge)
        try:
            self.run(block.__aenter__())
        except RateLimitExceeded:
            assert not verdict
        except RateLimiterUnavailable:
            self.bench.happened["unavailable"] += 1
        else:
            assert verdict
            self.run(block.__aexit__(None, None, None))
        self._judge(0, asks, is_granted=verdict)

    @precondition(lambda self: self.bench.store.lose is not None and self.open)
    @rule(which=few)
    def settle_whose_answer_is_lost(self, which: int) -> None:
        assert self.bench.store.lose is not None
        chosen = self.open[which % len(self.open)]
        if not any(chosen.pending.values()):
            return
        self._did(LOSSES[1])
        self.open.remove(chosen)
        self.bench.store.lose(self.limiters[chosen.process], "settle")
        self._end(chosen)

    def teardown(self) -> None:
        self.bench.lengths.append(self.steps)


def _has(ask: Ask, name: str) -> bool:
    return any(limit.name == name for limit in ask.limits)


def _held(lease: Open) -> dict[str, int]:
    held = {name: amount + lease.pending[name] for name, amount in lease.charged.items()}
    return {name: amount for name, amount in held.items() if amount > 0}
