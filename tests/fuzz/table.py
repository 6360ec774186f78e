"""Schedules on a table: what only there may happen. Processes remember, requests and answers get lost on the way.

The table says which of the outcomes that admission allows came about; nothing else is taken from it.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from tests.dynamodb.losing import LosingClient, Loss
from tests.fuzz.bench import ENTITIES, PARENTS, RESOURCES, Bench
from tests.fuzz.machine import Open, Schedule, amounts, buckets, few
from tests.fuzz.model import NEAR_NS, Ask, Bucket, Level, can_ever_fit, rate_of
from tests.patience import PatientBlockingRuntime, PatientRuntime
from zae_limiter import Charge, Limit, RateLimiterUnavailable, RateLimitExceeded
from zae_limiter.models import Balance

HAPPENINGS: Final = ("request lost", "answer lost", "lost for good", "refusal by what another has changed")
_REMEMBERS_NS: Final = 1_000_000_000
_FOR_GOOD: Final = 3
_NOBODY: Final = -1
_MOST_CHARGES: Final = 8
_LONG_FULL_NS: Final = 3_600_000_000_000

losses = st.sampled_from((("request",), ("answer",), ("answer", "answer"), ("answer",) * 3, ("request",) * 3))
Allowed = Mapping[str, Sequence[Level | None]]


class StillRuntime(PatientRuntime):
    """Its sleeps bring a deadline nearer; the time of day stands, so that the model knows when a write was made."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        self._clock.step(-seconds)


