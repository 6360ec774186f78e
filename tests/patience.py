"""Runtimes for a clock that a test turns: its deadlines are by that clock alone, and a slow machine is never late."""

from collections.abc import Coroutine
from typing import Any, Final

from zae_limiter.testing import TurningBlockingRuntime, TurningRuntime

PATIENCE: Final = 20.0
"""Seconds for answers that take real time, and more of it on a machine that is busy or stands still for a while."""
_MINUTE: Final = 60.0


class PatientRuntime(TurningRuntime):
    """Gives each wait a minute more than it was told."""

    async def within(self, seconds: float, step: Coroutine[Any, Any, Any]) -> Any:
        return await super().within(seconds + _MINUTE, step)

    async def combined(self, key: Any, member: Any, write: Any, *, seconds: float, **options: Any) -> Any:
        return await super().combined(key, member, write, seconds=seconds + _MINUTE, **options)


class PatientBlockingRuntime(TurningBlockingRuntime):
    """The blocking twin of `PatientRuntime`."""

    async def combined(self, key: Any, member: Any, write: Any, *, seconds: float, **options: Any) -> Any:
        return await super().combined(key, member, write, seconds=seconds + _MINUTE, **options)
