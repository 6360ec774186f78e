"""The chapter of the hot path: debit, settle and read the buckets of one namespace.

A debit over any number of buckets is one autocommitted statement that aborts as a whole when a row does
not fit; only what it cannot say (another rate, the reasons of a refusal) takes a second look.
"""

import contextlib
import functools
import itertools
import random
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, overload

from zae_limiter import bucket, decision
from zae_limiter.embedded.database import Busy, Database, Misfit
from zae_limiter.embedded.place import Place
from zae_limiter.embedded.retention import ROWS_WRITTEN, UNCHECKED, swept
from zae_limiter.exceptions import InfrastructureError
from zae_limiter.models import Amounts, Balance, Change, Debit, Granted, Image, Refused, Stale
from zae_limiter.ports import Clock

HOUR_NS: Final = 3_600 * bucket.NS_PER_SECOND
_NO_WAIT: Final = 0
# SQLite keeps 64 bits: debts of a hundred years that meet in one bucket end in 2255.
_LATEST_NS: Final = 9_000_000_000_000_000_000
# Of the tokens of an hour no more are counted, either way: what a charge adds to them stays within 64 bits, too.
_MOST_USED: Final = 4_000_000_000_000_000_000
_PARAMETERS_A_ROW: Final = 7


class Buckets:
    """Debits, settles and reads."""

    def __init__(self, database: Database, clock: Clock, place: Place, *, ttl_multiplier: int = 1) -> None:
        self._database = database
        self._clock = clock
        self._place = place
        self._ttl_multiplier = ttl_multiplier
        # Many processes that all end early would otherwise never get to it.
        self._until_sweep = random.randint(1, ROWS_WRITTEN)

    async def debit(self, debits: Sequence[Debit], *, now_ns: int, deadline_ns: int) -> Granted | Refused | Stale:
        """Charge all buckets, or none of them."""
        while True:
            version = debits[0].version or self._place.config_version
            if version != self._place.config_version:
                return Stale()
            sql, parameters = self._statement(debits, now_ns, version)
            try:
                if self._database.waits_in_thread:
                    landed = await self._database.in_thread(sql, parameters)
                else:
                    landed = self._database.upsert(sql, parameters)
            except Busy as busy:
                await self._database.pause(busy, deadline_ns)
            except Misfit:
                judged = await self._judged(debits, now_ns, version, deadline_ns)
                if judged is not None:
                    return judged
                self._database.check_time(deadline_ns)
            else:
                self._until_sweep -= len(parameters) // _PARAMETERS_A_ROW
                if self._until_sweep <= 0:
                    self._until_sweep = ROWS_WRITTEN
                    await self._sweep(now_ns)
                return Granted(_ImagesAfter(debits, landed, now_ns), now_ns)
            now_ns = self._clock.now_ns()

    def _statement(self, debits: Sequence[Debit], now_ns: int, version: int) -> tuple[str, list[object]]:
        parameters: list[object] = [now_ns, now_ns // HOUR_NS, self._place.namespace_id, version]
        for entity_id, resource, limits, amounts, _, _, _ in debits:
            parameters += (entity_id, resource)
            for limit in limits:
                name, rate = limit.name, limit.rate
                amount = amounts.get(name)
                if amount:
                    span = amount * rate[1] // rate[0]
                    parameters += (name, span, rate[0], rate[1], limit.fill_ns - span, amount, 1)
                else:
                    parameters += (name, 0, rate[0], rate[1], UNCHECKED if amount is None else limit.fill_ns, 0, 0)
        shape = tuple([len(debit.limits) for debit in debits])
        return _upsert(shape, is_shared=self._database.is_shared), parameters

    async def _judged(
        self, debits: Sequence[Debit], now_ns: int, version: int, deadline_ns: int
    ) -> Granted | Refused | Stale | None:
        """Why the statement did not fit; None when by now it would."""
        keys = [(debit.entity_id, debit.resource) for debit in debits]
        found = await self._database.read(lambda connection: self._seen(connection, keys, version), deadline_ns)
        if found is None:
            return Stale()
        if any(_is_measured_otherwise(debit, image) for debit, image in zip(debits, found, strict=True)):
            return await self._database.write(
                lambda connection: self._carried_over(connection, debits, now_ns, version), deadline_ns
            )
        judged = decision.decide(debits, found, now_ns)
        return judged if isinstance(judged, Refused) else None

    def _carried_over(
        self, connection: sqlite3.Connection, debits: Sequence[Debit], now_ns: int, version: int
    ) -> Granted | Refused | Stale:
        images = self._seen(connection, [(debit.entity_id, debit.resource) for debit in debits], version)
        if images is None:
            return Stale()
        judged = decision.decide(debits, images, now_ns)
        if isinstance(judged, Granted):
            for debit, image in zip(debits, judged.images, strict=True):
                kept = {limit.name: image[limit.name] for limit in debit.limits}
                self._put(connection, debit, kept, debit.amounts, now_ns)
            return judged
        for debit, image in zip(debits, images, strict=True):
            self._put(connection, debit, decision.relaxed(debit, image, now_ns), {}, now_ns)
        return judged

    def _put(
        self,
        connection: sqlite3.Connection,
        at: Debit | Change,
        balances: Image,
        amounts: Amounts,
        now_ns: int,
    ) -> None:
        fills = {limit.name: limit.fill_ns for limit in at.limits}
        for name, balance in balances.items():
            amount = amounts.get(name, 0)
            connection.execute(
                _PUT,
                {
                    "namespace": self._place.namespace_id,
                    "entity": at.entity_id,
                    "resource": at.resource,
                    "name": name,
                    "full_at": balance.full_at,
                    "amount": balance.rate[0],
                    "period": balance.rate[1],
                    "carried_at": balance.carried_at,
                    "room": fills.get(name, 0),
                    "used": amount,
                    "events": 1 if amount else 0,
                    "hour": now_ns // HOUR_NS,
                },
            )

    async def settle(self, changes: Sequence[Change], *, now_ns: int, deadline_ns: int) -> Sequence[Exception | None]:
        """Take and give back without a check; the file takes all of it or none."""

        def work(connection: sqlite3.Connection) -> None:
            for change in changes:
                self._settle_one(connection, change, now_ns)

        await self._database.write_to_its_end(work, deadline_ns)
        return [None] * len(changes)

    def _settle_one(self, connection: sqlite3.Connection, change: Change, now_ns: int) -> None:
        (image,) = self._images(connection, [(change.entity_id, change.resource)])
        rates = {limit.name: limit.rate for limit in change.limits}
        for name, delta in change.deltas.items():
            balance = image.get(name)
            if delta > 0:
                # Work that was done is owed, also where the bucket is gone.
                balance = balance or Balance(now_ns, rates[name])
                full_at = min(bucket.debited(balance.full_at, now_ns, delta, balance.rate), _LATEST_NS)
            elif delta < 0 and balance is not None:
                credited = bucket.credited_span(-delta, change.debits.get(name, 1), balance.rate)
                # A slower rate than it was charged in would lead beyond the 64 bits on the other side, too.
                full_at = max(balance.full_at - credited, 0)
            else:
                continue
            self._put(connection, change, {name: balance._replace(full_at=full_at)}, {name: delta}, now_ns)

    async def read(self, keys: Sequence[tuple[str, str]]) -> Sequence[Image]:
        """The buckets of these entities and resources, in order."""
        return await self._place.read(lambda connection: self._images(connection, keys))

    def _seen(
        self, connection: sqlite3.Connection, keys: Sequence[tuple[str, str]], version: int
    ) -> list[Image] | None:
        if self._database.is_shared:
            (stored,) = connection.execute("select config_version from store").fetchone()
            if stored != version:
                self._database.config_version = stored
                return None
        return self._images(connection, keys)

    def _images(self, connection: sqlite3.Connection, keys: Sequence[tuple[str, str]]) -> list[Image]:
        return [
            {
                name: Balance(full_at, (amount, period), carried_at)
                for name, full_at, amount, period, carried_at in connection.execute(
                    _READ, (self._place.namespace_id, entity_id, resource)
                )
            }
            for entity_id, resource in keys
        ]

    async def _sweep(self, now_ns: int) -> None:
        """Forget a little of what no charge needs any more, as a table's time to live would; or let it be.

        The charge that it follows is granted: a file that is locked by now must not make a failure of it.
        """

        def work(connection: sqlite3.Connection) -> None:
            swept(connection, self._place, now_ns, self._ttl_multiplier)

        with contextlib.suppress(InfrastructureError):
            await self._database.write(work, _NO_WAIT)


class _ImagesAfter(Sequence[Image]):
    """What the statement left, put together when somebody asks: rows that were there told it, new ones start full."""

    __slots__ = ("_debits", "_landed", "_made", "_now_ns")

    def __init__(self, debits: Sequence[Debit], landed: Mapping[str, int], now_ns: int) -> None:
        self._debits = debits
        self._landed = landed
        self._now_ns = now_ns
        self._made: list[Image] | None = None

    def __len__(self) -> int:
        return len(self._debits)

    @overload
    def __getitem__(self, index: int) -> Image: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Image]: ...
    def __getitem__(self, index: int | slice) -> Image | Sequence[Image]:
        return self._all()[index]

    def __iter__(self) -> Iterator[Image]:
        return iter(self._all())

    def _all(self) -> list[Image]:
        if self._made is None:
            self._made = [self._after(debit) for debit in self._debits]
        return self._made

    def _after(self, debit: Debit) -> Image:
        before = "" if len(self._debits) == 1 else " ".join((debit.entity_id, debit.resource, ""))
        image: dict[str, Balance] = {}
        for limit in debit.limits:
            full_at = self._landed.get(before + limit.name)
            if full_at is None:
                full_at = self._now_ns + bucket.span(debit.amounts.get(limit.name, 0), limit.rate)
            image[limit.name] = Balance(full_at, limit.rate)
        return image


