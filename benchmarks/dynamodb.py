"""DynamoDB: a charge's client time over that of a bare call, and what going together saves; both faces.

`python -m benchmarks.dynamodb` measures against DynamoDB Local, then against a server that answers at once.
A bare call is the same `UpdateItem` (same expressions, same answer) through a client of the AWS library.
"""

import asyncio
import contextlib
import itertools
import json
import os
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple

import aioboto3
import boto3
from botocore.config import Config
from rich.console import Console
from rich.table import Table

from tests.dynamodb.local_server import ENVIRONMENT, running
from tests.dynamodb.tables import fresh_name
from zae_limiter import Limit, RateLimiter, RateLimitExceeded, Repository, SyncRateLimiter, SyncRepository
from zae_limiter.dynamodb.expressions import Branch, Part, Update, update_item
from zae_limiter.exceptions import LocalStoreError
from zae_limiter.local import check_java_tools
from zae_limiter.schema import bucket_key, listing_key

ONE: Final = (Limit.per_hour("rph", 100_000_000),)
TEN: Final = tuple(Limit.per_hour(f"limit{number:07}", 100_000_000) for number in range(10))
ROUNDS: Final = 15
CALLS: Final = 100
TASKS: Final = 200
THREADS: Final = 16
SECONDS: Final = 2.0
_FAR: Final = 9 * 10**18
_NAMES: Final = (f"bucket{number}" for number in itertools.count())

Charges = Callable[[int], None]


class Row(NamedTuple):
    """One comparison: ours, what it stands beside, and their ratio."""

    what: str
    ours: str
    other: str
    ratio: str
    aim: str


