"""What a charge does beside: forgetting buckets that have been full for a day never makes a failure of it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from zae_limiter.blocking import run
from zae_limiter.embedded import SyncEmbeddedRepository
from zae_limiter.embedded.buckets import Buckets
from zae_limiter.embedded.database import Database, Misfit
from zae_limiter.exceptions import RateLimiterUnavailable
from zae_limiter.models import Debit, Granted, Limit
from zae_limiter.sync_limiter import SyncRateLimiter
from zae_limiter.testing import TurnableClock, TurningBlockingRuntime

CHARGES = 600


class LockedAfterTheCharge(Database):
    """Another process takes the file between a charge and what follows it."""

    async def write(self, work: Callable[[Any], Any], deadline_ns: int) -> Any:
        raise RateLimiterUnavailable("the file stayed locked until the deadline")


def test_a_file_that_is_locked_after_a_charge_leaves_it_granted(tmp_path: Path, clock: TurnableClock) -> None:
    limit = Limit.per_minute("rpm", 10_000)
    with SyncEmbeddedRepository(str(tmp_path / "limits.db"), clock=clock) as repository:
        place = repository._core._place
        database = LockedAfterTheCharge(
            str(tmp_path / "limits.db"), durable=False, clock=clock, runtime=TurningBlockingRuntime(clock)
        )
        buckets = Buckets(database, clock, place)
        debit = Debit("user-1", "api", (limit,), {"rpm": 1})
        run(place.read(lambda _: None))
        granted = [
            run(buckets.debit([debit], now_ns=clock.now_ns(), deadline_ns=clock.monotonic_ns() + 10**9))
            for _ in range(CHARGES)
        ]
        database.close()

    assert all(isinstance(each, Granted) for each in granted)


class ChangingUnderEachTry(Database):
    """What a statement finds never fits, and what is read afterwards always does."""

    def upsert(self, sql: str, parameters: Sequence[object]) -> dict[str, int]:
        cast("TurnableClock", self._clock).turn(0.1)
        raise Misfit


def test_a_bucket_that_changes_under_each_try_ends_with_the_deadline(clock: TurnableClock) -> None:
    database = ChangingUnderEachTry(":memory:", durable=False, clock=clock, runtime=TurningBlockingRuntime(clock))
    with SyncEmbeddedRepository(clock=clock) as repository:
        buckets = Buckets(database, clock, repository._core._place)
        debit = Debit("user-1", "api", (Limit.per_minute("rpm", 10),), {"rpm": 1})
        with pytest.raises(RateLimiterUnavailable, match="changed under every try"):
            run(buckets.debit([debit], now_ns=clock.now_ns(), deadline_ns=clock.monotonic_ns() + 10**9))
    database.close()


def test_buckets_that_have_been_full_for_a_day_are_forgotten(clock: TurnableClock) -> None:
    repository = SyncEmbeddedRepository(clock=clock)
    with SyncRateLimiter(repository, clock=clock) as limiter:
        limiter.acquire("old", "api", 1, "1000/second").__enter__().settle()
        clock.turn(2 * 86_400)
        for _ in range(CHARGES):
            limiter.acquire("new", "api", 1, "100000/second").__enter__().settle()
        place = repository._core._place
        left = run(place.read(lambda found: found.execute("select distinct entity from bucket").fetchall()))

    assert left == [("new",)]
