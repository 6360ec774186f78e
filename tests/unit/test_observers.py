"""Observers that raise although they must not: the charge that they are told of goes on."""

import logging
from typing import Any

import pytest

from zae_limiter.testing import faulty_limiter, memory_limiter

LIMITS = "2/minute"


class Raising:
    """An observer with a mistake in each call."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        def call(*_: object, **__: object) -> None:
            self.calls.append(name)
            raise KeyError(name)

        return call


async def test_what_an_observer_raises_takes_no_lease_away(caplog: pytest.LogCaptureFixture) -> None:
    observer = Raising()
    limiter = memory_limiter(observers=[observer])
    for _ in range(2):
        async with limiter.acquire("someone", "api", 1, LIMITS) as lease:
            await lease.adjust(rpm=-1)
    assert await limiter.available("someone", "api", LIMITS) == {"rpm": 2}
    assert observer.calls == ["store_called", "granted", "store_called"] * 2
    # Each kind of call is told once: a charge is too quick and too frequent for a line each.
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR] == [
        "the observer Raising failed in store_called",
        "the observer Raising failed in granted",
    ]


async def test_what_an_observer_raises_does_not_change_what_is_answered_without_a_store() -> None:
    observer = Raising()
    limiter, store = faulty_limiter(observers=[observer])
    store.fail("debit")
    async with limiter.acquire("someone", "api", 1, LIMITS, on_unavailable="allow") as lease:
        assert lease.degraded
    assert observer.calls == ["store_called", "degraded"]