def bare_update(table: str, entity: str, limits: tuple[Limit, ...]) -> dict[str, Any]:
    """The parameters of a charge of one token of each limit that always fits; its mark is to be filled in."""
    parts = tuple(Part(limit.name, limit.rate, Branch.DRAINING, 1, 1, _FAR) for limit in limits)
    return update_item(Update(bucket_key("bare", entity, "api"), parts, 1, "", _FAR // 10**9 * 2), table)


def first_update(table: str, entity: str, limits: tuple[Limit, ...]) -> dict[str, Any]:
    """What makes the bucket of `bare_update`."""
    now = time.time_ns()
    parts = tuple(Part(limit.name, limit.rate, Branch.FULL, 1, now + 10**12) for limit in limits)
    key, listed = bucket_key("bare", entity, "api"), listing_key("bare", "BUCKET", entity, "api")
    return update_item(Update(key, parts, now, "first", 10**10, listed), table)


def resource_of(limits: tuple[Limit, ...]) -> str:
    """The resource that has these limits stored."""
    return f"api-{len(limits)}"


class Marked:
    """The same call again and again, each time under another mark."""

    def __init__(self, parameters: dict[str, Any]) -> None:
        self._parameters = parameters
        self._values: Mapping[str, Any] = parameters["ExpressionAttributeValues"]
        self._count = 0

    def next(self) -> dict[str, Any]:
        """The parameters, under the next mark."""
        self._count += 1
        mark = {"S": f"{threading.get_ident() & 0xFFFF:x}{self._count:x}"}
        return {**self._parameters, "ExpressionAttributeValues": {**self._values, ":w": mark}}


def plain_config() -> Config:
    """A client as a program would make it that repeats by itself; everything else is the library's default."""
    return Config(retries={"total_max_attempts": 1}, max_pool_connections=TASKS)


class AsyncSide:
    """Charges on the event loop."""

    name = "async"

    def __init__(self, endpoint: str, table: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._stack = contextlib.AsyncExitStack()
        self.table = table
        self._repository = Repository(table, endpoint_url=endpoint, timeout=60.0, connections=TASKS)
        self._limiter = RateLimiter(self._repository, timeout=60.0)
        self.do(self._open(endpoint))

    def do(self, step: Any) -> Any:
        """Run a step on the loop of this side."""
        return self._loop.run_until_complete(step)

    async def _open(self, endpoint: str) -> None:
        await self._repository.open()
        ours = self._repository._client
        self.same = next(iter(ours._opened.values())).client  # type: ignore[union-attr]
        opened = aioboto3.Session().client("dynamodb", endpoint_url=endpoint, config=plain_config())
        self.plain = await self._stack.enter_async_context(opened)

    def close(self) -> None:
        """End the connections."""
        self.do(self._stack.aclose())
        self.do(self._limiter.close())
        self._loop.close()

    def ours(self, limits: tuple[Limit, ...], entities: int = 1) -> Charges:
        """Charges through a limiter."""

        async def charge(entity: str) -> None:
            async with self._limiter.acquire(entity, resource_of(limits), 1):
                pass

        return self.spread(charge, next(_NAMES), entities)

    def spread(self, charge: Callable[[str], Any], kind: str, entities: int) -> Charges:
        """So many charges, one after the other, or by 200 tasks where there are more than 200."""

        async def task(number: int, calls: int) -> None:
            for _ in range(calls):
                await charge(f"{kind}-{number % entities}")

        async def all_tasks(calls: int) -> None:
            await asyncio.gather(*(task(number, calls // TASKS) for number in range(TASKS)))

        return lambda calls: self.do(task(0, calls) if calls < TASKS else all_tasks(calls))


class SyncSide:
    """Charges in threads."""

    name = "sync"

    def __init__(self, endpoint: str, table: str) -> None:
        self.table = table
        self._executor = ThreadPoolExecutor(THREADS)
        self._repository = SyncRepository(table, endpoint_url=endpoint, timeout=60.0)
        self._limiter = SyncRateLimiter(self._repository, timeout=60.0)
        self._repository.open()
        self.same = self._repository._core._client._opened.client  # type: ignore[union-attr]
        self.plain = boto3.client("dynamodb", endpoint_url=endpoint, config=plain_config())

    def do(self, step: Any) -> Any:
        """What a step has answered: it has run already."""
        return step

    def close(self) -> None:
        """End the connections."""
        self._executor.shutdown()
        self.plain.close()
        self._limiter.close()

    def ours(self, limits: tuple[Limit, ...], entities: int = 1) -> Charges:
        """Charges through a limiter."""

        def charge(entity: str) -> None:
            with self._limiter.acquire(entity, resource_of(limits), 1):
                pass

        return self.spread(charge, next(_NAMES), entities)

    def spread(self, charge: Callable[[str], Any], kind: str, entities: int) -> Charges:
        """So many charges, one after the other, or by 16 threads where there are more than 200."""

        def thread(number: int, calls: int) -> None:
            for turn in range(calls):
                charge(f"{kind}-{(number + THREADS * turn) % entities}")

        def all_threads(calls: int) -> None:
            list(self._executor.map(thread, range(THREADS), [calls // THREADS] * THREADS))

        return lambda calls: thread(0, calls) if calls < TASKS else all_threads(calls)


Side = AsyncSide | SyncSide


def bare(side: Side, limits: tuple[Limit, ...], entities: int = 1, *, is_plain: bool = False) -> Charges:
    """The same calls as a limiter's through a client of the AWS library."""
    client = side.plain if is_plain else side.same
    kind = next(_NAMES)
    calls = {f"{kind}-{n}": Marked(bare_update(side.table, f"{kind}-{n}", limits)) for n in range(entities)}
    for entity in calls:
        side.do(client.update_item(**first_update(side.table, entity, limits)))
    return side.spread(lambda entity: client.update_item(**calls[entity].next()), kind, entities)


def cpu(contenders: dict[str, Charges], calls: int, rounds: int = ROUNDS) -> dict[str, float]:
    """Microseconds of this process's CPU a charge: the median over interleaved rounds."""
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for charges in contenders.values():
        charges(calls)
    for _ in range(rounds):
        for name, charges in contenders.items():
            begun = time.process_time()
            charges(calls)
            found[name].append((time.process_time() - begun) / calls * 1e6)
    return {name: statistics.median(times) for name, times in found.items()}


def speed(charges: Charges, calls: int) -> float:
    """Charges a second, in bursts of so many until two seconds are over; the fastest burst of them."""
    best, end = 0.0, time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        begun = time.perf_counter()
        charges(calls)
        best = max(best, calls / (time.perf_counter() - begun))
    return best


def measured(side: Side) -> list[Row]:
    """Every row that one process can measure, on one face."""
    alone = cpu(
        {
            "ours": side.ours(ONE),
            "same": bare(side, ONE),
            "plain": bare(side, ONE, is_plain=True),
            "ten": side.ours(TEN),
        },
        CALLS,
    )
    many = cpu({"ours": side.ours(ONE, TASKS), "bare": bare(side, ONE, TASKS)}, 4 * TASKS, rounds=5)
    hot, each = side.ours(ONE), bare(side, ONE)
    fast, slow = speed(hot, 50 * TASKS), speed(each, 4 * TASKS)
    at_once = f"{TASKS} tasks" if side.name == "async" else f"{THREADS} threads"
    spread, spread_bare = speed(side.ours(ONE, TASKS), 8 * TASKS), speed(bare(side, ONE, TASKS), 4 * TASKS)

    def micros(what: str, ours: float, other: float, aim: str) -> Row:
        return Row(what, f"{ours:.0f} µs", f"{other:.0f} µs", f"{ours / other:.2f}", aim)

    def rates(what: str, ours: float, other: float, aim: str) -> Row:
        return Row(what, f"{ours:.0f}/s", f"{other:.0f}/s", f"{ours / other:.1f}", aim)

    return [
        micros("client time, over a bare UpdateItem of the same client", alone["ours"], alone["same"], "1.15"),
        micros("client time, over one of a client with defaults", alone["ours"], alone["plain"], "1.15"),
        micros("ten limits, over one", alone["ten"], alone["ours"], "1.3"),
        micros(f"200 buckets, {at_once}: client time, over one call each", many["ours"], many["bare"], "0.25"),
        rates(f"200 buckets, {at_once}: charges a second, to one call each", spread, spread_bare, ""),
        rates(f"one hot bucket, {at_once}: charges a second, to one call each", fast, slow, "40"),
    ]


@contextlib.contextmanager
def wire(kind: str, endpoint: str) -> Iterator[str]:
    """A server of `benchmarks.wire`; its address."""
    command = [sys.executable, "-m", "benchmarks.wire", kind, endpoint]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


def told(meter: str) -> dict[str, Any]:
    """What the meter has counted since it was last asked."""
    with urllib.request.urlopen(meter) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def costs(endpoint: str) -> list[Row]:
    """Calls and units of an operation, as DynamoDB Local tells them."""
    rows: list[Row] = []
    with wire("meter", endpoint) as meter, SyncRepository(prepared(endpoint), endpoint_url=meter) as repository:
        limiter = SyncRateLimiter(repository, timeout=60.0)
        limiter.set_resource_defaults("api", [Limit.per_hour("rph", 1_000)])
        for level in range(8):
            limiter.create_entity(f"level{level}", parent_id=f"level{level + 1}" if level < 7 else None, cascade=True)
        told(meter)

        def row(what: str, entity: str, amount: int, aim: str) -> None:
            with contextlib.suppress(RateLimitExceeded), limiter.acquire(entity, "api", amount):
                pass
            found = told(meter)
            units = found["written"] + found["statements"]
            rows.append(
                Row(
                    what,
                    f"{found['calls']} calls",
                    f"{units:g} + {found['index_written']:g} written",
                    f"{found['read']:g} read",
                    aim,
                )
            )

        row("first charge of a process and of a bucket", "someone", 1, "at most 3 calls")
        row("warm charge", "someone", 1, "1 call, 1 + 0, 0")
        row("first charge of a cascade of eight levels", "level0", 1, "")
        row("warm cascade of eight levels", "level0", 1, "1 call, 8 + 0, 0")
        with limiter.acquire("someone", "api", 998):
            told(meter)
        row("refused, known from what was granted", "someone", 5, "0 calls")
    return rows


def prepared(endpoint: str) -> str:
    """A table of its own."""
    with contextlib.closing(SyncRepository(fresh_name(), endpoint_url=endpoint, timeout=60.0)) as repository:
        repository.create_table()
        for limits in (ONE, TEN):
            repository.set_resource_defaults(resource_of(limits), list(limits))
        return repository.table_name


def shown(title: str, rows: list[Row], columns: tuple[str, str, str] = ("ours", "beside it", "ratio")) -> None:
    """Print rows as a table."""
    table = Table(title=title)
    for name in ("what", *columns, "aim"):
        table.add_column(name, justify="left" if name == "what" else "right")
    for row in rows:
        table.add_row(*row)
    Console(width=140).print(table)


def main() -> None:
    """Compare, and print."""
    from benchmarks import dynamodb_fleet, dynamodb_peer

    try:
        check_java_tools()
    except LocalStoreError as missing:
        print(f"nothing is measured on DynamoDB Local: {missing}")
        return
    os.environ.update(ENVIRONMENT)
    # A server for each: with a second table DynamoDB Local takes seven times as long for a statement of PartiQL.
    with running() as endpoint:
        shown("what an operation costs", costs(endpoint), ("calls", "units: table + index", "read units"))
    dynamodb_peer.main()
    with running() as endpoint:
        dynamodb_fleet.main(endpoint)
    for kind in (AsyncSide, SyncSide):
        with running() as endpoint, wire("canned", endpoint) as canned:
            table = prepared(endpoint)
            for title, address in (("DynamoDB Local", endpoint), ("a server that answers at once", canned)):
                side: Side = kind(address, table)
                shown(f"{title}, {side.name}", measured(side))
                side.close()


if __name__ == "__main__":
    main()
