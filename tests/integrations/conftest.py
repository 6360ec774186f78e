"""A world for each framework."""

import pytest

from tests.integrations.drivers import DRIVERS, World


@pytest.fixture(params=list(DRIVERS))
def world(request: pytest.FixtureRequest) -> World:
    return World(DRIVERS[request.param])
