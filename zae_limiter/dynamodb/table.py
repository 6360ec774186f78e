"""One table through one client: reads that page to their end, batches that repeat what was left, transactions.

Whatever cannot be done in time is an error; nothing that is partly done looks whole.
"""

import random
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias

from zae_limiter.aws_errors import NotWritten, TransactionCanceled, UnknownOutcome
from zae_limiter.dynamodb.items import Item, Value, Values, from_item, key_item, key_of, to_attribute, to_item
from zae_limiter.exceptions import RateLimiterUnavailable
from zae_limiter.ports import Client, Clock, Outcome, Runtime
from zae_limiter.schema import LISTING, LISTING_PK, LISTING_SK, PK, SK, Key, ListingKey

_READ_AT_ONCE: Final = 100
_WRITTEN_AT_ONCE: Final = 25
_READS_SIDE_BY_SIDE: Final = 2
_READERS_AT_ONCE: Final = 25
_FIRST_PAUSE: Final = 0.025
_LONGEST_PAUSE: Final = 1.0
_MOST_A_PAGE: Final = 10_000
"""More than fit the megabyte of a page; a number of more than 32 bits is none that the service reads."""
_LAST: Final = "~"
_REPEATED: Final = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})


@dataclass(frozen=True, slots=True)
class Condition:
    """What a record must be like: there or not, and what some attributes hold; None: the attribute is not there."""

    is_there: bool = True
    equals: Mapping[str, Value] = field(default_factory=dict)

    def as_parameters(self) -> dict[str, Any]:
        """The condition as DynamoDB takes it."""
        parts = [f"attribute_{'exists' if self.is_there else 'not_exists'}({PK})"]
        names: dict[str, str] = {}
        values: dict[str, Any] = {}
        for place, (name, value) in enumerate(self.equals.items()):
            names[f"#c{place}"] = name
            if value is None:
                parts.append(f"attribute_not_exists(#c{place})")
            else:
                parts.append(f"#c{place} = :c{place}")
                values[f":c{place}"] = to_attribute(value)
        found: dict[str, Any] = {"ConditionExpression": " AND ".join(parts)}
        if names:
            found["ExpressionAttributeNames"] = names
        if values:
            found["ExpressionAttributeValues"] = values
        return found


ABSENT: Final = Condition(is_there=False)
PRESENT: Final = Condition()


class Put(NamedTuple):
    """Write a record whole."""

    record: Mapping[str, Value]
    when: Condition | None = None


class Delete(NamedTuple):
    """Remove a record."""

    key: Key
    when: Condition | None = None


class Check(NamedTuple):
    """Write nothing; the transaction stands only while this holds."""

    key: Key
    when: Condition


Write: TypeAlias = Put | Delete | Check


class Page(NamedTuple):
    """Some of the records that a query finds, and where the next page begins; None at the end."""

    items: Sequence[Item]
    after: Mapping[str, Any] | None


def record(key: Key, listed: ListingKey | None, **values: Value) -> dict[str, Value]:
    """A record to be written: its keys, where it is listed, and what it says."""
    keys: dict[str, Value] = {PK: key.pk, SK: key.sk}
    if listed is not None:
        keys |= {LISTING_PK: listed.pk, LISTING_SK: listed.sk}
    return keys | values


def values_of(outcomes: Iterable[Outcome]) -> list[Any]:
    """What steps that went together have brought; the first error, if there is one."""
    found = list(outcomes)
    for outcome in found:
        if outcome.error is not None:
            raise outcome.error
    return [outcome.value for outcome in found]


