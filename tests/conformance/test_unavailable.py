"""Without a store, and cancelled in the middle: what is raised, let pass, and never lost."""

import asyncio
import contextlib
from typing import Any

import pytest

from zae_limiter import (
    RateLimiter,
    RateLimiterUnavailable,
    RateLimitExceeded,
    SyncEmbeddedRepository,
    SyncRateLimiter,
)
from zae_limiter.models import OnUnavailableAction
from zae_limiter.testing import FaultyRepository, TurnableClock, faulty_limiter

LIMITS = "10/minute"


def begin(limiter: Any, **options: Any) -> Any:
    return limiter.acquire("someone", "api", 1, LIMITS, **options)


async def turns(number: int = 20) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


@pytest.mark.parametrize("method", ["debit", "resolve"])
async def test_a_failed_store_blocks_unless_it_is_told_otherwise(method: str) -> None:
    """W14."""
    limiter, store = faulty_limiter()
    store.fail(method, error=ConnectionError("no route"))
    with pytest.raises(RateLimiterUnavailable) as caught:
        await begin(limiter).__aenter__()
    assert isinstance(caught.value.cause, ConnectionError)
    async with begin(limiter, on_unavailable="allow") as lease:
        assert lease.degraded
        await lease.consume(rpm=5)
        await lease.adjust(rpm=5)
    store.heal()
    assert await limiter.available("someone", "api", LIMITS) == {"rpm": 10}
    assert (limiter.stats().degraded, limiter.stats().unavailable) == (1, 1)


async def test_the_argument_goes_before_what_is_stored_and_that_before_block() -> None:
    """Decision 12, W51."""
    limiter, store = faulty_limiter()
    await limiter.set_system_defaults(LIMITS, "allow")
    store.fail("debit")
    async with begin(limiter) as lease:
        assert lease.degraded
    with pytest.raises(RateLimiterUnavailable):
        await begin(limiter, on_unavailable="block").__aenter__()
    await limiter.set_system_defaults(LIMITS)
    with pytest.raises(RateLimiterUnavailable):
        await begin(limiter).__aenter__()


@pytest.mark.parametrize("error", [ZeroDivisionError, ValueError, AssertionError, KeyError])
async def test_a_bug_is_never_an_outage(error: type[Exception]) -> None:
    """W17."""
    limiter, store = faulty_limiter()
    store.fail("debit", error=error("a bug"))
    with pytest.raises(error):
        await begin(limiter, on_unavailable="allow").__aenter__()


async def test_a_settle_that_fails_neither_raises_nor_gives_back(clock: TurnableClock) -> None:
    """W15."""
    limiter, store = faulty_limiter(clock=clock)
    async with begin(limiter) as lease:
        await lease.adjust(rpm=2)
        store.fail("settle", error=ConnectionError("no route"))
    store.heal()
    assert await limiter.available("someone", "api", LIMITS) == {"rpm": 9}
    assert limiter.stats().settle_failed == 1


def gated(store: FaultyRepository, method: str) -> tuple[asyncio.Event, asyncio.Event]:
    reached, gate = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        reached.set()
        await gate.wait()

    store.before(method, wait)
    return reached, gate


@pytest.mark.parametrize("method", ["resolve", "debit", "settle"])
async def test_a_cancellation_at_any_wait_loses_and_mints_nothing(method: str) -> None:
    """W16."""
    limiter, store = faulty_limiter()
    reached, gate = gated(store, method)

    async def work() -> None:
        async with begin(limiter) as lease:
            await lease.adjust(rpm=2)

    task = asyncio.create_task(work())
    await reached.wait()
    task.cancel()
    await turns()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    await turns()
    store.heal()
    # What was settling is settled; what was only asked for is given back.
    expected = 7 if method == "settle" else 10
    assert await limiter.available("someone", "api", LIMITS) == {"rpm": expected}


async def test_a_settle_that_fails_after_its_caller_was_cancelled_is_counted(
    clock: TurnableClock, caplog: pytest.LogCaptureFixture
) -> None:
    limiter, store = faulty_limiter(clock=clock)
    reached, gate = gated(store, "settle")
    store.fail("settle")

    async def work() -> None:
        async with begin(limiter) as lease:
            await lease.adjust(rpm=2)

    task = asyncio.create_task(work())
    await reached.wait()
    task.cancel()
    await turns()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert limiter.stats().settle_failed == 1
    assert "settle lost for api: {'rpm': 2}" in caplog.text


async def test_a_store_that_is_slow_to_tell_what_to_do_without_it_is_asked_once_in_an_outage(
    clock: TurnableClock,
) -> None:
    limiter, store = faulty_limiter(clock=clock)
    asked = 0

    async def stored() -> OnUnavailableAction:
        nonlocal asked
        asked += 1
        clock.turn(1)
        return "allow"

    store.resolve_on_unavailable = stored  # type: ignore[attr-defined]
    for seconds, expected in ((0, 1), (1, 1), (60, 2)):
        clock.turn(seconds)
        store.fail("debit", times=1)
        async with begin(limiter) as lease:
            assert lease.degraded
        assert asked == expected
    async with begin(limiter) as lease:
        assert not lease.degraded
    store.fail("debit", times=1)
    async with begin(limiter):
        assert asked == 3


