"""Settles buckets: what is owed is taken without a check, what is given back is given once; one write a bucket.

A credit never creates a bucket, for one that is gone is full; work that was done is owed there too. Both are
measured in the rate that the bucket is stored in.
"""

from collections.abc import Sequence
from typing import Any, Final

from zae_limiter import bucket
from zae_limiter.aws_errors import NotWritten, UnknownOutcome
from zae_limiter.dynamodb.bucket_table import Answer, BucketTable, or_raised
from zae_limiter.dynamodb.expressions import Branch, Part, Update
from zae_limiter.dynamodb.groups import may_create
from zae_limiter.dynamodb.guesses import Known
from zae_limiter.dynamodb.stored import Stored
from zae_limiter.exceptions import ZAELimiterError
from zae_limiter.models import MOST_LIMITS, Change, Limit
from zae_limiter.ports import AGAIN
from zae_limiter.schema import Key, ListingKey

_REPEATS: Final = 2


class Owed:
    """One change of one bucket."""

    __slots__ = ("change", "deadline_ns", "key", "listed", "now_ns")

    def __init__(self, change: Change, key: Key, listed: ListingKey, now_ns: int, deadline_ns: int) -> None:
        self.change = change
        self.key = key
        self.listed = listed
        self.now_ns = now_ns
        self.deadline_ns = deadline_ns


class Sum:
    """Changes of one bucket that go together: for each limit only such as take, or only such as give back."""

    def __init__(self) -> None:
        self.limits: dict[str, Limit] = {}
        self.taken: dict[str, list[int]] = {}
        self.given: dict[str, list[tuple[int, int]]] = {}

    def takes(self, change: Change) -> bool:
        """Take one more change along, if none of its limits goes the other way in this sum, nor are there too many."""
        if self.limits and len(self.limits.keys() | change.deltas.keys()) > MOST_LIMITS:
            return False
        for name, delta in change.deltas.items():
            if (delta > 0 and name in self.given) or (delta < 0 and name in self.taken):
                return False
        rates = {limit.name: limit for limit in change.limits}
        for name, delta in change.deltas.items():
            if delta > 0:
                self.taken.setdefault(name, []).append(delta)
            elif delta < 0:
                self.given.setdefault(name, []).append((-delta, change.debits.get(name, 1)))
            self.limits.setdefault(name, rates[name])
        return True

    def parts(self, stored: Stored | None, known: Known, now_ns: int, *, gives: bool, is_seen: bool) -> list[Part]:
        """What to write, by the last image; `is_seen` when it is what the bucket is like now."""
        parts: list[Part] = []
        image = {} if stored is None else stored.image
        for name, given in self.given.items() if gives else ():
            balance = image.get(name)
            if balance is None and is_seen:
                continue
            rate = self.limits[name].rate if balance is None else balance.rate
            span = sum(bucket.credited_span(tokens, debits, rate) for tokens, debits in given)
            parts.append(Part(name, rate, Branch.CREDIT, -sum(tokens for tokens, _ in given), span))
        for name, amounts in self.taken.items():
            balance = image.get(name)
            rate = self.limits[name].rate if balance is None else balance.rate
            span = sum(bucket.span(amount, rate) for amount in amounts)
            is_draining = known.is_draining(name, now_ns)
            branch, value = (Branch.OWED, span) if is_draining else (Branch.FULL, now_ns + span)
            parts.append(Part(name, rate, branch, sum(amounts), value))
        return parts