class Table:
    """Reads and writes records of one table; each request has the deadline of a call."""

    def __init__(self, client: Client, name: str, *, clock: Clock, runtime: Runtime, timeout: float) -> None:
        self.client = client
        self.name = name
        self.clock = clock
        self.runtime = runtime
        self.timeout_ns = int(timeout * 1e9)

    def deadline_ns(self) -> int:
        """When a request that begins now must have ended."""
        return self.clock.monotonic_ns() + self.timeout_ns

    async def get(self, key: Key, *, deadline_ns: int | None = None) -> Values | None:
        """One record as it stands now, or None."""
        parameters = {"TableName": self.name, "Key": key_item(key), "ConsistentRead": True}
        until_ns = self.deadline_ns() if deadline_ns is None else deadline_ns
        answer = await self.client.call("GetItem", parameters, deadline_ns=until_ns)
        return from_item(answer["Item"]) if "Item" in answer else None

    async def get_all(self, keys: Iterable[Key], *, consistent: bool = True) -> dict[Key, Values]:
        """The records of these keys that there are, as values."""
        found = await self.get_items(keys, consistent=consistent)
        return {key: from_item(item) for key, item in found.items()}

    async def get_all_with_others(self, keys: Sequence[Key], *, consistent: bool) -> Mapping[Key, Values]:
        """The same, read together with what others want at the same time; records of theirs may be among them.

        Many who come to a cold process at once would otherwise all be late, each with a read of its own.
        """
        try:
            found: Mapping[Key, Values] = await self.runtime.combined(
                (id(self), "reads", consistent),
                keys,
                lambda members: self._read_for(members, consistent=consistent),
                seconds=self.timeout_ns / 1e9,
                width=_READS_SIDE_BY_SIDE,
                most=_READERS_AT_ONCE,
            )
        except TimeoutError as late:
            raise RateLimiterUnavailable("no answer in time", late, stack_name=self.name) from late
        return found

    async def _read_for(self, members: Sequence[Sequence[Key]], *, consistent: bool) -> Sequence[Mapping[Key, Values]]:
        found = await self.get_all([key for keys in members for key in keys], consistent=consistent)
        return [found] * len(members)

    async def get_items(self, keys: Iterable[Key], *, consistent: bool = True) -> dict[Key, Item]:
        """The records of these keys that there are. One that the service left out is asked for again, never missing."""
        wanted = list(dict.fromkeys(keys))
        chunks = [wanted[start : start + _READ_AT_ONCE] for start in range(0, len(wanted), _READ_AT_ONCE)]
        found: dict[Key, Item] = {}
        for chunk in chunks:
            rest: dict[str, Any] = {"Keys": [key_item(key) for key in chunk], "ConsistentRead": consistent}
            for item in await self._batched("BatchGetItem", rest, "UnprocessedKeys"):
                found[key_of(item)] = item
        return found

    async def delete_all(self, keys: Iterable[Key]) -> None:
        """Remove the records of these keys."""
        wanted = list(dict.fromkeys(keys))
        for start in range(0, len(wanted), _WRITTEN_AT_ONCE):
            chunk = wanted[start : start + _WRITTEN_AT_ONCE]
            await self._batched(
                "BatchWriteItem", [{"DeleteRequest": {"Key": key_item(key)}} for key in chunk], "UnprocessedItems"
            )

    async def _batched(self, operation: str, rest: Any, left: str) -> list[Item]:
        deadline_ns = self.deadline_ns()
        found: list[Item] = []
        pause = _FIRST_PAUSE
        while True:
            answer = await self.client.call(operation, {"RequestItems": {self.name: rest}}, deadline_ns=deadline_ns)
            if operation == "BatchGetItem":
                found += self._part_of(answer, "Responses").get(self.name, ())
            rest = answer.get(left, {}).get(self.name)
            if not rest:
                return found
            pause = await self._paused(pause, deadline_ns, f"{operation} left a part undone until the deadline")

    async def _paused(self, pause: float, deadline_ns: int, why: str) -> float:
        wait = random.uniform(pause / 2, pause)
        if wait * 1e9 >= deadline_ns - self.clock.monotonic_ns():
            raise NotWritten(why, stack_name=self.name)
        await self.runtime.sleep(wait)
        return min(2 * pause, _LONGEST_PAUSE)

    async def let_others(self, tries: int) -> None:
        """Wait a little, longer after more tries, so that those who change one record do not always meet."""
        if tries:
            await self.runtime.sleep(random.uniform(0, min(0.01 * 2**tries, 0.5)))

    async def query(
        self, pk: str, *, low: str = "", high: str = "", listed: bool = False, consistent: bool = True
    ) -> list[Item]:
        """Every record of a partition whose sort key begins with `low`, or lies between `low` and `high`."""
        found: list[Item] = []
        after: Mapping[str, Any] | None = None
        while True:
            page = await self.page(pk, low=low, high=high, listed=listed, after=after, consistent=consistent)
            found += page.items
            after = page.after
            if after is None:
                return found

    async def listed(self, parts: Sequence[str], low: str, high: str = "") -> list[Item]:
        """The keys of what these partitions of the listing have between `low` and `high`; eventually consistent."""
        steps = [self.query(part, low=low, high=high, listed=True) for part in parts]
        return [item for items in values_of(await self.runtime.together(steps)) for item in items]

    async def page(
        self,
        pk: str,
        *,
        low: str = "",
        high: str = "",
        listed: bool = False,
        after: Mapping[str, Any] | None = None,
        limit: int | None = None,
        newest_first: bool = False,
        consistent: bool = True,
    ) -> Page:
        """A page of what `query` finds: at most `limit` records, and not before `after`."""
        partition, sort = (LISTING_PK, LISTING_SK) if listed else (PK, SK)
        parameters: dict[str, Any] = {
            "TableName": self.name,
            "KeyConditionExpression": f"{partition} = :pk",
            "ExpressionAttributeValues": {":pk": {"S": pk}},
            "ScanIndexForward": not newest_first,
        }
        if listed:
            parameters["IndexName"] = LISTING
        elif consistent:
            parameters["ConsistentRead"] = True
        if low:
            parameters["KeyConditionExpression"] += f" AND {sort} BETWEEN :low AND :high"
            parameters["ExpressionAttributeValues"] |= {":low": {"S": low}, ":high": {"S": high or low + _LAST}}
        if after is not None:
            parameters["ExclusiveStartKey"] = after
        if limit is not None:
            parameters["Limit"] = min(limit, _MOST_A_PAGE)
        answer = await self.client.call("Query", parameters, deadline_ns=self.deadline_ns())
        return Page(self._part_of(answer, "Items"), answer.get("LastEvaluatedKey"))

    def _part_of(self, answer: Mapping[str, Any], name: str) -> Any:
        """What every answer has, also one of nothing: where something on the way answers instead, it is not there."""
        if name not in answer:
            raise UnknownOutcome(f"an answer without {name}", stack_name=self.name)
        return answer[name]

    async def transact(self, writes: Sequence[Write]) -> Sequence[int]:
        """Write all or nothing; the places of the writes whose condition did not hold, none when all is written."""
        deadline_ns = self.deadline_ns()
        parts = [self._part(write) for write in writes]
        pause = _FIRST_PAUSE
        while True:
            # By its token the service knows a repeat whose first try it has carried out.
            request = {"TransactItems": parts, "ClientRequestToken": str(uuid.uuid4())}
            try:
                await self.client.call("TransactWriteItems", request, deadline_ns=deadline_ns)
            except TransactionCanceled as canceled:
                codes = [reason.code for reason in canceled.reasons]
                failed = [place for place, code in enumerate(codes) if code == "ConditionalCheckFailed"]
                if failed:
                    return failed
                if not set(codes) & _REPEATED:
                    raise RateLimiterUnavailable(str(canceled), canceled, stack_name=self.name) from canceled
            else:
                return ()
            pause = await self._paused(pause, deadline_ns, "other writes were in the way until the deadline")

    def _part(self, write: Write) -> dict[str, Any]:
        if isinstance(write, Put):
            kind, what = "Put", {"Item": to_item(write.record)}
        elif isinstance(write, Delete):
            kind, what = "Delete", {"Key": key_item(write.key)}
        else:
            kind, what = "ConditionCheck", {"Key": key_item(write.key)}
        when = {} if write.when is None else write.when.as_parameters()
        return {kind: {"TableName": self.name, **what, **when}}