async def test_a_store_that_is_known_to_be_down_is_not_asked_for_limits_either(clock: TurnableClock) -> None:
    limiter, store = faulty_limiter(clock=clock)
    await limiter.set_system_defaults(LIMITS)
    store.fail("resolve", "debit")
    for number in range(8):
        with pytest.raises(RateLimiterUnavailable):
            await limiter.acquire(f"user-{number}", "api", 1).__aenter__()
    assert store.calls.count("resolve") == 5
    store.heal()
    clock.turn(1)
    # The probe reads the limits and charges by them.
    async with limiter.acquire("user-0", "api", 1):
        pass
    async with limiter.acquire("user-1", "api", 1):
        pass


@pytest.mark.parametrize("ends_with", [None, KeyError()])
async def test_a_further_charge_that_is_granted_after_the_end_is_given_back(ends_with: Exception | None) -> None:
    limiter, store = faulty_limiter()

    async def work() -> asyncio.Task[None]:
        async with begin(limiter) as lease:
            reached, gate = gated(store, "debit")
            further: asyncio.Task[None] = asyncio.create_task(lease.consume(rpm=3))
            await reached.wait()
            asyncio.get_running_loop().call_soon(gate.set)
            if ends_with is not None:
                found.append(further)
                raise ends_with
        return further

    found: list[asyncio.Task[None]] = []
    with contextlib.suppress(KeyError):
        found.append(await work())
    with pytest.raises(RuntimeError, match="has ended"):
        await found[0]
    store.heal()
    assert await limiter.available("someone", "api", LIMITS) == {"rpm": 9 if ends_with is None else 10}


async def test_a_store_that_never_answers_ends_with_the_deadline() -> None:
    limiter, store = faulty_limiter()
    _, gate = gated(store, "debit")
    with pytest.raises(RateLimiterUnavailable):
        await begin(limiter, timeout=0.02).__aenter__()
    gate.set()
    await turns()
    store.heal()
    assert await limiter.available("someone", "api", LIMITS) == {"rpm": 10}


async def test_a_store_that_is_known_to_be_down_is_not_asked_until_a_second_has_passed(clock: TurnableClock) -> None:
    """Decision 11."""
    limiter, store = faulty_limiter(clock=clock)
    store.fail("debit")
    for number in range(8):
        with pytest.raises(RateLimiterUnavailable):
            await limiter.acquire(f"user-{number}", "api", 1, LIMITS).__aenter__()
    assert store.calls.count("debit") == 5
    store.heal()
    clock.turn(1)
    async with begin(limiter):
        pass


class Asked:
    """A store that notes for how long it was asked whether it is there."""

    def __init__(self, kept: Any) -> None:
        self._kept = kept
        self.seconds: list[float | None] = []

    def debit(self, *args: Any, **kwargs: Any) -> Any:
        return self._kept.debit(*args, **kwargs)

    def ping(self, *, seconds: float | None = None) -> bool:
        self.seconds.append(seconds)
        return bool(self._kept.ping(seconds=seconds))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kept, name)


async def test_both_faces_ask_a_store_for_no_longer_than_they_were_told() -> None:
    """W38."""
    with SyncEmbeddedRepository() as kept:
        store: Any = Asked(kept)
        assert SyncRateLimiter(store).is_available(0.25)
        assert await RateLimiter(store).is_available(0.5)
        assert store.seconds == [0.25, 0.5]


async def test_a_store_that_is_not_there_in_time_is_not_available() -> None:
    """W38."""
    limiter, store = faulty_limiter()
    _, gate = gated(store, "ping")
    assert not await limiter.is_available(0.02)
    gate.set()
    assert await limiter.is_available(5)
    store.fail("ping", error=ConnectionError("no route"))
    assert not await limiter.is_available(5)


async def test_a_lease_is_settled_although_the_store_is_known_to_be_down(clock: TurnableClock) -> None:
    limiter, store = faulty_limiter(clock=clock)
    async with begin(limiter) as lease:
        await lease.adjust(rpm=2)
        store.fail("debit")
        for number in range(6):
            with pytest.raises(RateLimiterUnavailable):
                await limiter.acquire(f"user-{number}", "api", 1, LIMITS).__aenter__()
        assert store.calls.count("debit") == 6  # the last of them was not asked any more
    assert store.calls.count("settle") == 1
    assert await limiter.available("someone", "api", LIMITS) == {"rpm": 7}


async def test_a_refusal_does_not_count_as_a_failure() -> None:
    limiter, _ = faulty_limiter()
    async with limiter.acquire("someone", "api", 10, LIMITS):
        pass
    for _ in range(20):
        with pytest.raises(RateLimitExceeded):
            await begin(limiter, on_unavailable="allow").__aenter__()
