"""Schedules on every repository, both faces, one process and two whose clocks disagree, beside the exact model.

ZAE_LIMITER_FUZZ_SCHEDULES says how many each of them runs; without it each runs what its row in the stores says.
"""

import asyncio
import statistics
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.conformance.faces import STORES, Store
from tests.fuzz.bench import ACTIONS, HAPPENINGS, LOSSES, Bench
from tests.fuzz.machine import Schedule
from zae_limiter import environment
from zae_limiter.testing import TurnableClock

STEPS: Final = 25
FEW: Final = 150
"""With fewer schedules something may not happen by chance."""
WANTED: Final = environment.read("ZAE_LIMITER_FUZZ_SCHEDULES")
RUNS: Final = {
    f"{name}, {processes} process{'es' if processes > 1 else ''}": (store, processes)
    for name, store in STORES.items()
    if store.schedules
    for processes in ((1, 2) if store.is_shared else (1,))
}


@pytest.fixture
def run() -> Iterator[Callable[[Any], Any]]:
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.mark.parametrize(("store", "processes"), RUNS.values(), ids=RUNS)
def test_a_limiter_does_what_the_exact_model_does(
    store: Store, processes: int, run: Callable[[Any], Any], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    clocks = [TurnableClock() for _ in range(processes)]
    limiters = [store.make(clock, tmp_path) for clock in clocks]
    for limiter in limiters:
        run(limiter.repository.open())
    bench = Bench(store, limiters, clocks, run)

    @seed(zlib.crc32(request.node.name.encode()))
    class OnThisBench(Schedule):
        def __init__(self) -> None:
            super().__init__(bench)

    try:
        run_state_machine_as_test(OnThisBench, settings=_settings(store))
    finally:
        for limiter in limiters:
            run(limiter.close())
    happened = dict(bench.happened)
    schedules, steps = happened.pop("schedule"), statistics.median(bench.lengths)
    told = ", ".join(f"{count} {what}" for what, count in sorted(happened.items(), key=lambda each: -each[1]))
    request.node.user_properties.append(("told", f"{schedules} schedules, median of {steps} steps: {told}"))
    expected = (*ACTIONS, *HAPPENINGS, *(LOSSES if store.lose else ()))
    assert steps >= 20
    assert schedules < FEW or [each for each in expected if not happened.get(each)] == []


def _settings(store: Store) -> settings:
    return settings(
        max_examples=int(WANTED or store.schedules),
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def test_two_thousand_schedules_are_run_unless_another_number_is_wanted() -> None:
    assert sum(store.schedules for store, _ in RUNS.values()) >= 2_000
