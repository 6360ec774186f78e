"""What every test may ask for: one event loop back end, a clock that a test turns, Hypothesis without deadlines."""

import pytest
from hypothesis import settings

from zae_limiter.testing import TurnableClock

settings.register_profile("project", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("project")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> TurnableClock:
    return TurnableClock()
