"""Usage beyond 64 bits: a counter stays at the most that is kept, and finished work never raises."""

import contextlib

import pytest

from zae_limiter import Limit, SyncEmbeddedRepository, SyncRateLimiter
from zae_limiter.testing import TurnableClock

HUGE = 3 * 10**18
MOST = 4 * 10**18
FASTEST = [Limit.custom("x", HUGE, 10**9, 1)]


@pytest.fixture
def limiter(clock: TurnableClock) -> SyncRateLimiter:
    return SyncRateLimiter(SyncEmbeddedRepository(clock=clock), clock=clock)


def used(limiter: SyncRateLimiter) -> int:
    return limiter.get_usage_summary("someone", "api").total["x"]


def work(limiter: SyncRateLimiter) -> None:
    """Four pieces of work at once, each of which has taken far more than was thought."""
    with contextlib.ExitStack() as pieces:
        leases = [pieces.enter_context(limiter.acquire("someone", "api", {"x": 1}, FASTEST)) for _ in range(4)]
        for lease in leases:
            lease.adjust(x=HUGE)


def test_settles_of_more_than_an_hour_can_count_do_not_raise(limiter: SyncRateLimiter) -> None:
    work(limiter)
    assert used(limiter) == MOST
    assert limiter.stats().settle_failed == 0


def test_buckets_reset_and_filled_again_in_one_hour_are_counted_and_read(limiter: SyncRateLimiter) -> None:
    for _ in range(3):
        work(limiter)
        limiter.reset("someone")
    assert used(limiter) == MOST
    work(limiter)
    limiter.acquire("other", "api", {"x": HUGE}, FASTEST).__enter__().settle()
    assert used(limiter) == 2 * MOST
    assert limiter.get_usage_summary(resource="api").total == {"x": 2 * MOST + HUGE}


def test_tokens_given_back_after_a_change_to_a_far_slower_rate_leave_a_full_bucket(
    limiter: SyncRateLimiter, clock: TurnableClock
) -> None:
    fast, slow = [Limit.per_minute("x", 1_000_000)], [Limit.per_day("x", 1)]
    with limiter.acquire("someone", "api", {"x": 1_000_000}, fast) as lease:
        clock.turn(61)
        with limiter.acquire("someone", "api", {"x": 1}, slow):
            pass
        lease.release(x=1_000_000)
    assert limiter.stats().settle_failed == 0
    assert limiter.available("someone", "api", slow) == {"x": 1}
