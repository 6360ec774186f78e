"""The chapter of the hot path: debit and settle the buckets of one namespace, over limits and levels.

All limits of a bucket are one write. Several buckets are charged together where the last image of each has room for
eight such charges, else from the first up, stopping at a refusal: together always, one that floods takes its
sibling's share of a parent. What was granted is given back when another bucket refuses.
"""

from collections.abc import Callable, Coroutine, Sequence
from functools import lru_cache
from itertools import compress
from typing import Any, Final

from zae_limiter import bucket
from zae_limiter.debits import undone
from zae_limiter.decision import full_at_in, statuses
from zae_limiter.dynamodb.bucket_table import SECOND_NS, BucketTable
from zae_limiter.dynamodb.charging import Asked, Charging
from zae_limiter.dynamodb.settling import Owed, Settling
from zae_limiter.dynamodb.stored import shifted
from zae_limiter.dynamodb.table_clock import TableClock
from zae_limiter.models import Change, Debit, Granted, Image, Refused, Stale
from zae_limiter.ports import Client, Clock, Outcome, Runtime
from zae_limiter.schema import Key, ListingKey, bucket_key, listing_key

_ROOM_FOR: Final = 8
_MOST_KEYS: Final = 10_000
Judged = Granted | Refused | Stale


class Buckets:
    """Debits and settles.

    `namespace_id` is asked at each charge where `known_namespace` does not know it without a look-up, and at a settle
    where `last_namespace` never knew it: what is owed goes where it was charged. `renew` is told of an entity and a
    resource whose configuration is to be read again before it is used; `ttl_multiplier` scales the lifetime of a
    record, 0 or less for ever.
    """

    def __init__(
        self,
        client: Client,
        table_name: str,
        namespace_id: Callable[[], Coroutine[Any, Any, str]],
        *,
        clock: Clock,
        runtime: Runtime,
        renew: Callable[[str, str], None],
        known_namespace: Callable[[], str] = str,
        last_namespace: Callable[[], str] = str,
        ttl_multiplier: int = 1,
        table_clock: TableClock | None = None,
    ) -> None:
        self._namespace = namespace_id
        self._known_namespace = known_namespace
        self._last_namespace = last_namespace
        self._bucket_table = BucketTable(
            client, table_name, clock=clock, runtime=runtime, table_clock=table_clock, ttl_multiplier=ttl_multiplier
        )
        self._charging = Charging(self._bucket_table, renew=renew, give_back=self._give_back)
        self._settling = Settling(self._bucket_table)

    async def debit(self, debits: Sequence[Debit], *, now_ns: int, deadline_ns: int) -> Judged:
        """Charge all buckets, or none of them; `Stale` asks the caller to resolve its limits again.

        It ends by its deadline with a `TimeoutError`, and what is granted to a caller that has left is given back.
        One bucket is guarded by those who go together for it; more than that, or a look-up, is a step of its own.
        """
        namespace_id = self._known_namespace()
        if namespace_id and len(debits) == 1:
            return await self._debit(namespace_id, debits, now_ns, deadline_ns)
        runtime = self._bucket_table.runtime
        step = runtime.abandonable(
            self._looked_up(debits, now_ns, deadline_ns), lambda found: self._too_late(debits, found)
        )
        return await runtime.within(self._bucket_table.rest(deadline_ns), step)

    async def _looked_up(self, debits: Sequence[Debit], now_ns: int, deadline_ns: int) -> Judged:
        return await self._debit(await self._namespace(), debits, now_ns, deadline_ns)

    async def _too_late(self, debits: Sequence[Debit], found: Judged) -> None:
        if isinstance(found, Granted):
            await self._give_all_back([undone(debit) for debit in debits if any(debit.amounts.values())])

    async def _debit(self, namespace_id: str, debits: Sequence[Debit], now_ns: int, deadline_ns: int) -> Judged:
        offset_ns = self._bucket_table.offset_ns
        asked = [self._asked(namespace_id, debit, now_ns + offset_ns, deadline_ns) for debit in debits]
        found = await (self._charging.charge(asked[0]) if len(asked) == 1 else self._charge_all(asked))
        return _by_machine(found, offset_ns) if offset_ns else found

    @staticmethod
    def _asked(namespace_id: str, debit: Debit, now_ns: int, deadline_ns: int) -> Asked:
        key, listed = _keys(namespace_id, debit.entity_id, debit.resource)
        return Asked(debit, key, listed, now_ns, deadline_ns)

    async def _charge_all(self, asked: Sequence[Asked]) -> Judged:
        known = self._known_refusal(asked)
        if known is not None:
            return known
        runtime = self._bucket_table.runtime
        if not all(self._has_room(each) for each in asked):
            outcomes = await self._in_turn(asked)
        elif runtime.is_blocking:
            outcomes = await self._charging.charge_at_once(asked)
        else:
            outcomes = await runtime.together([self._charging.charge(each) for each in asked])
        granted = [outcome.value for outcome in outcomes if isinstance(outcome.value, Granted)]
        if len(granted) == len(asked):
            return Granted([found.images[0] for found in granted], max(found.now_ns for found in granted))
        back = [
            undone(each.debit)
            for each, outcome in zip(asked, outcomes, strict=False)
            if isinstance(outcome.value, Granted) and any(each.debit.amounts.values())
        ]
        if back:
            await self._bucket_table.runtime.shielded(self._give_all_back(back))
        return self._refusal(asked, outcomes)

    def _known_refusal(self, asked: Sequence[Asked]) -> Refused | Stale | None:
        """A refusal of any level that is known before anything is written."""
        found = [self._charging.refused(each) for each in asked]
        if any(isinstance(each, Stale) for each in found):
            return Stale()
        if any(isinstance(each, Refused) for each in found):
            return Refused([self._image_of(each) for each in asked], asked[0].now_ns)
        return None

    def _has_room(self, asked: Asked) -> bool:
        stored = self._bucket_table.memory.of(asked.key).stored
        if stored is None:
            return False
        now_ns = asked.now_ns
        for limit in asked.debit.limits:
            amount = asked.debit.amounts.get(limit.name)
            if amount is None:
                continue
            balance = stored.image.get(limit.name)
            if balance is not None and balance.rate != limit.rate:
                return False
            full_at = full_at_in(limit, balance, now_ns)
            if not bucket.fits(full_at, now_ns, amount * _ROOM_FOR, limit.burst, limit.rate):
                return False
        return True

    async def _in_turn(self, asked: Sequence[Asked]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for each in asked:
            outcomes += await self._bucket_table.runtime.together([self._charging.charge(each)])
            if not isinstance(outcomes[-1].value, Granted):
                break
        return outcomes

    def _refusal(self, asked: Sequence[Asked], outcomes: Sequence[Outcome]) -> Refused | Stale:
        """What to answer when not all was granted; what was is shown as it stood before."""
        refused = [outcome.value for outcome in outcomes if isinstance(outcome.value, Refused)]
        if not refused:
            for outcome in outcomes:
                if outcome.error is not None:
                    raise outcome.error
            return Stale()
        images: list[Image] = []
        for index, each in enumerate(asked):
            value = outcomes[index].value if index < len(outcomes) else None
            if isinstance(value, Refused):
                images.append(value.images[0])
            elif isinstance(value, Granted):
                images.append(_before(each.debit, value.images[0]))
            else:
                images.append(self._image_of(each))
        return Refused(images, max(each.now_ns for each in refused), _longest_wait(asked, outcomes))

    def _image_of(self, asked: Asked) -> Image:
        stored = self._bucket_table.memory.of(asked.key).stored
        return {} if stored is None else stored.image

    async def _give_back(self, change: Change) -> None:
        await self._give_all_back([change])

    async def _give_all_back(self, changes: Sequence[Change]) -> None:
        now_ns, deadline_ns = self._bucket_table.clock.now_ns(), self._bucket_table.clock.monotonic_ns() + SECOND_NS
        await self.settle(changes, now_ns=now_ns, deadline_ns=deadline_ns)

    async def settle(self, changes: Sequence[Change], *, now_ns: int, deadline_ns: int) -> Sequence[Exception | None]:
        """Take and give back without a check, one write a bucket, each on its own: None, or what failed."""
        namespace_id = self._last_namespace() or await self._namespace()
        now_ns += self._bucket_table.offset_ns
        # One that changes nothing must not write: its mark alone would make a record that lives for ever.
        changing = [any(change.deltas.values()) for change in changes]
        owed = [self._owed(namespace_id, change, now_ns, deadline_ns) for change in compress(changes, changing)]
        told = iter(await self._settle_all(owed))
        return [next(told) if does else None for does in changing]

    async def _settle_all(self, owed: Sequence[Owed]) -> Sequence[Exception | None]:
        if len(owed) > 1 and self._bucket_table.runtime.is_blocking:
            return await self._settling.settle_at_once(owed)
        steps = [self._settling.settle(each) for each in owed]
        failures: list[Exception | None] = []
        for outcome in await self._bucket_table.runtime.together(steps):
            if outcome.error is not None and not isinstance(outcome.error, Exception):
                raise outcome.error
            failures.append(outcome.error)
        return failures

    @staticmethod
    def _owed(namespace_id: str, change: Change, now_ns: int, deadline_ns: int) -> Owed:
        key, listed = _keys(namespace_id, change.entity_id, change.resource)
        return Owed(change, key, listed, now_ns, deadline_ns)

    def _forget_buckets(self, keys: Sequence[Key]) -> None:
        """What was deleted is full."""
        for key in keys:
            self._bucket_table.memory.forget(key)


@lru_cache(maxsize=_MOST_KEYS)
def _keys(namespace_id: str, entity_id: str, resource: str) -> tuple[Key, ListingKey]:
    """Where a bucket is stored, and where it is listed."""
    return bucket_key(namespace_id, entity_id, resource), listing_key(namespace_id, "BUCKET", entity_id, resource)


def _longest_wait(asked: Sequence[Asked], outcomes: Sequence[Outcome]) -> int:
    """What to tell where a level is throttled, which another that has no room may outlast; 0 where none is."""
    throttled = 0
    waits = [0]
    for each, outcome in zip(asked, outcomes, strict=False):
        found = outcome.value
        if isinstance(found, Refused):
            throttled = max(throttled, found.wait_ns)
            if not found.wait_ns:
                waits += [status.wait_ns for status in statuses([each.debit], found.images, found.now_ns)]
    return max(throttled, *waits) if throttled else 0


def _before(debit: Debit, image: Image) -> Image:
    rates = {limit.name: limit.rate for limit in debit.limits}
    return {
        name: balance._replace(full_at=balance.full_at - bucket.span(debit.amounts.get(name, 0), rates[name]))
        if name in rates
        else balance
        for name, balance in image.items()
    }


def _by_machine(found: Judged, offset_ns: int) -> Judged:
    """The same by this machine's own clock, which the caller reads."""
    if isinstance(found, Stale):
        return found
    return found._replace(
        images=[shifted(image, -offset_ns) for image in found.images], now_ns=found.now_ns - offset_ns
    )
