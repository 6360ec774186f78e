"""Conformance: all checks, to be held against one driver."""

from collections.abc import Iterator, Mapping
from typing import ClassVar

import pytest

from zae_limiter_http.conformance.applies import LETTERS, applies, checks_of
from zae_limiter_http.conformance.charging import Charging
from zae_limiter_http.conformance.configuration import Configuration
from zae_limiter_http.conformance.connections import Connections
from zae_limiter_http.conformance.fields import Fields
from zae_limiter_http.conformance.identity import Identity
from zae_limiter_http.conformance.methods import Methods
from zae_limiter_http.conformance.refusals import Refusals
from zae_limiter_http.conformance.routing import Routing
from zae_limiter_http.conformance.site import Driver
from zae_limiter_http.conformance.world import World


class Conformance(Refusals, Fields, Methods, Charging, Identity, Routing, Connections, Configuration):
    """Subclass it as `TestMyFramework` with a `driver`; pytest collects the checks that apply to it.

    `exceptions` says which checks the framework cannot keep, and why: `{"C85": "there is no such handler"}`.
    """

    driver: ClassVar[type[Driver]]
    exceptions: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls) -> None:
        """Leave out what does not apply, so that nothing is skipped when the checks run."""
        super().__init_subclass__()
        letter = cls.driver.letter
        if letter not in LETTERS:
            raise ValueError(f"{cls.__name__}: a driver's letter is one of {', '.join(LETTERS)}, got {letter!r}")
        found = dict(checks_of(cls))
        unknown = set(cls.exceptions) - set(found.values())
        if unknown:
            raise ValueError(f"{cls.__name__}: no such checks as {', '.join(sorted(unknown))} in exceptions")
        for name, number in found.items():
            if number in cls.exceptions or not applies(cls, name, letter):
                setattr(cls, name, None)

    @pytest.fixture
    def world(self) -> Iterator[World]:
        """A fresh world for each check."""
        world = World(self.driver())
        yield world
        world.close()
