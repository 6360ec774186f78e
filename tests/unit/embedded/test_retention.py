"""How long a file keeps what no charge needs: idle buckets, usage and audit events, each as it is set."""

from pathlib import Path
from typing import Any

import pytest

from zae_limiter import EmbeddedRepository, Limit, RateLimiter, SyncEmbeddedRepository, SyncRateLimiter, ValidationError
from zae_limiter.testing import TurnableClock

DAY = 86_400
SWEEPS = 300
"""Charges of one row that are enough for a sweep of a small file."""


def charged(limiter: Any, number: int = SWEEPS, entity_id: str = "busy") -> None:
    for _ in range(number):
        limiter.acquire(entity_id, "api", 1, "1000000/second").__enter__().settle()


def stored(repository: SyncEmbeddedRepository, what: str) -> list[Any]:
    database = repository._core._place.database
    assert database._connection is not None
    return database._connection.execute(what).fetchall()


def entities(repository: SyncEmbeddedRepository) -> set[str]:
    return {entity for (entity,) in stored(repository, "select entity from bucket")}


@pytest.fixture
def repository(clock: TurnableClock) -> SyncEmbeddedRepository:
    return SyncEmbeddedRepository(clock=clock).open()


@pytest.fixture
def limiter(repository: SyncEmbeddedRepository, clock: TurnableClock) -> SyncRateLimiter:
    return SyncRateLimiter(repository, clock=clock)


def test_what_never_comes_again_does_not_make_a_file_grow_for_ever(
    limiter: SyncRateLimiter, repository: SyncEmbeddedRepository, clock: TurnableClock
) -> None:
    """A crowd of new entities, each with several rows, is forgotten as fast as it comes."""
    several = [Limit.per_second(f"limit-{number}", 10) for number in range(5)]
    for day in range(6):
        for number in range(200):
            limiter.acquire(f"{day}-{number}", "api", 1, several).__enter__().settle()
        clock.turn(2 * DAY)
    assert len(stored(repository, "select 1 from bucket")) <= 3_000


def test_processes_that_end_early_get_on_together(tmp_path: Path, clock: TurnableClock) -> None:
    path = str(tmp_path / "limits.db")
    with SyncRateLimiter(SyncEmbeddedRepository(path, clock=clock), clock=clock) as limiter:
        for number in range(900):
            limiter.acquire(f"old-{number}", "api", 1, "10/second").__enter__().settle()
    clock.turn(2 * DAY)
    for _ in range(40):
        with SyncRateLimiter(SyncEmbeddedRepository(path, clock=clock), clock=clock) as limiter:
            charged(limiter, 100)
    with SyncEmbeddedRepository(path, clock=clock) as repository:
        assert entities(repository) == {"busy"}


def test_usage_is_kept_for_ninety_days_and_to_the_start_of_that_month(
    limiter: SyncRateLimiter, repository: SyncEmbeddedRepository, clock: TurnableClock
) -> None:
    for _ in range(20):
        limiter.acquire("someone", "api", 1, "10/second").__enter__().settle()
        clock.turn(12 * DAY)
    charged(limiter)
    pages, _ = limiter.get_usage_snapshots("someone", "api", "monthly")
    # The clock is at the 12th of September, ninety days after the 14th of June; one of June's charges is of the 8th.
    assert [page.window_start[:7] for page in pages] == ["2027-08", "2027-07", "2027-06"]
    assert [page.counters for page in pages] == [{"rps": 3}, {"rps": 3}, {"rps": 2}]


def test_usage_is_kept_as_long_as_it_is_set(
    limiter: SyncRateLimiter, repository: SyncEmbeddedRepository, clock: TurnableClock
) -> None:
    assert repository.get_usage_retention() == 90
    repository.set_usage_retention(365)
    assert repository.get_usage_retention() == 365
    limiter.acquire("someone", "api", 1, "10/second").__enter__().settle()
    clock.turn(300 * DAY)
    charged(limiter)
    assert limiter.get_usage_summary("someone").total == {"rps": 1}
    repository.set_usage_retention(1)
    charged(limiter)
    assert limiter.get_usage_summary("someone").total == {}


def test_audit_events_are_kept_as_long_as_it_is_set(
    limiter: SyncRateLimiter, repository: SyncEmbeddedRepository, clock: TurnableClock
) -> None:
    """W20."""
    assert repository.get_audit_retention() == 90
    limiter.create_entity("someone")
    clock.turn(91 * DAY)
    limiter.set_limits("someone", "5/minute")
    charged(limiter)
    assert [event.action for event in limiter.get_audit_events("someone")] == ["limits_set"]
    repository.set_audit_retention(7)
    limiter.set_system_defaults("5/minute")
    assert repository.get_audit_retention() == 7
    clock.turn(8 * DAY)
    charged(limiter)
    assert limiter.get_audit_events("someone") == []


