"""The table as its buckets see it: each write is sent, its image remembered, and the time to live kept up with it."""

import logging
import random
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from zae_limiter.aws_errors import ConditionFailed
from zae_limiter.dynamodb.expressions import Branch, Update
from zae_limiter.dynamodb.flights import Flights
from zae_limiter.dynamodb.guesses import Known, Memory, is_draining
from zae_limiter.dynamodb.marks import Marks
from zae_limiter.dynamodb.stored import Stored, stored_bucket
from zae_limiter.dynamodb.table_clock import TableClock
from zae_limiter.exceptions import ZAELimiterError
from zae_limiter.ports import Client, Clock, Runtime
from zae_limiter.schema import PK, SK, TTL, Key

SECOND_NS: Final = 1_000_000_000
DAY_NS: Final = 86_400 * SECOND_NS
_HOUR_NS: Final = 3_600 * SECOND_NS
_FIRST_PAUSE: Final = 0.01
_LONGEST_PAUSE: Final = 0.2
_LEAST_FOR_A_TRY_NS: Final = 20_000_000

logger = logging.getLogger("zae_limiter.store")


class Answer(NamedTuple):
    """The bucket after a write, or, where the condition failed, as it stands without it."""

    stored: Stored
    is_written: bool


class _Begun(NamedTuple):
    """A write on its way, with what was known of its bucket when it was sent."""

    update: Update
    known: Known
    generation: int
    sent_ns: int
    moves: bool
    may_batch: bool


