"""SyncEmbeddedRepository: the blocking twin of EmbeddedRepository, one line a method."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

from zae_limiter.blocking import blocking, run
from zae_limiter.embedded.repository import EmbeddedRepository
from zae_limiter.models import BackendCapabilities, CacheStats, Resolution
from zae_limiter.naming import DEFAULT_NAMESPACE
from zae_limiter.runtimes import BlockingRuntime

if TYPE_CHECKING:
    from zae_limiter.ports import Clock, Runtime


class SyncEmbeddedRepository:
    """The blocking twin of `EmbeddedRepository`."""

    def __init__(
        self,
        path: str = ":memory:",
        *,
        namespace: str = DEFAULT_NAMESPACE,
        config_cache_ttl: int = 60,
        bucket_ttl_multiplier: int = 1,
        durable: bool = False,
        timeout: float = 1.0,
        clock: Clock | None = None,
        runtime: Runtime | None = None,
    ) -> None:
        self._core = EmbeddedRepository(
            path,
            namespace=namespace,
            config_cache_ttl=config_cache_ttl,
            bucket_ttl_multiplier=bucket_ttl_multiplier,
            durable=durable,
            timeout=timeout,
            clock=clock,
            runtime=runtime or BlockingRuntime(),
        )

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        run(self._core.close())

    def open(self) -> Self:
        """Reach the file and check it; see `EmbeddedRepository.open`."""
        run(self._core.open())
        return self

    def namespace(self, name: str) -> Self:
        """This repository for another namespace, over the same connection; `NamespaceNotFoundError`."""
        copy = type(self).__new__(type(self))
        copy._core = run(self._core.namespace(name))
        return copy

    @property
    def address(self) -> str:
        """The address that `open_sync_limiter` takes for this store."""
        return self._core.address

    @property
    def capabilities(self) -> BackendCapabilities:
        """What this repository can do."""
        return self._core.capabilities

    @property
    def is_open(self) -> bool:
        """Whether the file was reached and checked by this process."""
        return self._core.is_open

    @property
    def namespace_name(self) -> str:
        """The name of the namespace that every call works on."""
        return self._core.namespace_name

    @property
    def namespace_id(self) -> str:
        """The id of the namespace, once it was looked up."""
        return self._core.namespace_id

    def get_cache_stats(self) -> CacheStats:
        """How the configuration cache did."""
        return self._core.get_cache_stats()

    def remembered(self, entity_id: str, resource: str) -> Resolution | None:
        """The limits in force as far as they are remembered, without asking the store; None when it has to be asked."""
        return self._core.remembered(entity_id, resource)

    debit = blocking(EmbeddedRepository.debit)
    settle = blocking(EmbeddedRepository.settle)
    read = blocking(EmbeddedRepository.read)
    resolve = blocking(EmbeddedRepository.resolve)
    close = blocking(EmbeddedRepository.close)
    ping = blocking(EmbeddedRepository.ping)
    resolve_limits = blocking(EmbeddedRepository.resolve_limits)
    resolve_on_unavailable = blocking(EmbeddedRepository.resolve_on_unavailable)
    invalidate_config_cache = blocking(EmbeddedRepository.invalidate_config_cache)
    get_buckets = blocking(EmbeddedRepository.get_buckets)
    get_resource_buckets = blocking(EmbeddedRepository.get_resource_buckets)
    reset_buckets = blocking(EmbeddedRepository.reset_buckets)
    create_entity = blocking(EmbeddedRepository.create_entity)
    update_entity = blocking(EmbeddedRepository.update_entity)
    get_entity = blocking(EmbeddedRepository.get_entity)
    delete_entity = blocking(EmbeddedRepository.delete_entity)
    get_children = blocking(EmbeddedRepository.get_children)
    set_limits = blocking(EmbeddedRepository.set_limits)
    get_limits = blocking(EmbeddedRepository.get_limits)
    delete_limits = blocking(EmbeddedRepository.delete_limits)
    list_entities_with_custom_limits = blocking(EmbeddedRepository.list_entities_with_custom_limits)
    list_resources_with_entity_configs = blocking(EmbeddedRepository.list_resources_with_entity_configs)
    set_resource_defaults = blocking(EmbeddedRepository.set_resource_defaults)
    get_resource_defaults = blocking(EmbeddedRepository.get_resource_defaults)
    delete_resource_defaults = blocking(EmbeddedRepository.delete_resource_defaults)
    list_resources_with_defaults = blocking(EmbeddedRepository.list_resources_with_defaults)
    set_system_defaults = blocking(EmbeddedRepository.set_system_defaults)
    get_system_defaults = blocking(EmbeddedRepository.get_system_defaults)
    delete_system_defaults = blocking(EmbeddedRepository.delete_system_defaults)
    get_audit_events = blocking(EmbeddedRepository.get_audit_events)
    get_usage_snapshots = blocking(EmbeddedRepository.get_usage_snapshots)
    get_usage_summary = blocking(EmbeddedRepository.get_usage_summary)
    register_namespace = blocking(EmbeddedRepository.register_namespace)
    register_namespaces = blocking(EmbeddedRepository.register_namespaces)
    get_namespace = blocking(EmbeddedRepository.get_namespace)
    list_namespaces = blocking(EmbeddedRepository.list_namespaces)
    delete_namespace = blocking(EmbeddedRepository.delete_namespace)
    recover_namespace = blocking(EmbeddedRepository.recover_namespace)
    list_orphan_namespaces = blocking(EmbeddedRepository.list_orphan_namespaces)
    purge_namespace = blocking(EmbeddedRepository.purge_namespace)
    set_audit_retention = blocking(EmbeddedRepository.set_audit_retention)
    get_audit_retention = blocking(EmbeddedRepository.get_audit_retention)
    set_usage_retention = blocking(EmbeddedRepository.set_usage_retention)
    get_usage_retention = blocking(EmbeddedRepository.get_usage_retention)