def test_a_namespace_keeps_its_own_time(
    limiter: SyncRateLimiter, repository: SyncEmbeddedRepository, clock: TurnableClock
) -> None:
    repository.register_namespace("tenant")
    tenant = repository.namespace("tenant")
    tenant.set_audit_retention(3_650)
    tenant.create_entity("someone")
    limiter.create_entity("someone")
    clock.turn(100 * DAY)
    charged(limiter)
    charged(SyncRateLimiter(tenant, clock=clock))
    assert limiter.get_audit_events("someone") == []
    assert len(tenant.get_audit_events("someone")) == 1


@pytest.mark.parametrize("days", [0, -1, 1.5, True, "7", 4_000])
def test_a_time_that_cannot_be_is_told(repository: SyncEmbeddedRepository, days: Any) -> None:
    for call in (repository.set_audit_retention, repository.set_usage_retention):
        with pytest.raises(ValidationError, match="days"):
            call(days)


@pytest.mark.parametrize(("multiplier", "days_kept"), [(1, 1), (2, 11), (3, 21)])
def test_a_bucket_is_kept_longer_by_its_fill(multiplier: int, days_kept: int, clock: TurnableClock) -> None:
    """Decision 14."""
    repository = SyncEmbeddedRepository(clock=clock, bucket_ttl_multiplier=multiplier).open()
    limiter = SyncRateLimiter(repository, clock=clock)
    ten_days = [Limit.custom("x", 1_000_000, 100_000, DAY)]
    limiter.acquire("idle", "api", {"x": 1}, ten_days).__enter__().settle()
    clock.turn(days_kept * DAY - 60)
    charged(limiter)
    assert entities(repository) == {"idle", "busy"}
    clock.turn(120)
    charged(limiter)
    assert entities(repository) == {"busy"}


def test_a_bucket_is_kept_for_ever_with_a_multiplier_of_0(clock: TurnableClock) -> None:
    """Decision 14."""
    repository = SyncEmbeddedRepository(clock=clock, bucket_ttl_multiplier=0).open()
    limiter = SyncRateLimiter(repository, clock=clock)
    limiter.acquire("idle", "api", 1, "10/second").__enter__().settle()
    clock.turn(4_000 * DAY)
    charged(limiter)
    assert entities(repository) == {"idle", "busy"}


def test_a_bucket_is_kept_as_good_as_for_ever_with_the_largest_multiplier(clock: TurnableClock) -> None:
    repository = SyncEmbeddedRepository(clock=clock, bucket_ttl_multiplier=10**9).open()
    limiter = SyncRateLimiter(repository, clock=clock)
    longest = [Limit.custom("x", 1, 1, 100 * 365 * DAY)]
    limiter.acquire("idle", "api", {"x": 1}, longest).__enter__().settle()
    limiter.acquire("slow", "api", {"x": 1}, [Limit.custom("x", 60, 60, 60)]).__enter__().settle()
    clock.turn(36_000 * DAY)
    charged(limiter)
    assert entities(repository) == {"idle", "slow", "busy"}


def test_a_bucket_in_debt_is_never_forgotten(
    limiter: SyncRateLimiter, repository: SyncEmbeddedRepository, clock: TurnableClock
) -> None:
    with limiter.acquire("debtor", "api", {"rpd": 1}, "10/day") as lease:
        lease.adjust(rpd=100)
    clock.turn(10 * DAY)
    charged(limiter)
    assert limiter.available("debtor", "api", "10/day") == {"rpd": 9}
    clock.turn(2 * DAY)
    charged(limiter)
    assert entities(repository) == {"busy"}


@pytest.mark.parametrize("multiplier", [1.5, None, "2", True, 10**9 + 1, 10**20])
def test_a_multiplier_is_an_int_that_is_not_too_large(multiplier: Any) -> None:
    with pytest.raises(ValidationError, match="bucket_ttl_multiplier"):
        EmbeddedRepository(bucket_ttl_multiplier=multiplier)


async def test_the_async_face_sets_them_too(clock: TurnableClock) -> None:
    repository = EmbeddedRepository(clock=clock)
    async with RateLimiter(repository, clock=clock):
        await repository.set_audit_retention(5)
        await repository.set_usage_retention(6)
        assert (await repository.get_audit_retention(), await repository.get_usage_retention()) == (5, 6)