class BucketTable:
    """What charging and settling share: how writes travel, what is known of buckets, marks and clocks."""

    def __init__(
        self,
        client: Client,
        name: str,
        *,
        clock: Clock,
        runtime: Runtime,
        table_clock: TableClock | None,
        ttl_multiplier: int,
    ) -> None:
        self.name = name
        self.clock = clock
        self.runtime = runtime
        self.memory = Memory()
        self.marks = Marks()
        self.flights = Flights(client, name, clock=clock, runtime=runtime)
        self._client = client
        self._table_clock = table_clock
        self._ttl_multiplier = ttl_multiplier

    @property
    def offset_ns(self) -> int:
        """What to add to this machine's time to have the table's."""
        return 0 if self._table_clock is None else self._table_clock.offset_ns

    def now_ns(self) -> int:
        """The time of day by the table's clock."""
        return self.clock.now_ns() + self.offset_ns

    def ttl(self, stored: Stored | None, now_ns: int, fill_ns: int, owed_until_ns: int = 0) -> int | None:
        """When the record may expire, in seconds, by the hour so that processes agree; never before the last one."""
        if self._ttl_multiplier <= 0:
            return None
        latest = max(now_ns + fill_ns * self._ttl_multiplier, owed_until_ns) + DAY_NS
        return max(_whole_hours(latest), stored.ttl if stored is not None else 0)

    async def write(self, update: Update, known: Known, *, deadline_ns: int, moves: bool = False) -> Answer:
        """Send a write and remember what its answer shows; `moves` for one that takes or gives without a check."""
        begun = self._begun(update, known, moves=moves)
        try:
            item = await self.flights.send(update, may_batch=begun.may_batch, deadline_ns=deadline_ns)
        except ConditionFailed as failed:
            return self._differs(begun, failed)
        return await self._written(begun, item)

    async def write_all(
        self, writes: Sequence[tuple[Update, Known]], *, deadline_ns: int, moves: bool = False
    ) -> list[Answer | Exception]:
        """The same for several buckets in one batch, as far as their images allow it."""
        begun = [self._begun(update, known, moves=moves) for update, known in writes]
        sent = await self.flights.send_all(
            [each.update for each in begun], [each.may_batch for each in begun], deadline_ns=deadline_ns
        )
        answers: list[Answer | Exception] = []
        for each, found in zip(begun, sent, strict=True):
            if isinstance(found, ConditionFailed):
                answers.append(self._differs(each, found))
            elif isinstance(found, Exception):
                answers.append(found)
            else:
                answers.append(await self._written(each, found))
        return answers

    def _begun(self, update: Update, known: Known, *, moves: bool) -> "_Begun":
        generation = known.moved() if moves else known.generation
        known.is_fresh = False
        allowed = may_batch(update, known.stored)
        return _Begun(update, known, generation, self.clock.monotonic_ns(), moves, allowed)

    @staticmethod
    def _differs(begun: "_Begun", failed: ConditionFailed) -> Answer:
        update, known = begun.update, begun.known
        stored = stored_bucket(failed.image)
        truth = {
            part.name: is_draining(stored, part.name, update.now_ns)
            for part in update.parts
            if part.branch is not Branch.REMOVED
        }
        known.score(truth, update.now_ns)
        known.show_failed(stored, begun.generation, begun.sent_ns)
        return Answer(stored, is_written=False)

    async def _written(self, begun: "_Begun", item: Mapping[str, Any]) -> Answer:
        update, known = begun.update, begun.known
        stored = stored_bucket(item)
        guessed = {
            part.name: part.branch is Branch.DRAINING
            for part in update.parts
            if part.branch is Branch.DRAINING or part.branch is Branch.FULL
        }
        known.score(guessed, update.now_ns)
        if begun.moves and begun.generation != known.generation:
            # Which of the two was written first is not known: neither image may refuse.
            known.moved()
        known.show(stored, begun.generation, begun.sent_ns)
        await self._keep_alive(update.key, stored)
        return Answer(stored, is_written=True)

    async def _keep_alive(self, key: Key, stored: Stored) -> None:
        """Let a record in debt live until that is paid."""
        if not stored.ttl:
            return
        latest = max(balance.full_at for balance in stored.image.values())
        if latest <= stored.ttl * SECOND_NS - DAY_NS // 2:
            return
        parameters = {
            "TableName": self.name,
            "Key": {PK: {"S": key.pk}, SK: {"S": key.sk}},
            "UpdateExpression": "SET #t = :t",
            "ConditionExpression": "#t < :t",
            "ExpressionAttributeNames": {"#t": TTL},
            "ExpressionAttributeValues": {":t": {"N": str(_whole_hours(latest + DAY_NS))}},
        }
        try:
            await self._client.once("UpdateItem", parameters, seconds=1.0)
        except ConditionFailed:
            return
        except ZAELimiterError as error:
            # The next write of this bucket looks again.
            logger.debug("the time to live of a bucket in debt was not raised: %s", error)

    async def paused(self, tries: int, deadline_ns: int) -> bool:
        """Wait a little before the next try; false, at once, when too little time would be left for it.

        A try that the deadline cuts off would leave unknown what is surely not written so far.
        """
        longest = min(_FIRST_PAUSE * 2**tries, _LONGEST_PAUSE)
        seconds = random.uniform(longest / 2, longest)
        if self.clock.monotonic_ns() + int(seconds * SECOND_NS) + _LEAST_FOR_A_TRY_NS >= deadline_ns:
            return False
        await self.runtime.sleep(seconds)
        return True

    def rest(self, deadline_ns: int) -> float:
        """Seconds until a deadline, at least a thousandth."""
        return max(0.001, (deadline_ns - self.clock.monotonic_ns()) / SECOND_NS)


def or_raised(answer: Answer | Exception) -> Answer:
    """An answer; an error is raised."""
    if isinstance(answer, Exception):
        raise answer
    return answer


def may_batch(update: Update, stored: Stored | None) -> bool:
    """Whether the last image has all that a statement of PartiQL needs."""
    if stored is None or not stored.is_there:
        return False
    return all(
        part.name in stored.image and (part.branch is Branch.ROOM or part.name in stored.counted)
        for part in update.parts
    )


def _whole_hours(moment_ns: int) -> int:
    return -(-moment_ns // _HOUR_NS) * 3_600
