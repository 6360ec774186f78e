"""A scripted CloudFormation, and managers of both faces whose waits turn a clock."""

import asyncio
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.dynamodb.local_server import ENVIRONMENT
from tests.infra.cloudformation import Endpoint, served
from tests.infra.functions import Functions
from tests.infra.functions import served as served_functions
from zae_limiter.infra.stack_manager import StackManager
from zae_limiter.infra.stacks import StackEvent
from zae_limiter.infra.sync_stack_manager import SyncStackManager
from zae_limiter.runtimes import AsyncRuntime, BlockingRuntime
from zae_limiter.testing import TurnableClock


class TurningAsync(AsyncRuntime):
    """Sleeps by turning the clock."""

    def __init__(self, clock: TurnableClock) -> None:
        super().__init__()
        self._clock = clock

    async def sleep(self, seconds: float) -> None:
        self._clock.turn(seconds)


class TurningBlocking(BlockingRuntime):
    """Sleeps by turning the clock."""

    def __init__(self, clock: TurnableClock) -> None:
        super().__init__()
        self._clock = clock

    async def sleep(self, seconds: float) -> None:
        self._clock.turn(seconds)


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with served() as made:
        yield made


@pytest.fixture
def functions() -> Iterator[Functions]:
    with served_functions() as made:
        yield made


class Managed:
    """A manager of either face, called in the same way; the events that it told."""

    def __init__(self, is_sync: bool, url: str, clock: TurnableClock, name: str = "limits") -> None:
        self.told: list[StackEvent] = []
        self._is_sync = is_sync
        self._runner = None if is_sync else asyncio.Runner()
        self.manager: Any
        if is_sync:
            runtime: Any = TurningBlocking(clock)
            self.manager = SyncStackManager(
                name, "eu-central-1", url, told=self.told.append, clock=clock, runtime=runtime
            )
        else:
            runtime = TurningAsync(clock)
            self.manager = StackManager(name, "eu-central-1", url, told=self.told.append, clock=clock, runtime=runtime)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.manager, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            value = method(*args, **kwargs)
            if not inspect.isawaitable(value):
                return value
            assert self._runner is not None
            return self._runner.run(value)  # type: ignore[arg-type]

        return call

    def end(self) -> None:
        self.close()
        if self._runner is not None:
            self._runner.close()


@pytest.fixture(params=["async", "sync"])
def manager(request: pytest.FixtureRequest, endpoint: Endpoint, clock: TurnableClock) -> Iterator[Managed]:
    made = Managed(request.param == "sync", endpoint.url, clock)
    yield made
    made.end()
