"""SyncRepository: the blocking twin of Repository, one line a method."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from zae_limiter.blocking import blocking, run
from zae_limiter.models import BackendCapabilities, CacheStats, OnUnavailableAction, Resolution
from zae_limiter.repository import Repository
from zae_limiter.runtimes import BlockingRuntime

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from zae_limiter.ports import Clock, Runtime
    from zae_limiter.repository_builder import SyncRepositoryBuilder


class SyncRepository:
    """The blocking twin of `Repository`.

    What can go together does so in the threads of `executor`, in turn without one; it stays the caller's to shut down.
    """

    def __init__(
        self,
        name: str | None = None,
        region: str | None = None,
        *,
        endpoint_url: str | None = None,
        namespace: str | None = None,
        config_cache_ttl: int = 60,
        timeout: float = 1.0,
        connect_timeout: float | None = None,
        read_timeout: float | None = None,
        connections: int = 64,
        bucket_ttl_multiplier: int = 1,
        session: Any = None,
        client: Any = None,
        executor: Executor | None = None,
        clock: Clock | None = None,
        runtime: Runtime | None = None,
    ) -> None:
        self._core = Repository(
            name,
            region,
            endpoint_url=endpoint_url,
            namespace=namespace,
            config_cache_ttl=config_cache_ttl,
            timeout=timeout,
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            connections=connections,
            bucket_ttl_multiplier=bucket_ttl_multiplier,
            session=session,
            client=client,
            clock=clock,
            runtime=runtime or BlockingRuntime(executor),
        )

    @classmethod
    def connect(
        cls,
        name: str | None = None,
        region: str | None = None,
        *,
        endpoint_url: str | None = None,
        namespace: str | None = None,
        config_cache_ttl: int = 60,
        **options: Any,
    ) -> Self:
        """A repository over a table that must be there, open; see `Repository.connect`."""
        made = cls(
            name,
            region,
            endpoint_url=endpoint_url,
            namespace=namespace,
            config_cache_ttl=config_cache_ttl,
            **options,
        )
        try:
            return made.open()
        except BaseException:
            made.close()
            raise

    @staticmethod
    def builder(
        name: str | None = None, region: str | None = None, *, endpoint_url: str | None = None
    ) -> SyncRepositoryBuilder:
        """A repository step by step; `builder.build()` opens it."""
        from zae_limiter.repository_builder import SyncRepositoryBuilder

        return SyncRepositoryBuilder(name, region, endpoint_url=endpoint_url)

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def open(self) -> Self:
        """Reach the table and check it; see `Repository.open`."""
        run(self._core.open())
        return self

    def namespace(
        self,
        name: str,
        *,
        on_unavailable: OnUnavailableAction | None = None,
        bucket_ttl_multiplier: int | None = None,
    ) -> Self:
        """This repository for another namespace, over the same connection; see `Repository.namespace`."""
        copy = type(self).__new__(type(self))
        copy._core = run(
            self._core.namespace(name, on_unavailable=on_unavailable, bucket_ttl_multiplier=bucket_ttl_multiplier)
        )
        return copy

    @property
    def table_name(self) -> str:
        """The name of the table."""
        return self._core.table_name

    @property
    def stack_name(self) -> str:
        """The name of the table, which is that of its stack."""
        return self._core.stack_name

    @property
    def region(self) -> str | None:
        """The AWS region that was asked for; None: where AWS clients look."""
        return self._core.region

    @property
    def endpoint_url(self) -> str | None:
        """Where DynamoDB answers; None: at AWS, or where AWS clients are told to look."""
        return self._core.endpoint_url

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
        """Whether the table was reached and checked."""
        return self._core.is_open

    @property
    def namespace_name(self) -> str:
        """The name of the namespace that every call works on."""
        return self._core.namespace_name

    @property
    def namespace_id(self) -> str:
        """The id of the namespace, once it was looked up."""
        return self._core.namespace_id

    def remembered(self, entity_id: str, resource: str) -> Resolution | None:
        """The limits in force as far as they are remembered, without asking the store; None when it has to be asked."""
        return self._core.remembered(entity_id, resource)

    def get_cache_stats(self) -> CacheStats:
        """How the configuration cache did."""
        return self._core.get_cache_stats()

    debit = blocking(Repository.debit)
    settle = blocking(Repository.settle)
    close = blocking(Repository.close)
    ping = blocking(Repository.ping)
    resolve = blocking(Repository.resolve)
    read = blocking(Repository.read)
    resolve_limits = blocking(Repository.resolve_limits)
    resolve_on_unavailable = blocking(Repository.resolve_on_unavailable)
    invalidate_config_cache = blocking(Repository.invalidate_config_cache)
    get_bucket = blocking(Repository.get_bucket)
    get_buckets = blocking(Repository.get_buckets)
    batch_get_buckets = blocking(Repository.batch_get_buckets)
    batch_get_entity_and_buckets = blocking(Repository.batch_get_entity_and_buckets)
    get_or_create_bucket = blocking(Repository.get_or_create_bucket)
    get_resource_buckets = blocking(Repository.get_resource_buckets)
    reset_buckets = blocking(Repository.reset_buckets)
    create_entity = blocking(Repository.create_entity)
    update_entity = blocking(Repository.update_entity)
    get_entity = blocking(Repository.get_entity)
    delete_entity = blocking(Repository.delete_entity)
    get_children = blocking(Repository.get_children)
    set_limits = blocking(Repository.set_limits)
    get_limits = blocking(Repository.get_limits)
    delete_limits = blocking(Repository.delete_limits)
    list_entities_with_custom_limits = blocking(Repository.list_entities_with_custom_limits)
    list_resources_with_entity_configs = blocking(Repository.list_resources_with_entity_configs)
    set_resource_defaults = blocking(Repository.set_resource_defaults)
    get_resource_defaults = blocking(Repository.get_resource_defaults)
    delete_resource_defaults = blocking(Repository.delete_resource_defaults)
    list_resources_with_defaults = blocking(Repository.list_resources_with_defaults)
    set_system_defaults = blocking(Repository.set_system_defaults)
    get_system_defaults = blocking(Repository.get_system_defaults)
    get_system_limits = blocking(Repository.get_system_limits)
    batch_get_configs = blocking(Repository.batch_get_configs)
    delete_system_defaults = blocking(Repository.delete_system_defaults)
    get_audit_events = blocking(Repository.get_audit_events)
    set_audit_retention = blocking(Repository.set_audit_retention)
    get_audit_retention = blocking(Repository.get_audit_retention)
    get_usage_snapshots = blocking(Repository.get_usage_snapshots)
    get_usage_summary = blocking(Repository.get_usage_summary)
    register_namespace = blocking(Repository.register_namespace)
    register_namespaces = blocking(Repository.register_namespaces)
    get_namespace = blocking(Repository.get_namespace)
    list_namespaces = blocking(Repository.list_namespaces)
    delete_namespace = blocking(Repository.delete_namespace)
    recover_namespace = blocking(Repository.recover_namespace)
    list_orphan_namespaces = blocking(Repository.list_orphan_namespaces)
    purge_namespace = blocking(Repository.purge_namespace)
    get_version_record = blocking(Repository.get_version_record)
    set_version_record = blocking(Repository.set_version_record)
    record_aggregator = blocking(Repository.record_aggregator)
    migrate = blocking(Repository.migrate)
    prepare_table = blocking(Repository.prepare_table)
    create_table = blocking(Repository.create_table)
    describe_table = blocking(Repository.describe_table)
    delete_table = blocking(Repository.delete_table)
    create_stack = blocking(Repository.create_stack)
    delete_stack = blocking(Repository.delete_stack)
