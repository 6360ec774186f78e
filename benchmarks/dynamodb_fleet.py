"""One bucket shared by many processes: calls a grant at loads from .05 to .95, and what a flood costs.

`python -m benchmarks.dynamodb_fleet ENDPOINT [PROCESSES]`; they are forked, so it begins in a process of its own.
"""

import multiprocessing
import os
import random
import subprocess
import sys
import time
from typing import Any, Final, NamedTuple

import boto3
from botocore.config import Config

from benchmarks.dynamodb import Row, prepared, shown
from zae_limiter import Limit, RateLimitExceeded, SyncRateLimiter, SyncRepository, ZAELimiterError

PROCESSES: Final = 50
LOADS: Final = (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95)
A_SECOND: Final = 10
SECONDS: Final = 12.0
FLOODERS: Final = (1, 2, 4, 8)
_SMALL: Final = Limit.per_second("rps", 10)
_WIDE: Final = Limit.per_second("rps", A_SECOND)
_READY_SECONDS: Final = 240


class Counted(NamedTuple):
    """What happened in one process, or in all of them."""

    asks: int = 0
    grants: int = 0
    calls: int = 0
    failures: int = 0

    def plus(self, other: "Counted") -> "Counted":
        """Both together."""
        return Counted(*(first + second for first, second in zip(self, other, strict=True)))


class Member:
    """One process of the fleet: a limiter of its own, whose calls are counted."""

    def __init__(self, endpoint: str, table: str) -> None:
        self._calls = 0
        client = boto3.client("dynamodb", endpoint_url=endpoint, config=Config(retries={"total_max_attempts": 1}))
        client.meta.events.register("before-send.dynamodb.UpdateItem", self._count)
        self._limiter = SyncRateLimiter(SyncRepository(table, client=client, timeout=20.0), timeout=20.0)

    def _count(self, **_: Any) -> None:
        self._calls += 1

    def warm(self, limit: Limit, entity: str) -> None:
        """Read the configuration and meet the bucket."""
        self._ask(limit, entity)

    def _ask(self, limit: Limit, entity: str) -> Counted:
        before = self._calls
        granted = failed = 0
        try:
            with self._limiter.acquire(entity, "api", 1, [limit]):
                granted = 1
        except RateLimitExceeded:
            pass
        except ZAELimiterError:
            failed = 1
        return Counted(1, granted, self._calls - before, failed)

    def arrive(self, entity: str, a_second: float, begin: float) -> Counted:
        """Charges at random times, so many a second, from one time on."""
        total, at, end = Counted(), begin, begin + SECONDS
        while (at := at + random.expovariate(a_second)) < end:
            time.sleep(max(0.0, at - time.time()))
            total = total.plus(self._ask(_WIDE, entity))
        return total

    def flood(self, entity: str, begin: float) -> Counted:
        """Charges one after the other as fast as they are answered."""
        time.sleep(max(0.0, begin - time.time()))
        total = Counted()
        while time.time() < begin + SECONDS:
            total = total.plus(self._ask(_SMALL, entity))
        return total


def _live(endpoint: str, table: str, pipe: Any) -> None:
    member = Member(endpoint, table)
    for entity in ("fleet", "flood"):
        member.warm(_WIDE if entity == "fleet" else _SMALL, entity)
    pipe.send("ready")
    while (order := pipe.recv()) is not None:
        name, arguments = order
        pipe.send(getattr(member, name)(*arguments))


class Fleet:
    """So many processes that do the same at the same time."""

    def __init__(self, endpoint: str, processes: int) -> None:
        table = prepared(endpoint)
        context = multiprocessing.get_context("fork")
        self._pipes: list[Any] = []
        for _ in range(processes):
            here, there = context.Pipe()
            context.Process(target=_live, args=(endpoint, table, there), daemon=True).start()
            self._pipes.append(here)
        for pipe in self._pipes:
            if not pipe.poll(_READY_SECONDS) or pipe.recv() != "ready":
                raise RuntimeError("a process of the fleet did not begin")

    def all(self, name: str, *arguments: Any, among: int | None = None) -> Counted:
        """What some of them, or all, have counted together."""
        begin = time.time() + 0.5
        pipes = self._pipes[:among]
        for pipe in pipes:
            pipe.send((name, (*arguments, begin)))
        total = Counted()
        for pipe in pipes:
            total = total.plus(pipe.recv())
        return total

    def end(self) -> None:
        """Let them go."""
        for pipe in self._pipes:
            pipe.send(None)


def measured(endpoint: str, processes: int) -> list[Row]:
    """Calls a grant at each load, their mean, and what floods cost."""
    fleet = Fleet(endpoint, processes)
    rows: list[Row] = []
    found: list[float] = []
    for load in LOADS:
        total = fleet.all("arrive", "fleet", load * A_SECOND / processes)
        found.append(total.calls / total.grants)
        told = f"{total.grants} granted, {total.asks - total.grants - total.failures} refused, {total.failures} failed"
        rows.append(Row(f"{processes} processes, load {load:.2f}", f"{found[-1]:.2f} calls a grant", told, "", ""))
    mean = sum(found) / len(found)
    rows.append(Row(f"{processes} processes, mean of the loads", f"{mean:.2f} calls a grant", "", "", "1.5"))
    for number in FLOODERS:
        total = fleet.all("flood", "flood", among=number)
        units = f"{total.calls / (SECONDS * _SMALL.capacity):.2f} units a token that returns"
        a_call = f"{total.calls / total.asks:.5f} calls an ask"
        rows.append(Row(f"flooded by {number} processes", units, a_call, "", f"about {number}; 0.01"))
    fleet.end()
    return rows


def main(endpoint: str, processes: int = PROCESSES) -> None:
    """Measure in a process of its own, and print."""
    command = [sys.executable, "-m", "benchmarks.dynamodb_fleet", endpoint, str(processes)]
    subprocess.run(command, check=True, env=os.environ)


if __name__ == "__main__":
    shown("one bucket, many processes", measured(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else PROCESSES))