def _is_measured_otherwise(debit: Debit, image: Image) -> bool:
    return any(limit.name in image and image[limit.name].rate != limit.rate for limit in debit.limits)


@functools.lru_cache(maxsize=256)
def _upsert(shape: tuple[int, ...], *, is_shared: bool) -> str:
    """The statement for so many limits of each bucket: a row that does not fit has no `full_at`, which aborts it.

    In a shared file it also asks that the configuration is as resolved, once, in its first row.
    """
    numbers = itertools.count(5)
    rows: list[str] = []
    for limits in shape:
        bucket_key = f"?3, ?{next(numbers)}, ?{next(numbers)}"
        for _ in range(limits):
            name, span, amount, period, room, used, events = (f"?{next(numbers)}" for _ in range(7))
            full_at = f"?1 + {span}"
            if is_shared and not rows:
                full_at = f"case ?4 when (select config_version from store) then {full_at} end"
            rows.append(f"({bucket_key}, {name}, {full_at}, {amount}, {period}, {room}, {used}, {events}, ?2)")
    key = "excluded.name" if len(shape) == 1 else "excluded.entity || ' ' || excluded.resource || ' ' || excluded.name"
    return f"""
        insert into bucket (namespace, entity, resource, name, full_at, amount, period, room, used, events, hour)
        values {", ".join(rows)}
        on conflict do update set
            full_at = landed({key}, case
                when amount = excluded.amount and period = excluded.period and full_at - ?1 <= excluded.room
                then max(full_at, ?1) + (excluded.full_at - ?1) end),
            used = case hour when excluded.hour then used + excluded.used else excluded.used end,
            events = case hour when excluded.hour then events + excluded.events else excluded.events end,
            hour = excluded.hour"""


_READ: Final = """
    select name, full_at, amount, period, carried_at from bucket
    where namespace = ? and entity = ? and resource = ?"""

_PUT: Final = f"""
    insert into bucket values (:namespace, :entity, :resource, :name, :full_at, :amount, :period,
        :carried_at, :room, :used, :events, :hour)
    on conflict do update set
        full_at = :full_at, amount = :amount, period = :period, carried_at = :carried_at,
        used = case hour when :hour then max(-{_MOST_USED}, min({_MOST_USED}, used + :used)) else :used end,
        events = case hour when :hour then events + :events else :events end,
        hour = :hour"""
