"""What a limiter must do, in exact rationals and without a store: buckets by entity and limit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from zae_limiter import Limit

NEAR_NS = 20_000
"""Spans round to whole nanoseconds, some dozens of times in a schedule: nearer to an edge the store may decide."""


@dataclass
class Level:
    """One limit of a bucket; `full_at` is exact."""

    full_at: Fraction
    rate: Fraction
    carried_at: int = 0


@dataclass
class Ask:
    """What one entity is asked for: the limits in force and the amounts."""

    entity_id: str
    limits: Sequence[Limit]
    amounts: Mapping[str, int]


def rate_of(limit: Limit) -> Fraction:
    return Fraction(limit.refill_amount, limit.refill_period_seconds * 10**9)


class Model:
    """Every bucket of one resource."""

    def __init__(self) -> None:
        self.levels: dict[tuple[str, str], Level] = {}
        self.carry_overs = 0

    def _in_rate(self, entity_id: str, limit: Limit, now: int) -> Fraction:
        level = self.levels.get((entity_id, limit.name))
        if level is None:
            return Fraction(now)
        if level.rate == rate_of(limit):
            return level.full_at
        at = max(now, level.carried_at)
        return at + max(Fraction(0), level.full_at - at) * level.rate / rate_of(limit)

    def _room_ns(self, entity_id: str, limit: Limit, amount: int, now: int) -> Fraction:
        after = max(self._in_rate(entity_id, limit, now), Fraction(now)) + amount / rate_of(limit)
        return now + limit.burst / rate_of(limit) - after

    def verdict(self, asks: Sequence[Ask], now: int) -> bool | None:
        """Granted or refused; None where rounding may decide."""
        rooms: list[Fraction] = []
        for ask in asks:
            for limit in ask.limits:
                if limit.name in ask.amounts:
                    if ask.amounts[limit.name] > limit.burst:
                        return False
                    rooms.append(self._room_ns(ask.entity_id, limit, ask.amounts[limit.name], now))
        if any(room < -NEAR_NS for room in rooms):
            return False
        return None if any(room < NEAR_NS for room in rooms) else True

    def _is_measured_otherwise(self, asks: Sequence[Ask]) -> bool:
        found = ((self.levels.get((ask.entity_id, limit.name)), limit) for ask in asks for limit in ask.limits)
        return any(level is not None and level.rate != rate_of(limit) for level, limit in found)

    def grant(self, asks: Sequence[Ask], now: int) -> None:
        carries = self._is_measured_otherwise(asks)
        self.carry_overs += carries
        for ask in asks:
            for limit in ask.limits:
                key = (ask.entity_id, limit.name)
                level, amount = self.levels.get(key), ask.amounts.get(limit.name, 0)
                full_at = self._in_rate(ask.entity_id, limit, now)
                if amount or not carries:
                    full_at = max(full_at, Fraction(now)) + amount / rate_of(limit)
                self.levels[key] = Level(full_at, rate_of(limit), self._carried_at(level, limit, now))

    def refuse(self, asks: Sequence[Ask], now: int) -> None:
        """A refusal writes one thing: a balance in a slower rate is carried over into the faster one."""
        if any(ask.amounts.get(limit.name, 0) > limit.burst for ask in asks for limit in ask.limits):
            return
        for ask in asks:
            for limit in ask.limits:
                level = self.levels.get((ask.entity_id, limit.name))
                if level is not None and limit.name in ask.amounts and rate_of(limit) > level.rate:
                    full_at = self._in_rate(ask.entity_id, limit, now)
                    carried_at = self._carried_at(level, limit, now)
                    self.levels[ask.entity_id, limit.name] = Level(full_at, rate_of(limit), carried_at)

    @staticmethod
    def _carried_at(level: Level | None, limit: Limit, now: int) -> int:
        if level is None:
            return 0
        return level.carried_at if level.rate == rate_of(limit) else max(now, level.carried_at)

    def settle(self, entity_id: str, limits: Sequence[Limit], deltas: Mapping[str, int], now: int) -> None:
        for limit in limits:
            delta = deltas.get(limit.name, 0)
            level = self.levels.get((entity_id, limit.name))
            if delta > 0:
                level = level or Level(Fraction(now), rate_of(limit))
                level.full_at = max(level.full_at, Fraction(now)) + delta / level.rate
                self.levels[entity_id, limit.name] = level
            elif delta < 0 and level is not None:
                level.full_at += delta / level.rate

    def available(self, entity_id: str, limit: Limit, now: int) -> Fraction:
        used = max(Fraction(0), self._in_rate(entity_id, limit, now) - now)
        return limit.burst - used * rate_of(limit)
