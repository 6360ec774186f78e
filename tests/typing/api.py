"""The library as a user types it: read by both type checkers, never run.

What users import is imported here as they import it; each answer has the type that the reference tells.
"""

from typing import assert_type

from zae_limiter import (
    Charge,
    EmbeddedRepository,
    Entity,
    Lease,
    Limit,
    LimiterStats,
    LimitStatus,
    OnUnavailable,
    RateLimiter,
    RateLimitExceeded,
    Repository,
    RepositoryBuilder,
    RepositoryProtocol,
    ResourceCapacity,
    SyncEmbeddedRepository,
    SyncLease,
    SyncRateLimiter,
    SyncRepository,
    SyncRepositoryProtocol,
    UsageSummary,
    current_lease,
    open_limiter,
    open_sync_limiter,
)
from zae_limiter.testing import TurnableClock, memory_limiter


async def charges(limiter: RateLimiter) -> None:
    async with limiter.acquire("user-1", "api", 1, limits="100/minute") as lease:
        assert_type(lease, Lease)
        assert_type(lease.statuses, list[LimitStatus])
        assert_type(lease.consumed, dict[str, int])
        assert_type(lease.degraded, bool)
        assert_type(await lease.adjust(tpm=-5), None)
    async with limiter.acquire(
        entity_id="user-1",
        resource="gpt-4",
        consume={"rpm": 1, "tpm": 500},
        limits=[Limit.per_minute("rpm", 100), Limit.per_minute("tpm", 90_000, unit="tokens")],
        on_unavailable=OnUnavailable.ALLOW,
        timeout=0.5,
        max_wait=2,
        on_exception="keep",
    ):
        pass
    async with limiter.acquire_all([Charge("user-1", "api", 1), Charge("user-1", "mail", {"rpm": 2})]) as lease:
        assert_type(lease, Lease)
    assert_type(current_lease(), Lease)


async def refusals(limiter: RateLimiter) -> None:
    try:
        async with limiter.acquire("user-1", "api", 1):
            pass
    except RateLimitExceeded as refused:
        assert_type(refused.retry_after_seconds, float)
        assert_type(refused.retry_after_header, str | None)
        assert_type(refused.violations, list[LimitStatus])
        assert_type(refused.primary_violation.limit.burst, int)


async def questions(limiter: RateLimiter) -> None:
    assert_type(await limiter.available("user-1", "api"), dict[str, int])
    assert_type(await limiter.time_until_available("user-1", "api", {"rpm": 1}), float)
    assert_type(await limiter.is_available(timeout=0.1), bool)
    assert_type(await limiter.get_usage_summary("user-1"), UsageSummary)
    assert_type(await limiter.get_resource_capacity("api", "rpm", parents_only=True), ResourceCapacity)
    assert_type(limiter.stats(), LimiterStats)


async def configuration(limiter: RateLimiter) -> None:
    assert_type(await limiter.create_entity("user-1", parent_id="org-1", cascade=True), Entity)
    assert_type(await limiter.get_entity("user-1"), Entity | None)
    await limiter.set_limits("user-1", [Limit.per_day("rpd", 1_000)], resource="api")
    await limiter.set_resource_defaults("api", "100/minute; 5000/day")
    await limiter.set_system_defaults("10/second", on_unavailable=OnUnavailable.BLOCK)
    assert_type(await limiter.get_limits("user-1", "api"), list[Limit])


def blocking(limiter: SyncRateLimiter) -> None:
    with limiter.acquire("user-1", "api", 1, limits="100/minute") as lease:
        assert_type(lease, SyncLease)
        assert_type(lease.adjust(tpm=-5), None)
    assert_type(limiter.available("user-1", "api"), dict[str, int])
    assert_type(limiter.get_entity("user-1"), Entity | None)
    assert_type(limiter.get_limits("user-1", resource="api"), list[Limit])


async def stores() -> None:
    async with RateLimiter(repository=EmbeddedRepository("limits.db")) as limiter:
        assert_type(limiter, RateLimiter)
    with SyncRateLimiter(repository=SyncEmbeddedRepository(":memory:")) as blocking_limiter:
        assert_type(blocking_limiter, SyncRateLimiter)
    async with open_limiter("memory:", timeout=0.5) as opened:
        assert_type(opened, RateLimiter)
    with open_sync_limiter("embedded:///var/lib/app/limits.db") as opened_blocking:
        assert_type(opened_blocking, SyncRateLimiter)
    repo = await Repository.connect("my-app", "eu-central-1", namespace="api", config_cache_ttl=30)
    assert_type(repo, Repository)
    assert_type(Repository.builder("my-app").on_unavailable("allow").timeout(2), RepositoryBuilder)
    assert_type(await Repository.builder("my-app").build(), Repository)
    assert_type(SyncRepository.builder("my-app").namespace("api").build(), SyncRepository)
    tables: tuple[RepositoryProtocol, SyncRepositoryProtocol] = (repo, SyncRepository("my-app"))
    assert_type(RateLimiter(repository=tables[0]), RateLimiter)
    assert_type(await repo.register_namespaces(["a", "b"]), dict[str, str])
    kept: RepositoryProtocol = EmbeddedRepository(":memory:")
    kept_blocking: SyncRepositoryProtocol = SyncEmbeddedRepository(":memory:")
    assert_type((kept.is_open, kept_blocking.is_open), tuple[bool, bool])


def decorated(limiter: RateLimiter, blocking_limiter: SyncRateLimiter) -> None:
    @limiter.limited(entity_id="mailer", resource="smtp", limits="10/second", max_wait=5)
    async def send(message: str) -> int:
        return len(message)

    @blocking_limiter.limited(entity_id=lambda message: message, resource="smtp", consume=2)
    def send_blocking(message: str) -> int:
        return len(message)

    assert_type(send_blocking("hello"), int)


def tests(clock: TurnableClock) -> None:
    clock.turn(1.5)
    assert_type(memory_limiter(clock=clock), RateLimiter)
