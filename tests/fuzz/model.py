"""What a limiter must do, in exact rationals and without a store: buckets, limits at their levels, a cascade."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from zae_limiter import Limit

NEAR_NS = 20_000
"""Spans round to whole nanoseconds, some dozens of times in a schedule: nearer to an edge the store may decide."""

Bucket = tuple[str, str]


@dataclass
class Level:
    """One limit of a bucket; `full_at` is exact."""

    full_at: Fraction
    rate: Fraction
    carried_at: int = 0


@dataclass(frozen=True)
class Ask:
    """What one bucket is asked for: the limits in force and the amounts."""

    bucket: Bucket
    limits: Sequence[Limit]
    amounts: Mapping[str, int]


def rate_of(limit: Limit) -> Fraction:
    return Fraction(limit.refill_amount, limit.refill_period_seconds * 10**9)


class Limits:
    """Limits at their levels, and who stands above whom."""

    def __init__(self, parents: Mapping[str, str], system: Sequence[Limit]) -> None:
        self.parents = parents
        self.system = system
        self.of_resource: dict[str, Sequence[Limit]] = {}
        self.of_entity: dict[Bucket, Sequence[Limit]] = {}

    def in_force(self, entity_id: str, resource: str) -> Sequence[Limit]:
        return self.of_entity.get((entity_id, resource)) or self.of_resource.get(resource) or self.system

    def line(self, entity_id: str) -> list[str]:
        """The entity and all above it."""
        found = [entity_id]
        while found[-1] in self.parents:
            found.append(self.parents[found[-1]])
        return found

    def asks(self, bucket: Bucket, consume: int | Mapping[str, int], own: Sequence[Limit] | None) -> list[Ask]:
        """What a charge asks of each level; a level without any limit that it names is left alone."""
        entity_id, resource = bucket
        found: list[Ask] = []
        for name in self.line(entity_id):
            limits = own if own is not None and name == entity_id else self.in_force(name, resource)
            amounts = {
                limit.name: consume if isinstance(consume, int) else consume[limit.name]
                for limit in limits
                if isinstance(consume, int) or limit.name in consume
            }
            if amounts:
                found.append(Ask((name, resource), limits, amounts))
        return found


class Model:
    """Every bucket."""

    def __init__(self) -> None:
        self.levels: dict[tuple[Bucket, str], Level] = {}
        self.carry_overs = 0

    def in_rate(self, bucket: Bucket, limit: Limit, now: int) -> Fraction:
        level = self.levels.get((bucket, limit.name))
        if level is None:
            return Fraction(now)
        if level.rate == rate_of(limit):
            return level.full_at
        at = max(now, level.carried_at)
        return at + max(Fraction(0), level.full_at - at) * level.rate / rate_of(limit)

    def _room_ns(self, bucket: Bucket, limit: Limit, amount: int, now: int) -> Fraction:
        after = max(self.in_rate(bucket, limit, now), Fraction(now)) + amount / rate_of(limit)
        return now + limit.burst / rate_of(limit) - after

    def verdict(self, asks: Sequence[Ask], now: int) -> bool | None:
        """Granted or refused; None where rounding may decide."""
        if not can_ever_fit(asks):
            return False
        rooms = [
            self._room_ns(ask.bucket, limit, ask.amounts[limit.name], now)
            for ask in asks
            for limit in ask.limits
            if limit.name in ask.amounts
        ]
        if any(room < -NEAR_NS for room in rooms):
            return False
        return None if any(room < NEAR_NS for room in rooms) else True

    def _is_measured_otherwise(self, asks: Sequence[Ask]) -> bool:
        found = ((self.levels.get((ask.bucket, limit.name)), limit) for ask in asks for limit in ask.limits)
        return any(level is not None and level.rate != rate_of(limit) for level, limit in found)

    def grant(self, asks: Sequence[Ask], now: int) -> None:
        carries = self._is_measured_otherwise(asks)
        self.carry_overs += carries
        for ask in asks:
            for limit in ask.limits:
                key = (ask.bucket, limit.name)
                level, amount = self.levels.get(key), ask.amounts.get(limit.name, 0)
                full_at = self.in_rate(ask.bucket, limit, now)
                is_slower = level is not None and rate_of(limit) < level.rate
                if is_slower and limit.name not in ask.amounts and self._room_ns(ask.bucket, limit, 0, now) < -NEAR_NS:
                    # Used beyond the burst in a faster rate, it comes back in that one.
                    continue
                if amount or not carries:
                    full_at = max(full_at, Fraction(now)) + amount / rate_of(limit)
                self.levels[key] = Level(full_at, rate_of(limit), self._carried_at(level, limit, now))

    def refuse(self, asks: Sequence[Ask], now: int) -> None:
        """A refusal writes one thing: a balance in a slower rate is carried over into the faster one."""
        if not can_ever_fit(asks):
            return
        for ask in asks:
            for limit in ask.limits:
                level = self.levels.get((ask.bucket, limit.name))
                if level is not None and limit.name in ask.amounts and rate_of(limit) > level.rate:
                    full_at = self.in_rate(ask.bucket, limit, now)
                    carried_at = self._carried_at(level, limit, now)
                    self.levels[ask.bucket, limit.name] = Level(full_at, rate_of(limit), carried_at)

    @staticmethod
    def _carried_at(level: Level | None, limit: Limit, now: int) -> int:
        if level is None:
            return 0
        return level.carried_at if level.rate == rate_of(limit) else max(now, level.carried_at)

    def settle(self, ask: Ask, deltas: Mapping[str, int], now: int) -> None:
        for limit in ask.limits:
            delta = deltas.get(limit.name, 0)
            level = self.levels.get((ask.bucket, limit.name))
            if delta > 0:
                level = level or Level(Fraction(now), rate_of(limit))
                level.full_at = max(level.full_at, Fraction(now)) + delta / level.rate
                self.levels[ask.bucket, limit.name] = level
            elif delta < 0 and level is not None:
                level.full_at += delta / level.rate

    def forget(self, entity_id: str) -> None:
        """Make every bucket of an entity full."""
        self.levels = {key: level for key, level in self.levels.items() if key[0][0] != entity_id}

    def available(self, bucket: Bucket, limit: Limit, now: int) -> Fraction:
        used = max(Fraction(0), self.in_rate(bucket, limit, now) - now)
        return limit.burst - used * rate_of(limit)


def can_ever_fit(asks: Sequence[Ask]) -> bool:
    return all(ask.amounts.get(limit.name, 0) <= limit.burst for ask in asks for limit in ask.limits)
