"""A charge goes by one version of the configuration, whoever changes it while the charge is being made."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from zae_limiter import (
    EmbeddedRepository,
    Limit,
    RateLimiter,
    RateLimiterUnavailable,
    RateLimitExceeded,
    ValidationError,
)
from zae_limiter.config_cache import Slot, Value
from zae_limiter.testing import TurnableClock


class ChangedMeanwhile(EmbeddedRepository):
    """A repository beside which another process changes the configuration, after so many looks at it."""

    other: EmbeddedRepository
    looks_until_change = 0
    changes = 1

    async def _fetched(self, slots: Sequence[Slot]) -> Mapping[Slot, Value]:
        found = await super()._fetched(slots)
        self.looks_until_change -= 1
        if self.looks_until_change <= 0 and self.changes:
            self.changes -= 1
            await self.other.set_system_defaults([Limit.per_minute("rpm", 3)])
        return found


async def beside(path: Path, clock: TurnableClock) -> ChangedMeanwhile:
    other = await EmbeddedRepository(str(path), clock=clock).open()
    await other.create_entity("parent")
    await other.create_entity("child", parent_id="parent", cascade=True)
    await other.set_system_defaults([Limit.per_minute("rpm", 50)])
    found = ChangedMeanwhile(str(path), clock=clock)
    found.other = other
    return found


@pytest.mark.parametrize("looks", [1, 2])
async def test_every_level_of_a_cascade_goes_by_the_same_version(
    looks: int, tmp_path: Path, clock: TurnableClock
) -> None:
    repository = await beside(tmp_path / "limits.db", clock)
    repository.looks_until_change = looks
    async with RateLimiter(repository, clock=clock) as limiter:
        with pytest.raises(RateLimitExceeded) as caught:
            await limiter.acquire("child", "api", 4).__aenter__()
        assert [status.limit.capacity for status in caught.value.statuses] == [3, 3]
        assert await repository.get_buckets("child") == []
        async with limiter.acquire("child", "api", 3) as lease:
            assert [status.available for status in lease.statuses] == [0, 0]
    await repository.other.close()


async def test_a_durable_file_refuses_nothing_by_what_is_remembered(tmp_path: Path) -> None:
    """A burst raised, and the first limits at all."""
    path = str(tmp_path / "limits.db")
    async with (
        RateLimiter(EmbeddedRepository(path)) as other,
        RateLimiter(EmbeddedRepository(path, durable=True)) as us,
    ):
        with pytest.raises(ValidationError):
            await us.acquire("someone", "api", 1).__aenter__()
        await other.set_system_defaults("5/minute")
        await us.acquire("someone", "api", 1).__aenter__()
        await other.set_system_defaults("50/minute; 7/hour")
        await us.acquire("someone", "api", {"rpm": 40}).__aenter__()
        await other.set_system_defaults("50/minute; 7/hour; 5/day")
        await us.acquire("someone", "api", {"rpd": 5}).__aenter__()


async def test_a_configuration_that_changes_at_every_look_ends_with_the_deadline(
    tmp_path: Path, clock: TurnableClock
) -> None:
    class ChangedEachTime(ChangedMeanwhile):
        async def _fetched(self, slots: Sequence[Slot]) -> Mapping[Slot, Value]:
            clock.turn(0.1)
            return await super()._fetched(slots)

    repository = ChangedEachTime(str(tmp_path / "limits.db"), clock=clock)
    repository.other = (await beside(tmp_path / "limits.db", clock)).other
    repository.changes = 1_000
    async with RateLimiter(repository, clock=clock) as limiter:
        with pytest.raises(RateLimiterUnavailable, match="changed again and again"):
            await limiter.acquire("child", "api", 1).__aenter__()
    assert 980 <= repository.changes < 1_000
    await repository.other.close()