class StillBlockingRuntime(PatientBlockingRuntime):
    """The blocking twin of `StillRuntime`."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        self._clock.step(-seconds)


@dataclass
class TableBench(Bench):
    """A bench whose processes reach their table through clients that lose what a schedule wants."""

    clients: Sequence[LosingClient] = field(default_factory=list)


@dataclass
class Written:
    """Who wrote a bucket last, and when everybody else who remembers it may have taken its image."""

    process: int
    monotonic_ns: Sequence[int]


class TableSchedule(Schedule):
    """One schedule on a table."""

    bench: TableBench

    def __init__(self, bench: TableBench) -> None:
        self.written: dict[Bucket, Written] = {}
        self.failures: Counter[int] = Counter()
        super().__init__(bench)
        for clock in bench.clocks[1:]:
            # With what they differ by in every schedule, a second.
            clock.step(-0.3)

    async def _look_again(self, limiters: Sequence[Any]) -> None:
        # Else what another process has changed is in force within the lifetime of the cache.
        for limiter in limiters:
            await limiter.repository.invalidate_config_cache()

    @invariant()
    def what_is_available_is_what_the_model_has(self) -> None:
        # The table's own numbers are compared wherever it was written; this looks at the others from time to time.
        if self.steps % 4 == 0:
            super().what_is_available_is_what_the_model_has()

    def _images(self, asks: Sequence[Ask]) -> Sequence[Mapping[str, Balance]]:
        found: Sequence[Mapping[str, Balance]] = self.run(
            self.limiters[0].repository.read([ask.bucket for ask in asks])
        )
        return found

    def _judge(self, process: int, asks: list[Ask], *, is_granted: bool) -> None:
        now = self._now(process)
        verdict = self.model.verdict(asks, now)
        if is_granted:
            assert verdict is not False
            self.failures[process] = 0
        elif verdict:
            assert self._has_changed_lately(process, asks)
            self.bench.happened[HAPPENINGS[3]] += 1
        self._take_all_over(process, asks, lambda ask: [(self._granted if is_granted else self._same)(ask, now)])
        self.bench.happened["grant" if is_granted else "refusal"] += 1

    def _has_changed_lately(self, process: int, asks: Sequence[Ask]) -> bool:
        """Whether a refusal may rest on an image of before another process has written."""
        now_ns = self.bench.clocks[process].monotonic_ns()
        found = (self.written.get(ask.bucket) for ask in asks)
        return any(
            each is not None and each.process != process and now_ns - each.monotonic_ns[process] <= _REMEMBERS_NS
            for each in found
        )

    def _enter(self, process: int, charges: Sequence[Charge]) -> Open | None:
        entered = super()._enter(process, charges)
        if entered is None and not self._knows(process, self._asks(charges)):
            # What is promised holds if nobody else has taken since this process has looked.
            self.told_ns = None
        return entered

    def _knows(self, process: int, asks: Sequence[Ask]) -> bool:
        found = (self.written.get(ask.bucket) for ask in asks)
        return all(each is None or each.process == process for each in found)

    def _wrote(self, process: int, bucket: Bucket) -> None:
        self.written[bucket] = Written(process, [clock.monotonic_ns() for clock in self.bench.clocks])

    def _same(self, ask: Ask, now: int) -> Allowed:
        """What a bucket may be when nothing was taken: untouched, begun at now, or carried over into another rate."""
        return {limit.name: self._kept(ask.bucket, limit, now) for limit in ask.limits}

    def _kept(self, bucket: Bucket, limit: Limit, now: int) -> list[Level | None]:
        level = self.model.levels.get((bucket, limit.name))
        rate, at = rate_of(limit), Fraction(now)
        if level is None:
            return [None, Level(at, rate)]
        carried = self.model.in_rate(bucket, limit, now)
        return [
            level,
            Level(max(level.full_at, at), level.rate),
            Level(carried, rate),
            Level(max(carried, at), rate),
        ]

    def _granted(self, ask: Ask, now: int) -> Allowed:
        found: dict[str, Sequence[Level | None]] = {}
        for limit in ask.limits:
            amount, rate = ask.amounts.get(limit.name, 0), rate_of(limit)
            if amount:
                full_at = max(self.model.in_rate(ask.bucket, limit, now), Fraction(now))
                found[limit.name] = [Level(full_at + amount / rate, rate)]
            else:
                found[limit.name] = self._kept(ask.bucket, limit, now)
        return found

    def _take_all_over(
        self,
        process: int,
        asks: Sequence[Ask],
        alternatives: Callable[[Ask], Sequence[Allowed]],
        *,
        is_known: bool = True,
    ) -> None:
        """Find which of the alternatives the table has for each bucket, all limits of a bucket together."""
        for ask, image in zip(asks, self._images(asks), strict=True):
            if self._take_over(self._now(process), ask.bucket, image, alternatives(ask)):
                self._wrote(process if is_known else _NOBODY, ask.bucket)

    def _take_over(
        self, now: int, bucket: Bucket, image: Mapping[str, Balance], alternatives: Sequence[Allowed]
    ) -> bool:
        before = {name: level for (where, name), level in self.model.levels.items() if where == bucket}
        carried_at = max((level.carried_at for level in before.values()), default=0)
        long_ago = now - _LONG_FULL_NS
        for allowed in alternatives:
            # Limits that the writer did not know stay as they are, or go once they are long full.
            others = {name: [level, None] if level.full_at < long_ago else [level] for name, level in before.items()}
            every = {**others, **allowed}
            found = {name: _matching(image.get(name), levels) for name, levels in every.items()}
            if _MISSING not in found.values() and image.keys() <= found.keys():
                break
        else:
            raise AssertionError(f"{bucket} has {image}, which is none of {alternatives} by {now}, after {before}")
        for name, level in found.items():
            if level is None or level is _MISSING:
                self.model.levels.pop((bucket, name), None)
                continue
            balance = image[name]
            assert balance.carried_at in (carried_at, max(carried_at, now))
            self.model.levels[bucket, name] = Level(level.full_at, level.rate, balance.carried_at)
            old = before.get(name)
            self.bench.happened["carry-over"] += old is not None and old.rate != level.rate
        after = {name: level for (where, name), level in self.model.levels.items() if where == bucket}
        return after != before

    def _end(self, chosen: Open, error: BaseException | None = None) -> None:
        self.run(chosen.block.__aexit__(type(error) if error else None, error, None))
        deltas = {name: -amount for name, amount in chosen.charged.items()} if error else chosen.pending
        now = self._now(chosen.process)
        self._take_all_over(chosen.process, chosen.asks, lambda ask: [self._settled(ask, deltas, now)])

    def _settled(self, ask: Ask, deltas: Mapping[str, int], now: int) -> Allowed:
        found: dict[str, Sequence[Level | None]] = {}
        for limit in ask.limits:
            delta = deltas.get(limit.name, 0)
            level = self.model.levels.get((ask.bucket, limit.name))
            if delta > 0:
                full_at, rate = (Fraction(now), rate_of(limit)) if level is None else (level.full_at, level.rate)
                found[limit.name] = [Level(max(full_at, Fraction(now)) + delta / rate, rate)]
            elif delta < 0 and level is not None:
                found[limit.name] = [Level(level.full_at + delta / level.rate, level.rate)]
        return found

    @rule(process=few, entity_id=st.sampled_from(ENTITIES))
    def reset(self, process: int, entity_id: str) -> None:
        self._did("reset")
        self._reset(self._process(process), entity_id)

    def _reset(self, process: int, entity_id: str) -> None:
        self.run(self.limiters[process].reset(entity_id))
        self.model.forget(entity_id)
        for resource in RESOURCES:
            self._wrote(process, (entity_id, resource))

    @precondition(lambda self: len(self.limiters) > 1)
    @rule(
        process=few,
        entity_id=st.sampled_from(sorted(set(ENTITIES) - set(PARENTS))),
        resource=st.sampled_from(RESOURCES),
    )
    def come_back_after_another_has_reset(self, process: int, entity_id: str, resource: str) -> None:
        """Who was refused remembers it for a second, whatever another process has done since."""
        process = self._process(process)
        charge = self._charge(entity_id, resource, 5)
        for _ in range(_MOST_CHARGES):
            entered = self._enter(process, [charge])
            if entered is None:
                self._reset(self._process(process + 1), entity_id)
                self._charged(process, charge, "go")
                return
            self._end(entered)

    # The fifth in a row would open the breaker, and then nothing reaches the table.
    @precondition(lambda self: max(self.failures.values(), default=0) < 4)
    @rule(process=few, bucket=buckets, consume=amounts, lost=losses)
    def charge_with_losses(self, process: int, bucket: Bucket, consume: Any, lost: Sequence[Loss]) -> None:
        process = self._process(process)
        charge = self._charge(*bucket, consume)
        asks = self._asks([charge])
        verdict = self.model.verdict(asks, self._now(process))
        if verdict is None or not asks or not can_ever_fit(asks):
            return
        block = self.limiters[process].acquire(*charge)
        try:
            self._losing(process, lost, block.__aenter__())
        except RateLimitExceeded:
            assert not verdict or self._has_changed_lately(process, asks)
            self._whatever_came(process, asks)
        except RateLimiterUnavailable:
            self.failures[process] += 1
            self._whatever_came(process, asks)
        else:
            self._judge(process, asks, is_granted=True)
            self.run(block.__aexit__(None, None, None))

    def _whatever_came(self, process: int, asks: Sequence[Ask]) -> None:
        """A charge that was not granted may stay, in each bucket for itself: unknown errs towards charged."""
        now = self._now(process)
        self._take_all_over(process, asks, lambda ask: [self._same(ask, now), self._granted(ask, now)], is_known=False)

    def _losing(self, process: int, lost: Sequence[Loss], step: Any) -> Any:
        client = self.bench.clients[process]
        client.losses.extend(lost)
        client.lost = 0
        try:
            return self.run(step)
        finally:
            client.losses.clear()
            if client.lost:
                self._did(HAPPENINGS[2] if client.lost >= _FOR_GOOD else f"{lost[0]} lost")

    @precondition(lambda self: any(each for each in self.open if any(each.pending.values())))
    @rule(which=few, lost=losses)
    def settle_with_losses(self, which: int, lost: Sequence[Loss]) -> None:
        """What is owed is repeated; what is given back is given once or not at all, never twice."""
        owing = [each for each in self.open if any(each.pending.values())]
        chosen = owing[which % len(owing)]
        self.open.remove(chosen)
        self._losing(chosen.process, lost, chosen.block.__aexit__(None, None, None))
        now, pending = self._now(chosen.process), chosen.pending
        owed = {name: delta for name, delta in pending.items() if delta > 0}
        # Where a later try arrived, it was without what would be given back: an earlier one may have arrived, too.
        ends = (pending, owed, {}) if len(lost) == _FOR_GOOD else (pending, owed)
        self._take_all_over(
            chosen.process,
            chosen.asks,
            lambda ask: [self._settled(ask, deltas, now) for deltas in ends],
            is_known=False,
        )


_MISSING: Final = Level(Fraction(-1), Fraction(-1))


def _matching(balance: Balance | None, levels: Sequence[Level | None]) -> Level | None:
    """The level that a balance is, as far as rounding lets tell; `_MISSING` for none of them."""
    for level in levels:
        if balance is None or level is None:
            if balance is None and level is None:
                return None
        elif Fraction(*balance.rate) == level.rate and abs(balance.full_at - level.full_at) < NEAR_NS:
            return level
    return _MISSING
