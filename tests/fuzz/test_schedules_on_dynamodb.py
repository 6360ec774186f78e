"""Schedules on DynamoDB Local, both faces, one process and two whose clocks are a second apart, beside the exact model.

ZAE_LIMITER_FUZZ_SCHEDULES says how many each of them runs, and so draws others: 600 take some ten minutes on two cores.
"""

import asyncio
import statistics
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.conformance.faces import STORES, Awaited
from tests.dynamodb.losing import LosingClient, put_in_front
from tests.dynamodb.tables import fresh_name
from tests.fuzz import bench as every
from tests.fuzz.table import HAPPENINGS, StillBlockingRuntime, StillRuntime, TableBench, TableSchedule
from tests.fuzz.test_schedules import FEW, STEPS
from zae_limiter import RateLimiter, Repository, SyncRateLimiter, SyncRepository, environment
from zae_limiter.testing import TurnableClock

SCHEDULES: Final = 12
WANTED: Final = environment.read("ZAE_LIMITER_FUZZ_SCHEDULES")
# Under load an answer takes its time; a deadline that passes is no part of a schedule.
TIMEOUT: Final = 30.0


@pytest.fixture
def run() -> Iterator[Callable[[Any], Any]]:
    with asyncio.Runner() as runner:
        yield runner.run


def _limiter(name: str, clock: TurnableClock) -> tuple[Any, LosingClient]:
    runtime = StillRuntime(clock)
    repository = Repository(name, clock=clock, runtime=runtime, timeout=TIMEOUT)
    client = LosingClient(repository._client)
    put_in_front(repository, client)
    return RateLimiter(repository, clock=clock, runtime=runtime, timeout=TIMEOUT), client


def _blocking_limiter(name: str, clock: TurnableClock) -> tuple[Any, LosingClient]:
    runtime = StillBlockingRuntime(clock)
    repository = SyncRepository(name, clock=clock, runtime=runtime, timeout=TIMEOUT)
    client = LosingClient(repository._core._client)
    put_in_front(repository._core, client)
    return Awaited(SyncRateLimiter(repository, clock=clock, runtime=runtime, timeout=TIMEOUT)), client


@pytest.mark.parametrize("make", [_limiter, _blocking_limiter], ids=["async", "blocking"])
@pytest.mark.parametrize("processes", [1, 2])
def test_a_table_does_what_the_exact_model_does(
    make: Callable[[str, TurnableClock], tuple[Any, LosingClient]],
    processes: int,
    dynamodb_endpoint: str,
    run: Callable[[Any], Any],
    request: pytest.FixtureRequest,
) -> None:
    clocks = [TurnableClock() for _ in range(processes)]
    name = fresh_name()
    made = [make(name, clock) for clock in clocks]
    limiters = [limiter for limiter, _ in made]
    run(limiters[0].repository.create_table())
    for limiter in limiters:
        run(limiter.repository.open())
    bench = TableBench(STORES["dynamodb"], limiters, clocks, run, clients=[client for _, client in made])

    @seed(zlib.crc32(f"{request.node.name}{WANTED or ''}".encode()))
    class OnThisBench(TableSchedule):
        def __init__(self) -> None:
            super().__init__(bench)

    try:
        run_state_machine_as_test(OnThisBench, settings=_settings())
    finally:
        run(limiters[0].repository.delete_table())
        for limiter in limiters:
            run(limiter.close())
    happened = dict(bench.happened)
    schedules, steps = happened.pop("schedule"), statistics.median(bench.lengths)
    told = ", ".join(f"{count} {what}" for what, count in sorted(happened.items(), key=lambda each: -each[1]))
    request.node.user_properties.append(("told", f"{schedules} schedules, median of {steps} steps: {told}"))
    expected = (*every.ACTIONS, *every.HAPPENINGS, *(HAPPENINGS if processes > 1 else HAPPENINGS[:-1]))
    assert steps >= 20
    assert schedules < FEW or [each for each in expected if not happened.get(each)] == []
    assert schedules < SCHEDULES or any(happened.get(each) for each in HAPPENINGS[:-1])


def _settings() -> settings:
    return settings(
        # Shrinking a schedule on a table takes minutes: one that fails is told as it is.
        phases=[Phase.generate],
        max_examples=int(WANTED or SCHEDULES),
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
