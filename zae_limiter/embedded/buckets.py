"""The chapter of the hot path: debit, settle and read the buckets of one namespace.

A debit over any number of buckets is one autocommitted statement that aborts as a whole when a row does
not fit; only what it cannot say (another rate, the reasons of a refusal) takes a second look.
"""

import functools
import itertools
import sqlite3
from collections.abc import Sequence
from typing import Final, overload

from zae_limiter import bucket, decision
from zae_limiter.embedded.database import Busy, Database, Misfit, Row
from zae_limiter.embedded.place import Place
from zae_limiter.models import Amounts, Balance, Change, Debit, Granted, Image, Refused, Stale
from zae_limiter.ports import Clock

HOUR_NS: Final = 3_600 * bucket.NS_PER_SECOND
_DAY_NS: Final = 24 * HOUR_NS
# A limit that is only reported may lie anywhere; SQLite adds this to a time without overflow.
_UNCHECKED: Final = 4_000_000_000_000_000_000
_DEBITS_A_SWEEP: Final = 512
_ROWS_A_SWEEP: Final = 128


class Buckets:
    """Debits, settles and reads."""

    def __init__(self, database: Database, clock: Clock, place: Place) -> None:
        self._database = database
        self._clock = clock
        self._place = place
        self._until_sweep = _DEBITS_A_SWEEP
        self._swept: Row = ("", "", "", "")

    async def debit(self, debits: Sequence[Debit], *, now_ns: int, deadline_ns: int) -> Granted | Refused | Stale:
        """Charge all buckets, or none of them."""
        while True:
            sql, parameters = self._statement(debits, now_ns)
            try:
                if self._database.waits_in_thread:
                    landed = await self._database.in_thread(sql, parameters)
                else:
                    landed = self._database.upsert(sql, parameters)
            except Busy as busy:
                await self._database.pause(busy, deadline_ns)
            except Misfit:
                judged = await self._judged(debits, now_ns, deadline_ns)
                if judged is not None:
                    return judged
            else:
                self._until_sweep -= 1
                if self._until_sweep <= 0:
                    self._until_sweep = _DEBITS_A_SWEEP
                    await self._sweep(now_ns, deadline_ns)
                return Granted(_ImagesAfter(debits, landed, now_ns), now_ns)
            now_ns = self._clock.now_ns()

    def _statement(self, debits: Sequence[Debit], now_ns: int) -> tuple[str, list[object]]:
        place = self._place
        parameters: list[object] = [now_ns, place.namespace_id, place.config_version]
        rows = 0
        for entity_id, resource, limits, amounts, _ in debits:
            for limit in limits:
                name, rate = limit.name, limit.rate
                amount = amounts.get(name)
                tokens = amount or 0
                parameters += (
                    entity_id,
                    resource,
                    name,
                    now_ns + tokens * rate[1] // rate[0],
                    rate[0],
                    rate[1],
                    _UNCHECKED if amount is None else limit.fill_ns,
                    tokens,
                    1 if tokens else 0,
                )
                rows += 1
        return _upsert(rows, is_shared=self._database.is_shared), parameters

    async def _judged(self, debits: Sequence[Debit], now_ns: int, deadline_ns: int) -> Granted | Refused | Stale | None:
        """Why the statement did not fit; None when by now it would."""
        keys = [(debit.entity_id, debit.resource) for debit in debits]
        found = await self._database.read(lambda connection: self._seen(connection, keys), deadline_ns)
        if found is None:
            return Stale()
        if any(_is_measured_otherwise(debit, image) for debit, image in zip(debits, found, strict=True)):
            return await self._database.write(
                lambda connection: self._carried_over(connection, debits, now_ns), deadline_ns
            )
        judged = decision.decide(debits, found, now_ns)
        return judged if isinstance(judged, Refused) else None

    def _carried_over(
        self, connection: sqlite3.Connection, debits: Sequence[Debit], now_ns: int
    ) -> Granted | Refused | Stale:
        images = self._seen(connection, [(debit.entity_id, debit.resource) for debit in debits])
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

        await self._database.write(work, deadline_ns)
        return [None] * len(changes)

    def _settle_one(self, connection: sqlite3.Connection, change: Change, now_ns: int) -> None:
        (image,) = self._images(connection, [(change.entity_id, change.resource)])
        rates = {limit.name: limit.rate for limit in change.limits}
        for name, delta in change.deltas.items():
            balance = image.get(name)
            if delta > 0:
                # Work that was done is owed, also where the bucket is gone.
                balance = balance or Balance(now_ns, rates[name])
                full_at = bucket.debited(balance.full_at, now_ns, delta, balance.rate)
            elif delta < 0 and balance is not None:
                full_at = balance.full_at - bucket.credited_span(-delta, change.debits.get(name, 1), balance.rate)
            else:
                continue
            self._put(connection, change, {name: balance._replace(full_at=full_at)}, {name: delta}, now_ns)

    async def read(self, keys: Sequence[tuple[str, str]]) -> Sequence[Image]:
        """The buckets of these entities and resources, in order."""
        return await self._place.read(lambda connection: self._images(connection, keys))

    def _seen(self, connection: sqlite3.Connection, keys: Sequence[tuple[str, str]]) -> list[Image] | None:
        if self._database.is_shared:
            (version,) = connection.execute("select config_version from store").fetchone()
            if version != self._place.config_version:
                self._database.config_version = version
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

    async def _sweep(self, now_ns: int, deadline_ns: int) -> None:
        """Forget a few buckets that have been full for a day, as a table's time to live would."""

        def work(connection: sqlite3.Connection) -> None:
            rows = connection.execute(_NEXT_ROWS, (*self._swept, _ROWS_A_SWEEP)).fetchall()
            idle = [row[:4] for row in rows if row[4] < now_ns - _DAY_NS]
            connection.executemany(_FORGET, idle)
            self._swept = rows[-1][:4] if len(rows) == _ROWS_A_SWEEP else ("", "", "", "")

        await self._database.write(work, deadline_ns)


