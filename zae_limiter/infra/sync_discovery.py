"""The blocking twin of `InfrastructureDiscovery`, one line a method."""

from __future__ import annotations

from typing import Any

from zae_limiter.blocking import blocking
from zae_limiter.infra.discovery import InfrastructureDiscovery
from zae_limiter.infra.watching import CALL_SECONDS
from zae_limiter.ports import Clock, Runtime
from zae_limiter.runtimes import BlockingRuntime


class SyncInfrastructureDiscovery:
    """The blocking twin of `InfrastructureDiscovery`."""

    def __init__(
        self,
        region: str | None = None,
        endpoint_url: str | None = None,
        *,
        session: Any = None,
        clock: Clock | None = None,
        runtime: Runtime | None = None,
        timeout: float = CALL_SECONDS,
    ) -> None:
        self._core = InfrastructureDiscovery(
            region,
            endpoint_url,
            session=session,
            clock=clock,
            runtime=runtime or BlockingRuntime(),
            timeout=timeout,
        )

    list_limiters = blocking(InfrastructureDiscovery.list_limiters)
    close = blocking(InfrastructureDiscovery.close)
