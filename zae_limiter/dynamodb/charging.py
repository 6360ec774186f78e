"""Charges one bucket: those that wait for it go in one write; what its image says decides who is refused.

A write says what it thinks the bucket is like. When that was wrong, the old image tells which of five things
happened: it had landed already, the guess was wrong, the rate is another, a later time to live is stored, or the
charge does not fit.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from zae_limiter import decision
from zae_limiter.aws_errors import NotWritten, Throttled, UnknownOutcome
from zae_limiter.debits import undone
from zae_limiter.dynamodb.bucket_table import DAY_NS, SECOND_NS, Answer, BucketTable, or_raised
from zae_limiter.dynamodb.expressions import Branch, Part, Update
from zae_limiter.dynamodb.groups import Group, carried_at, debit_parts, may_create
from zae_limiter.dynamodb.guesses import Known
from zae_limiter.dynamodb.stored import Stored
from zae_limiter.exceptions import ZAELimiterError
from zae_limiter.models import Change, Debit, Granted, Refused, Stale
from zae_limiter.ports import AGAIN, Outcome
from zae_limiter.schema import Key, ListingKey

_REPEATS: Final = 2
_MOST_RENEWED: Final = 10_000

logger = logging.getLogger("zae_limiter.store")


class Asked:
    """One charge of one bucket."""

    __slots__ = ("deadline_ns", "debit", "is_throttled", "judged_by", "key", "listed", "now_ns", "tries")

    def __init__(self, debit: Debit, key: Key, listed: ListingKey, now_ns: int, deadline_ns: int) -> None:
        self.debit = debit
        self.key = key
        self.listed = listed
        self.now_ns = now_ns
        self.deadline_ns = deadline_ns
        self.tries = 0
        self.is_throttled = False
        self.judged_by: Stored | None = None


class _Landed(NamedTuple):
    stored: Stored
    now_ns: int


class _Differs(NamedTuple):
    stored: Stored
    now_ns: int


class _Postponed(NamedTuple):
    error: NotWritten


_Result = _Landed | _Differs | _Postponed | Exception


class Charging:
    """Debits of single buckets."""

    def __init__(
        self,
        table: BucketTable,
        *,
        renew: Callable[[str, str], None],
        give_back: Callable[[Change], Any],
    ) -> None:
        self._table = table
        self._renew = renew
        self._give_back = give_back
        self._renewed: OrderedDict[Key, int] = OrderedDict()

    def refused(self, asked: Asked) -> Refused | Stale | None:
        """What can be answered from memory, with nothing to write first: a refusal, or that limits have changed."""
        known = self._table.memory.of(asked.key)
        found = self._judged(asked, known, asked.now_ns, self._table.clock.monotonic_ns())
        if isinstance(found, Refused) and self._is_to_relax(asked, known.stored, asked.now_ns):
            return None
        return found

    async def charge(self, asked: Asked) -> Granted | Refused | Stale:
        """Charge one bucket, together with others that wait for it."""
        found: Granted | Refused | Stale | None = self.refused(asked)
        if found is None:
            try:
                found = await self._table.runtime.combined(
                    (id(self), asked.key),
                    asked,
                    self._write,
                    seconds=self._table.rest(asked.deadline_ns),
                    late=self._too_late,
                )
            except TimeoutError:
                if not asked.is_throttled:
                    raise
                found = _as_throttled(asked)
        assert found is not None
        return found

    async def charge_at_once(self, asked: Sequence[Asked]) -> list[Outcome]:
        """Charge several buckets in one batch, from one thread and without waiting for others."""
        opened: list[tuple[Asked, Group, Known, Update]] = []
        for each in asked:
            known = self._table.memory.of(each.key)
            group = Group(each.debit, known.stored, each.now_ns)
            update = self._update(each, group, known, each.now_ns, self._table.marks.next())
            opened.append((each, group, known, update))
        answers = await self._table.write_all(
            [(update, known) for _, _, known, update in opened], deadline_ns=asked[0].deadline_ns
        )
        outcomes: list[Outcome] = []
        for (each, group, known, update), answer in zip(opened, answers, strict=True):
            result = await self._sent(each, group, known, each.now_ns, each.deadline_ns, (update.mark, answer))
            found = Granted((result.stored.image,), result.now_ns) if isinstance(result, _Landed) else None
            found = found or self._after(each, result)
            if found is AGAIN:
                self._go_again([each], [found])
                outcomes += await self._table.runtime.together([self.charge(each)])
            else:
                outcomes.append(Outcome(error=found) if isinstance(found, Exception) else Outcome(value=found))
        return outcomes

    async def _too_late(self, asked: Asked, outcome: object) -> None:
        """What was granted to a caller that has left is given back."""
        if isinstance(outcome, Granted):
            await self._give_back(undone(asked.debit))

    def _judged(self, asked: Asked, known: Known, now_ns: int, monotonic_ns: int) -> Refused | Stale | None:
        stored = known.stored
        if stored is None or stored is asked.judged_by:
            return None
        if self._is_news(asked, stored, monotonic_ns):
            return Stale()
        if known.may_refuse(monotonic_ns) and not decision.debited(asked.debit, stored.image, now_ns):
            return Refused((stored.image,), now_ns)
        asked.judged_by = stored
        return None

    def _is_news(self, asked: Asked, stored: Stored, monotonic_ns: int) -> bool:
        """Whether another rate is stored than configured, and the configuration was not read again for that lately.

        Limits that a charge brings are what they are: what is stored of the configuration says nothing of them.
        """
        debit = asked.debit
        if not debit.is_stored:
            return False
        for limit in debit.limits:
            balance = stored.image.get(limit.name)
            if balance is not None and balance.rate != limit.rate and limit.name in debit.amounts:
                break
        else:
            return False
        if monotonic_ns - self._renewed.get(asked.key, -SECOND_NS) < SECOND_NS:
            return False
        self._renewed[asked.key] = monotonic_ns
        while len(self._renewed) > _MOST_RENEWED:
            self._renewed.popitem(last=False)
        self._renew(debit.entity_id, debit.resource)
        return True

    async def _write(self, members: Sequence[Asked]) -> Sequence[Any]:
        """One write for those who fit into it; the others are refused, or go first with the next."""
        known = self._table.memory.of(members[0].key)
        now_ns = max(asked.now_ns for asked in members)
        monotonic_ns = self._table.clock.monotonic_ns()
        outcomes: list[Any] = []
        group: Group | None = None
        going: list[int] = []
        for place, asked in enumerate(members):
            outcomes.append(self._before(asked, known, now_ns, monotonic_ns))
            if outcomes[place] is not AGAIN:
                continue
            if group is None:
                group = Group(asked.debit, known.stored, now_ns)
                going.append(place)
            elif group.takes(asked.debit):
                going.append(place)
        if group is None:
            await self._relax(members, outcomes, known, now_ns)
            return outcomes
        deadline_ns = max(members[place].deadline_ns for place in going)
        result = await self._sent(members[going[0]], group, known, now_ns, deadline_ns)
        granted = Granted((result.stored.image,), result.now_ns) if isinstance(result, _Landed) else None
        for place in going:
            outcomes[place] = granted or self._after(members[place], result)
        if isinstance(result, _Differs):
            await self._relax(members, outcomes, known, result.now_ns)
        self._go_again(members, outcomes)
        return outcomes

    def _before(self, asked: Asked, known: Known, now_ns: int, monotonic_ns: int) -> Any:
        if monotonic_ns >= asked.deadline_ns:
            return TimeoutError("the deadline was over before the bucket could be written")
        return self._judged(asked, known, now_ns, monotonic_ns) or AGAIN

    def _go_again(self, members: Sequence[Asked], outcomes: list[Any]) -> None:
        """Those who go again do so with a fresh time."""
        now_ns: int | None = None
        for asked, outcome in zip(members, outcomes, strict=True):
            if outcome is AGAIN:
                now_ns = now_ns or self._table.now_ns()
                asked.now_ns = max(now_ns, asked.now_ns)

    def _after(self, asked: Asked, result: _Result) -> Any:
        """The outcome of one charge whose group was not written."""
        monotonic_ns = self._table.clock.monotonic_ns()
        if isinstance(result, _Differs):
            if self._is_news(asked, result.stored, monotonic_ns):
                return Stale()
            if not decision.debited(asked.debit, result.stored.image, result.now_ns):
                return Refused((result.stored.image,), result.now_ns)
            if monotonic_ns >= asked.deadline_ns:
                return TimeoutError("others wrote the bucket until the deadline was over")
            return AGAIN
        error = result.error if isinstance(result, _Postponed) else result
        if isinstance(error, Throttled):
            asked.is_throttled = bool(error.of_key)
        if isinstance(result, _Postponed) and monotonic_ns < asked.deadline_ns:
            asked.tries += 1
            return AGAIN
        if asked.is_throttled and isinstance(error, (NotWritten, UnknownOutcome)):
            return _as_throttled(asked)
        return error

    async def _sent(
        self,
        first: Asked,
        group: Group,
        known: Known,
        now_ns: int,
        deadline_ns: int,
        opening: tuple[str, Answer | Exception] | None = None,
    ) -> _Result:
        """Send the write of a group; after an unknown outcome the same group goes again, under the same mark.

        `opening` is the mark of a first try that was sent already, and its answer.
        """
        mark, told = opening or (self._table.marks.next(), None)
        unknown: UnknownOutcome | None = None
        repeats = 0
        while True:
            try:
                if told is None:
                    update = self._update(first, group, known, now_ns, mark)
                    answer = await self._table.write(update, known, deadline_ns=deadline_ns)
                else:
                    first_answer, told = told, None
                    answer = or_raised(first_answer)
            except UnknownOutcome as error:
                unknown = error
                if repeats == _REPEATS:
                    return error
                repeats += 1
            except NotWritten as error:
                if unknown is None:
                    # What is surely not written is cut anew, with those who came meanwhile.
                    return _Postponed(error) if await self._table.paused(first.tries, deadline_ns) else error
            except ZAELimiterError as error:
                return error
            else:
                self._look_at(group, answer.stored, known, now_ns)
                if answer.is_written or (unknown is not None and answer.stored.mark == mark):
                    return _Landed(answer.stored, now_ns)
                return _Differs(answer.stored, now_ns)
            if not await self._table.paused(repeats, deadline_ns):
                return unknown
            now_ns = self._table.now_ns()

    def _update(self, first: Asked, group: Group, known: Known, now_ns: int, mark: str) -> Update:
        stored = known.stored
        parts = debit_parts(group, known, now_ns)
        return Update(
            first.key,
            parts,
            now_ns,
            mark,
            self._table.ttl(stored, now_ns, group.fill_ns),
            first.listed if may_create(parts) else None,
            carried_at(parts, stored, now_ns),
        )

    def _look_at(self, group: Group, stored: Stored, known: Known, now_ns: int) -> None:
        if known.is_told:
            return
        for name, limit in group.limits.items():
            if name in stored.image and stored.image[name].full_at > now_ns + limit.fill_ns + DAY_NS:
                known.is_told = True
                logger.warning("limit %r is full more than a day late: a clock ran ahead, or a large debt", name)

    async def _relax(self, members: Sequence[Asked], outcomes: Sequence[Any], known: Known, now_ns: int) -> None:
        """Carry a balance in a slower rate over for those who are refused, so that the wait they are told is exact."""
        stored = known.stored
        for asked, outcome in zip(members, outcomes, strict=True):
            if not isinstance(outcome, Refused) or stored is None or not self._is_to_relax(asked, stored, now_ns):
                continue
            update = self._relaxed(asked, stored, now_ns)
            try:
                await self._table.write(update, known, deadline_ns=asked.deadline_ns)
            except ZAELimiterError as error:
                logger.debug("a balance was not carried over: %s", error)
            return

    def _relaxed(self, asked: Asked, stored: Stored, now_ns: int) -> Update:
        parts = tuple(
            Part(
                name, after.rate, Branch.CARRIED, 0, after.full_at, stored.image[name].full_at, stored.image[name].rate
            )
            for name, after in decision.relaxed(asked.debit, stored.image, now_ns).items()
        )
        fill_ns = max(limit.fill_ns for limit in asked.debit.limits)
        ttl = self._table.ttl(stored, now_ns, fill_ns)
        mark = self._table.marks.next()
        return Update(asked.key, parts, now_ns, mark, ttl, None, carried_at(parts, stored, now_ns))

    @staticmethod
    def _is_to_relax(asked: Asked, stored: Stored | None, now_ns: int) -> bool:
        return stored is not None and bool(decision.relaxed(asked.debit, stored.image, now_ns))


def _as_throttled(asked: Asked) -> Refused:
    """One tenant that floods its own bucket past the deadline is refused; it must not look like an outage to others."""
    return Refused(({},), asked.now_ns, wait_ns=SECOND_NS)
