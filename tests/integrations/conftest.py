"""A world of each driver, in which a test serves requests. Django wants its settings before a model is imported."""

from collections.abc import Iterator

import pytest

import tests.integrations.django.project  # noqa: F401 - it makes them
from tests.integrations.drivers.every import DRIVERS
from zae_limiter_http.conformance import World


@pytest.fixture(params=list(DRIVERS))
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    world = World(DRIVERS[request.param]())
    yield world
    world.close()