class _ImagesAfter(Sequence[Image]):
    """What the statement left, put together when somebody asks: rows that were there told it, new ones start full."""

    __slots__ = ("_debits", "_landed", "_made", "_now_ns")

    def __init__(self, debits: Sequence[Debit], landed: list[Row], now_ns: int) -> None:
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
        if self._made is None:
            self._made = _images_after(self._debits, self._landed, self._now_ns)
        return self._made[index]


def _images_after(debits: Sequence[Debit], landed: list[Row], now_ns: int) -> list[Image]:
    found = {row[:3]: row[3] for row in landed}
    images: list[Image] = []
    for entity_id, resource, limits, amounts, _ in debits:
        image: dict[str, Balance] = {}
        for limit in limits:
            name, rate = limit.name, limit.rate
            full_at = found.get((entity_id, resource, name))
            if full_at is None:
                full_at = now_ns + bucket.span(amounts.get(name, 0), rate)
            image[name] = Balance(full_at, rate)
        images.append(image)
    return images


def _is_measured_otherwise(debit: Debit, image: Image) -> bool:
    return any(limit.name in image and image[limit.name].rate != limit.rate for limit in debit.limits)


@functools.lru_cache(maxsize=256)
def _upsert(rows: int, *, is_shared: bool) -> str:
    """The statement for so many rows. In a shared file it also asks that the configuration is as resolved."""
    numbers = itertools.count(4)
    values = ", ".join(_row([next(numbers) for _ in range(9)], is_shared=is_shared) for _ in range(rows))
    return f"""
        insert into bucket (namespace, entity, resource, name, full_at, amount, period, fill, used, events, hour)
        values {values}
        on conflict do update set
            full_at = landed(excluded.entity, excluded.resource, excluded.name, case
                when amount = excluded.amount and period = excluded.period and excluded.full_at is not null
                    and max(full_at, ?1) + excluded.full_at - ?1 <= ?1 + excluded.fill
                then max(full_at, ?1) + excluded.full_at - ?1 end),
            used = case hour when excluded.hour then used + excluded.used else excluded.used end,
            events = case hour when excluded.hour then events + excluded.events else excluded.events end,
            hour = excluded.hour"""


def _row(numbers: list[int], *, is_shared: bool) -> str:
    entity, resource, name, full_at, amount, period, fill, used, events = (f"?{number}" for number in numbers)
    if is_shared:
        full_at = f"case ?3 when (select config_version from store) then {full_at} end"
    hour = f"?1 / {HOUR_NS}"
    return f"(?2, {entity}, {resource}, {name}, {full_at}, {amount}, {period}, {fill}, {used}, {events}, {hour})"


_READ: Final = """
    select name, full_at, amount, period, carried_at from bucket
    where namespace = ? and entity = ? and resource = ?"""

_PUT: Final = """
    insert into bucket values (:namespace, :entity, :resource, :name, :full_at, :amount, :period,
        :carried_at, 0, :used, :events, :hour)
    on conflict do update set
        full_at = :full_at, amount = :amount, period = :period, carried_at = :carried_at,
        used = case hour when :hour then used + :used else :used end,
        events = case hour when :hour then events + :events else :events end,
        hour = :hour"""

_NEXT_ROWS: Final = """
    select namespace, entity, resource, name, full_at from bucket
    where (namespace, entity, resource, name) > (?, ?, ?, ?)
    order by namespace, entity, resource, name limit ?"""

_FORGET: Final = "delete from bucket where namespace = ? and entity = ? and resource = ? and name = ?"
