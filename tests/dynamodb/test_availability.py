"""Whether a store answers is told in time, also by a store that takes a connection and then says nothing."""

import socket
import time
from collections.abc import Iterator

import pytest

from zae_limiter import RateLimiter, Repository, SyncRateLimiter, SyncRepository, ValidationError

PATIENCE = 60.0
"""What a call may take by itself, in seconds; far more than is asked for here."""


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An address where connections are taken and never answered."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    with socket.create_server(("127.0.0.1", 0)) as place:
        yield f"http://127.0.0.1:{place.getsockname()[1]}"


def test_a_store_that_says_nothing_is_not_available_and_does_not_block(silent: str) -> None:
    """Weak point W38: the blocking call took as long as its client may, whatever was asked for."""
    limiter = SyncRateLimiter(SyncRepository("limits", "eu-central-1", endpoint_url=silent, timeout=PATIENCE))
    began = time.monotonic()

    assert not limiter.is_available(timeout=0.2)
    assert time.monotonic() - began < PATIENCE / 4
    with pytest.raises(ValidationError, match="timeout: "):
        limiter.is_available(timeout=-1)


async def test_the_same_on_an_event_loop(silent: str) -> None:
    repository = Repository("limits", "eu-central-1", endpoint_url=silent, timeout=PATIENCE)
    began = time.monotonic()

    assert not await RateLimiter(repository).is_available(timeout=0.2)
    assert time.monotonic() - began < PATIENCE / 4
    await repository.close()
