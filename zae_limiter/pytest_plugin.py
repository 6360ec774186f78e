"""The fixtures of `zae_limiter.testing` for pytest; loaded by its entry point."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from zae_limiter.limiter import RateLimiter
    from zae_limiter.sync_limiter import SyncRateLimiter
    from zae_limiter.testing import TurnableClock

# The checks for framework packages tell their assertions in full; the plugin is loaded before any of them.
pytest.register_assert_rewrite("zae_limiter_http.conformance")


@pytest.fixture
def zae_limiter_clock() -> "TurnableClock":
    """A clock that stands still until it is turned."""
    from zae_limiter.testing import TurnableClock  # loaded only by tests that ask for it

    return TurnableClock()


@pytest.fixture
def zae_limiter(zae_limiter_clock: "TurnableClock") -> "RateLimiter":
    """An async limiter in memory on the turnable clock."""
    from zae_limiter.testing import memory_limiter

    return memory_limiter(clock=zae_limiter_clock)


@pytest.fixture
def zae_limiter_sync(zae_limiter_clock: "TurnableClock") -> Iterator["SyncRateLimiter"]:
    """A blocking limiter in memory on the turnable clock."""
    from zae_limiter.testing import sync_memory_limiter

    with sync_memory_limiter(clock=zae_limiter_clock) as limiter:
        yield limiter
