"""SyncConfigCache: the blocking twin of ConfigCache; its fetchers are plain functions."""

from collections.abc import Callable, Mapping, Sequence

from zae_limiter.blocking import awaited, run
from zae_limiter.config_cache import ConfigCache, Slot, Value
from zae_limiter.models import CacheStats, ConfigSource, Limit, OnUnavailableAction
from zae_limiter.ports import Clock
from zae_limiter.runtimes import BlockingRuntime
from zae_limiter.system_clock import SystemClock


class SyncConfigCache:
    """What is remembered of the configuration, for `ttl_seconds`; 0 remembers nothing."""

    def __init__(self, ttl_seconds: int = 60, namespace_id: str = "default", *, clock: Clock | None = None) -> None:
        self._core = ConfigCache(ttl_seconds, namespace_id, clock=clock or SystemClock(), runtime=BlockingRuntime())

    @property
    def ttl_seconds(self) -> int:
        """How long something is remembered."""
        return self._core.ttl_seconds

    @property
    def namespace_id(self) -> str:
        """The namespace that is remembered."""
        return self._core.namespace_id

    @property
    def enabled(self) -> bool:
        """Whether anything is remembered."""
        return self._core.enabled

    def get_system_defaults(
        self, fetch_fn: Callable[[], tuple[list[Limit], OnUnavailableAction | None]]
    ) -> tuple[list[Limit], OnUnavailableAction | None]:
        """What is stored for the system, read with `fetch_fn` if it is not remembered."""
        return run(self._core.get_system_defaults(awaited(fetch_fn)))

    def get_resource_defaults(self, resource: str, fetch_fn: Callable[[str], list[Limit]]) -> list[Limit]:
        """What is stored for a resource; that nothing is stored is remembered too."""
        return run(self._core.get_resource_defaults(resource, awaited(fetch_fn)))

    def get_entity_limits(
        self, entity_id: str, resource: str, fetch_fn: Callable[[str, str], list[Limit]]
    ) -> list[Limit]:
        """What is stored for an entity and a resource; that nothing is stored is remembered too."""
        return run(self._core.get_entity_limits(entity_id, resource, awaited(fetch_fn)))

    def resolve_limits(
        self, entity_id: str, resource: str, batch_fetch_fn: Callable[[Sequence[Slot]], Mapping[Slot, Value]]
    ) -> tuple[list[Limit] | None, OnUnavailableAction | None, ConfigSource | None]:
        """The limits in force for one entity, or None where no level has any."""
        return run(self._core.resolve_limits(entity_id, resource, awaited(batch_fetch_fn)))

    def evict_entity(self, entity_id: str, resource: str) -> None:
        """Forget the limits of one entity for one resource."""
        self._core.evict_entity(entity_id, resource)

    def invalidate(self) -> None:
        """Forget all; the counters stay."""
        self._core.invalidate()

    def invalidate_async(self) -> None:
        """The same as `invalidate`."""
        self._core.invalidate()

    def get_stats(self) -> CacheStats:
        """How often slots were found and not found, how many there are, and their lifetime."""
        return self._core.get_stats()