class Settling:
    """Changes of single buckets."""

    def __init__(self, table: BucketTable) -> None:
        self._table = table

    async def settle(self, owed: Owed) -> None:
        """Write one change, together with others of its bucket that wait; raises what kept it from being written."""
        await self._table.runtime.combined(
            (id(self), owed.key), owed, self._write, seconds=self._table.rest(owed.deadline_ns)
        )

    async def settle_at_once(self, owed: Sequence[Owed]) -> list[Exception | None]:
        """Write changes of several buckets in one batch, from one thread and without waiting for others."""
        opened: list[tuple[Owed, Sum, Update]] = []
        for each in owed:
            total, known = Sum(), self._table.memory.of(each.key)
            total.takes(each.change)
            parts = total.parts(known.stored, known, each.now_ns, gives=True, is_seen=False)
            mark = self._table.marks.next()
            opened.append((each, total, self._update(each, total, parts, known.stored, each.now_ns, mark)))
        answers = await self._table.write_all(
            [(update, self._table.memory.of(update.key)) for _, _, update in opened],
            deadline_ns=owed[0].deadline_ns,
            moves=True,
        )
        return [
            await self._sent(each, total, each.now_ns, each.deadline_ns, (update.mark, answer))
            for (each, total, update), answer in zip(opened, answers, strict=True)
        ]

    async def _write(self, members: Sequence[Owed]) -> Sequence[Any]:
        total = Sum()
        outcomes: list[Any] = [None if total.takes(owed.change) else AGAIN for owed in members]
        going = [owed for owed, outcome in zip(members, outcomes, strict=True) if outcome is None]
        now_ns = max(self._table.now_ns(), *(owed.now_ns for owed in going))
        deadline_ns = max(owed.deadline_ns for owed in going)
        error = await self._sent(going[0], total, now_ns, deadline_ns)
        return [error if outcome is None else outcome for outcome in outcomes]

    async def _sent(
        self,
        first: Owed,
        total: Sum,
        now_ns: int,
        deadline_ns: int,
        opening: tuple[str, Answer | Exception] | None = None,
    ) -> Exception | None:
        """Write a sum; after an unknown outcome only what is taken goes again, under its mark: a credit never does."""
        known = self._table.memory.of(first.key)
        mark, told = opening or (self._table.marks.next(), None)
        unknown: UnknownOutcome | None = None
        gives, is_seen = True, False
        repeats = tries = 0
        while True:
            parts = total.parts(known.stored, known, now_ns, gives=gives, is_seen=is_seen)
            if not parts:
                return unknown
            try:
                if told is None:
                    update = self._update(first, total, parts, known.stored, now_ns, mark)
                    answer = await self._table.write(update, known, deadline_ns=deadline_ns, moves=True)
                else:
                    first_answer, told = told, None
                    answer = or_raised(first_answer)
            except UnknownOutcome as error:
                unknown, gives = error, False
                if repeats == _REPEATS or not await self._table.paused(repeats, deadline_ns):
                    return error
                repeats += 1
            except NotWritten as error:
                if not await self._table.paused(tries, deadline_ns):
                    return unknown or error
                tries += 1
            except ZAELimiterError as error:
                return error
            else:
                if answer.is_written:
                    return None if unknown is None or not total.given else unknown
                if answer.stored.mark == mark:
                    if unknown is not None:
                        return None
                    mark = self._table.marks.next()
                is_seen = True
            if self._table.clock.monotonic_ns() >= deadline_ns:
                return unknown or TimeoutError("others wrote the bucket until the deadline was over")
            now_ns = self._table.now_ns()

    def _update(
        self, first: Owed, total: Sum, parts: Sequence[Part], stored: Stored | None, now_ns: int, mark: str
    ) -> Update:
        ttl: int | None = None
        if total.taken:
            owed_until_ns = max(
                max(now_ns, stored.image[part.name].full_at if stored and part.name in stored.image else 0) + part.value
                if part.branch is Branch.OWED
                else part.value
                for part in parts
                if part.branch is not Branch.CREDIT
            )
            fill_ns = max(limit.fill_ns for limit in first.change.limits)
            ttl = self._table.ttl(stored, now_ns, fill_ns, owed_until_ns)
        listed = first.listed if may_create(parts) else None
        return Update(first.key, tuple(parts), now_ns, mark, ttl, listed)
