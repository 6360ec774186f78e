"""Debits of one bucket that go together: which of them fit into one write, and that write. Pure."""

from collections.abc import Iterable
from typing import Final

from zae_limiter import bucket
from zae_limiter.decision import full_at_in
from zae_limiter.dynamodb.expressions import Branch, Part
from zae_limiter.dynamodb.guesses import Known
from zae_limiter.dynamodb.stored import Stored
from zae_limiter.models import MOST_LIMITS, Debit, Limit

_LONG_FULL_NS: Final = 3_600_000_000_000
_REMOVED_AT_ONCE: Final = 4
_ABSOLUTE: Final = frozenset({Branch.FULL, Branch.NEW_ROOM})


class Group:
    """The sum of debits of one bucket at one time, cut to what its last image has room for."""

    __slots__ = ("_full_at", "_now_ns", "_stored", "amounts", "debits", "fill_ns", "limits")

    def __init__(self, first: Debit, stored: Stored | None, now_ns: int) -> None:
        self._stored = stored
        self._now_ns = now_ns
        self._full_at: dict[str, int] = {}
        self.amounts: dict[str, int] = {}
        self.limits: dict[str, Limit] = {}
        self.fill_ns = 0
        self.debits: list[Debit] = []
        self._add(first)

    def takes(self, debit: Debit) -> bool:
        """Take one more debit along, if it fits beside the others, and its limits beside theirs in one expression."""
        if len(self.limits.keys() | debit.amounts.keys()) > MOST_LIMITS:
            return False
        for limit in debit.limits:
            amount = debit.amounts.get(limit.name)
            if amount is None:
                continue
            other = self.limits.get(limit.name)
            if other is not None and (other.rate != limit.rate or other.burst != limit.burst):
                return False
            total = self.amounts.get(limit.name, 0) + amount
            if not bucket.fits(self._full_at_of(limit), self._now_ns, total, limit.burst, limit.rate):
                return False
        self._add(debit)
        return True

    def _add(self, debit: Debit) -> None:
        self.debits.append(debit)
        for limit in debit.limits:
            self.fill_ns = max(self.fill_ns, limit.fill_ns)
            amount = debit.amounts.get(limit.name)
            if amount is not None:
                self.limits[limit.name] = limit
                self.amounts[limit.name] = self.amounts.get(limit.name, 0) + amount

    def _full_at_of(self, limit: Limit) -> int:
        found = self._full_at.get(limit.name)
        if found is None:
            balance = None if self._stored is None else self._stored.image.get(limit.name)
            found = self._full_at[limit.name] = full_at_in(limit, balance, self._now_ns)
        return found


def debit_parts(group: Group, known: Known, now_ns: int) -> tuple[Part, ...]:
    """The parts of a write that charges a group, by what is known of the bucket.

    A balance in another rate is carried over only if all of the group fits by the image; otherwise the write goes in
    the new rate, fails, and brings a fresh image: the condition of a carry-over speaks of old values only, so nothing
    else would refuse it.
    """
    stored = known.stored
    carries = stored is not None and all(
        bucket.fits(full_at_in(limit, stored.image.get(name), now_ns), now_ns, amount, limit.burst, limit.rate)
        for (name, limit), amount in zip(group.limits.items(), group.amounts.values(), strict=True)
    )
    parts = [
        _debit_part(limit, group.amounts[name], known, now_ns, carries=carries) for name, limit in group.limits.items()
    ]
    if stored is not None and len(stored.image) > len(group.debits[0].limits):
        parts += _removed(group, stored, now_ns)
    return tuple(parts)


def _removed(group: Group, stored: Stored, now_ns: int) -> list[Part]:
    """Limits that are configured no longer and long full: dropping one sooner would hand its burst out again.

    Not while others may still charge them by a configuration that they remember, and never by a charge that brings
    its own limits, which says nothing of the others.
    """
    if not all(debit.is_stored for debit in group.debits):
        return []
    configured = {limit.name for debit in group.debits for limit in debit.limits}
    edge = now_ns - _LONG_FULL_NS
    return [
        Part(name, balance.rate, Branch.REMOVED, 0, 0, edge)
        for name, balance in stored.image.items()
        if name not in configured and balance.full_at < edge
    ][:_REMOVED_AT_ONCE]


def _debit_part(limit: Limit, amount: int, known: Known, now_ns: int, *, carries: bool) -> Part:
    name, rate = limit.name, limit.rate
    balance = None if known.stored is None else known.stored.image.get(name)
    if carries and balance is not None and balance.rate != rate:
        full_at = bucket.debited(full_at_in(limit, balance, now_ns), now_ns, amount, rate)
        return Part(name, rate, Branch.CARRIED, amount, full_at, balance.full_at, balance.rate)
    edge = now_ns + limit.fill_ns
    if not amount:
        return Part(name, rate, Branch.NEW_ROOM if balance is None else Branch.ROOM, 0, 0, edge)
    span = bucket.span(amount, rate)
    if known.is_draining(name, now_ns):
        return Part(name, rate, Branch.DRAINING, amount, span, edge - span)
    return Part(name, rate, Branch.FULL, amount, now_ns + span)


def may_create(parts: Iterable[Part]) -> bool:
    """Whether a write with these parts would make a bucket that is not there."""
    return all(part.branch in _ABSOLUTE for part in parts)


def carried_at(parts: Iterable[Part], stored: Stored | None, now_ns: int) -> tuple[int, int] | None:
    """The last carry-over, and this one's time; None where nothing is carried over."""
    if stored is None or not any(part.branch is Branch.CARRIED for part in parts):
        return None
    return stored.carried_at, max(now_ns, stored.carried_at)
