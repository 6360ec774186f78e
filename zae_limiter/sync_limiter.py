"""SyncRateLimiter: the blocking twin of RateLimiter, one line a method."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from zae_limiter.acquisition import OnException, nanoseconds
from zae_limiter.blocking import blocking, core_of, in_time, run
from zae_limiter.limited import F, limited
from zae_limiter.limiter import RateLimiter
from zae_limiter.models import Amounts, Charge, Limits, OnUnavailable, OnUnavailableAction
from zae_limiter.observers import LimiterStats, Observer
from zae_limiter.runtimes import BlockingRuntime
from zae_limiter.sync_lease import SyncAcquisition

if TYPE_CHECKING:
    from zae_limiter.ports import Clock, Runtime
    from zae_limiter.sync_repository_protocol import SyncRepositoryProtocol


class SyncRateLimiter:
    """The blocking twin of `RateLimiter`, over a blocking repository; `TypeError` for one that is awaited."""

    def __init__(
        self,
        repository: SyncRepositoryProtocol,
        *,
        clock: Clock | None = None,
        runtime: Runtime | None = None,
        timeout: float = 1.0,
        observers: Sequence[Observer] = (),
    ) -> None:
        self.repository = repository
        self._core = RateLimiter(
            core_of(repository),
            clock=clock,
            runtime=runtime or BlockingRuntime(),
            timeout=timeout,
            observers=observers,
        )
        self.clock = self._core.clock

    def __enter__(self) -> Self:
        run(self._core.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        run(self._core.__aexit__(kind, error, traceback))

    def namespace(self, name: str) -> Self:
        """This limiter for another namespace, over the same connection; see `RateLimiter.namespace`."""
        core = self._core
        return type(self)(
            self.repository.namespace(name),
            clock=core.clock,
            runtime=core._runtime,
            timeout=core._timeout,
            observers=core._observers,
        )

    def is_available(self, timeout: float = 1.0) -> bool:
        """Whether the store answers within so many seconds; never raises for a store."""
        nanoseconds("timeout", timeout)
        try:
            return in_time(timeout, lambda: run(self._core.is_available(timeout)))
        except TimeoutError:
            return False

    def stats(self) -> LimiterStats:
        """How often charges were granted, refused, let pass without a store, and so on."""
        return self._core.stats()

    def acquire(
        self,
        entity_id: str,
        resource: str,
        consume: int | Amounts,
        limits: Limits | None = None,
        *,
        on_unavailable: OnUnavailable | OnUnavailableAction | None = None,
        timeout: float | None = None,
        max_wait: float = 0,
        on_exception: OnException = "roll_back",
    ) -> SyncAcquisition:
        """Charge an entity for a resource; see `RateLimiter.acquire`. Use it as `with ... as lease`."""
        return SyncAcquisition(
            self._core.acquire(
                entity_id,
                resource,
                consume,
                limits,
                on_unavailable=on_unavailable,
                timeout=timeout,
                max_wait=max_wait,
                on_exception=on_exception,
            )
        )

    def acquire_all(
        self,
        charges: Sequence[Charge],
        *,
        on_unavailable: OnUnavailable | OnUnavailableAction | None = None,
        timeout: float | None = None,
        max_wait: float = 0,
        on_exception: OnException = "roll_back",
    ) -> SyncAcquisition:
        """Several charges, all or none, under one lease; see `RateLimiter.acquire_all`."""
        return SyncAcquisition(
            self._core.acquire_all(
                charges,
                on_unavailable=on_unavailable,
                timeout=timeout,
                max_wait=max_wait,
                on_exception=on_exception,
            )
        )

    def limited(
        self,
        *,
        entity_id: str | Callable[..., str],
        resource: str | Callable[..., str],
        consume: int | Amounts | Callable[..., int | Amounts] = 1,
        limits: Limits | None = None,
        max_wait: float = 0,
        on_unavailable: OnUnavailable | OnUnavailableAction | None = None,
    ) -> Callable[[F], F]:
        """A decorator: each call of a function is charged; see `RateLimiter.limited`."""
        begin = functools.partial(self.acquire, limits=limits, max_wait=max_wait, on_unavailable=on_unavailable)
        return limited(begin, entity_id=entity_id, resource=resource, consume=consume, waits=False)

    close = blocking(RateLimiter.close)
    available = blocking(RateLimiter.available)
    time_until_available = blocking(RateLimiter.time_until_available)
    reset = blocking(RateLimiter.reset)
    get_resource_capacity = blocking(RateLimiter.get_resource_capacity)
    create_entity = blocking(RateLimiter.create_entity)
    update_entity = blocking(RateLimiter.update_entity)
    get_entity = blocking(RateLimiter.get_entity)
    delete_entity = blocking(RateLimiter.delete_entity)
    get_children = blocking(RateLimiter.get_children)
    get_audit_events = blocking(RateLimiter.get_audit_events)
    get_usage_snapshots = blocking(RateLimiter.get_usage_snapshots)
    get_usage_summary = blocking(RateLimiter.get_usage_summary)
    set_limits = blocking(RateLimiter.set_limits)
    get_limits = blocking(RateLimiter.get_limits)
    delete_limits = blocking(RateLimiter.delete_limits)
    list_entities_with_custom_limits = blocking(RateLimiter.list_entities_with_custom_limits)
    list_resources_with_entity_configs = blocking(RateLimiter.list_resources_with_entity_configs)
    set_resource_defaults = blocking(RateLimiter.set_resource_defaults)
    get_resource_defaults = blocking(RateLimiter.get_resource_defaults)
    delete_resource_defaults = blocking(RateLimiter.delete_resource_defaults)
    list_resources_with_defaults = blocking(RateLimiter.list_resources_with_defaults)
    set_system_defaults = blocking(RateLimiter.set_system_defaults)
    get_system_defaults = blocking(RateLimiter.get_system_defaults)
    delete_system_defaults = blocking(RateLimiter.delete_system_defaults)
