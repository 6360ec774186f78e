"""Repository: the chapters joined, over one DynamoDB table; opened and closed, in one namespace."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import quote, urlencode

from zae_limiter import environment
from zae_limiter.aws import AsyncClient, BlockingClient, Connection
from zae_limiter.bucket import MOST_FILLS
from zae_limiter.config_cache import ConfigCache, Slot, Value
from zae_limiter.dynamodb.audit import Audit
from zae_limiter.dynamodb.deletion import Deletion
from zae_limiter.dynamodb.entities import Entities
from zae_limiter.dynamodb.lifecycle import Lifecycle
from zae_limiter.dynamodb.limits import StoredLimits
from zae_limiter.dynamodb.place import Place
from zae_limiter.dynamodb.states import BucketStates
from zae_limiter.dynamodb.table import Table
from zae_limiter.dynamodb.table_clock import TableClock
from zae_limiter.dynamodb.usage import Usage
from zae_limiter.exceptions import ValidationError, ZAELimiterError
from zae_limiter.infra.stack_manager import StackManager
from zae_limiter.infra.tags import newer_reason
from zae_limiter.models import (
    BackendCapabilities,
    CacheStats,
    ConfigSource,
    Limit,
    OnUnavailableAction,
    Resolution,
    StackOptions,
)
from zae_limiter.naming import DEFAULT_NAMESPACE, check_identifier, check_namespace, check_resource
from zae_limiter.runtimes import AsyncRuntime
from zae_limiter.schema import version_key
from zae_limiter.system_clock import SystemClock

if TYPE_CHECKING:
    from zae_limiter.ports import Clock, Runtime
    from zae_limiter.repository_builder import RepositoryBuilder

_NAME: Final = re.compile(r"[a-zA-Z0-9_.\-]{3,255}")


class Repository(BucketStates, Entities, StoredLimits, Audit, Usage, Lifecycle):
    """Keeps one namespace in a DynamoDB table that any number of processes share.

    Nothing is reached until `open()`, `async with`, `connect()`, or the first call. What is not given comes from
    the environment: `ZAE_LIMITER_NAME`, `_REGION`, `_ENDPOINT_URL`, `_NAMESPACE`, then from where AWS clients look.

    `config_cache_ttl` is in seconds: for so long another process may go on with limits that were changed here.
    `timeout` is the deadline of a call with all its tries, in seconds; `connect_timeout` and `read_timeout` of one
    try derive from it. `connections` is the size of the pool. `session` or `client` are the caller's own, of
    aioboto3 here and of boto3 in the blocking twin. Bucket records expire a day after the time in which they fill,
    times `bucket_ttl_multiplier`; with 0 never. Raises `ValidationError` for what cannot be.
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
        clock: Clock | None = None,
        runtime: Runtime | None = None,
    ) -> None:
        self._region = region or environment.read("ZAE_LIMITER_REGION")
        self._endpoint_url = endpoint_url or environment.read("ZAE_LIMITER_ENDPOINT_URL")
        table_name = _checked_name(name or environment.read("ZAE_LIMITER_NAME"))
        chosen = check_namespace(namespace or environment.read("ZAE_LIMITER_NAMESPACE") or DEFAULT_NAMESPACE)
        if type(config_cache_ttl) is not int or config_cache_ttl < 0:
            raise ValidationError("config_cache_ttl", str(config_cache_ttl), "must be 0 or more whole seconds")
        _check_multiplier(bucket_ttl_multiplier)
        self._clock = clock or SystemClock()
        self._runtime = runtime or AsyncRuntime()
        at = Connection(
            self._region, self._endpoint_url, timeout, connect_timeout, read_timeout, connections, session, client
        )
        kind = BlockingClient if self._runtime.is_blocking else AsyncClient
        # A clock that was handed in is taken at its word; the machine's own follows the table.
        self._table_clock = TableClock() if clock is None else None
        heard = None if self._table_clock is None else self._table_clock.heard
        self._client = kind("dynamodb", table_name, at, clock=self._clock, runtime=self._runtime, heard=heard)
        table = Table(self._client, table_name, clock=self._clock, runtime=self._runtime, timeout=timeout)
        self._session = session
        self._owns = True
        self._enter(table, chosen, config_cache_ttl, bucket_ttl_multiplier)

    def _enter(self, table: Table, namespace: str, config_cache_ttl: int, bucket_ttl_multiplier: int) -> None:
        self._table = table
        self._cache = ConfigCache(config_cache_ttl, namespace, clock=self._clock, runtime=self._runtime)
        self._place = Place(table, self._cache, namespace)
        self._deletion = Deletion(self._place, self._forget_buckets)
        self._bucket_ttl_multiplier = bucket_ttl_multiplier
        Lifecycle.__init__(self, table)
        BucketStates.__init__(
            self,
            self._client,
            table.name,
            self._place.id,
            clock=self._clock,
            runtime=self._runtime,
            renew=self._place.renew,
            known_namespace=self._place.known_id,
            last_namespace=self._place.last_id,
            ttl_multiplier=bucket_ttl_multiplier,
            table_clock=self._table_clock,
        )

    @classmethod
    async def connect(
        cls,
        name: str | None = None,
        region: str | None = None,
        *,
        endpoint_url: str | None = None,
        namespace: str | None = None,
        config_cache_ttl: int = 60,
        **options: Any,
    ) -> Self:
        """A repository over a table that must be there, open; the options are those of the constructor.

        Raises `InfrastructureNotFoundError`, `InfrastructureAccessError`, `IncompatibleSchemaError` or
        `NamespaceNotFoundError` at once.
        """
        made = cls(
            name,
            region,
            endpoint_url=endpoint_url,
            namespace=namespace,
            config_cache_ttl=config_cache_ttl,
            **options,
        )
        try:
            return await made.open()
        except BaseException:
            await made.close()
            raise

    @staticmethod
    def builder(
        name: str | None = None, region: str | None = None, *, endpoint_url: str | None = None
    ) -> RepositoryBuilder:
        """A repository step by step; `await builder.build()` opens it."""
        from zae_limiter.repository_builder import RepositoryBuilder

        return RepositoryBuilder(name, region, endpoint_url=endpoint_url)

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def table_name(self) -> str:
        """The name of the table."""
        return self._table.name

    @property
    def stack_name(self) -> str:
        """The name of the table, which is that of its stack."""
        return self._table.name

    @property
    def region(self) -> str | None:
        """The AWS region that was asked for; None: where AWS clients look."""
        return self._region

    @property
    def endpoint_url(self) -> str | None:
        """Where DynamoDB answers; None: at AWS, or where AWS clients are told to look."""
        return self._endpoint_url

    @property
    def address(self) -> str:
        """The address that `open_limiter` takes for this store."""
        named = {"region": self.region, "namespace": self.namespace_name, "endpoint_url": self.endpoint_url}
        if self.namespace_name == DEFAULT_NAMESPACE:
            del named["namespace"]
        query = urlencode({key: value for key, value in named.items() if value is not None}, quote_via=quote, safe=":/")
        return f"dynamodb://{self.table_name}{'?' if query else ''}{query}"

    @property
    def capabilities(self) -> BackendCapabilities:
        """What this repository can do."""
        return BackendCapabilities(
            supports_audit_logging=True,
            supports_usage_snapshots=True,
            supports_infrastructure_management=True,
            supports_change_streams=True,
            supports_batch_operations=True,
            guards_debits=True,
        )

    @property
    def is_open(self) -> bool:
        """Whether the table was reached and checked."""
        return bool(self._place.namespace_id)

    @property
    def namespace_name(self) -> str:
        """The name of the namespace that every call works on."""
        return self._place.namespace_name

    @property
    def namespace_id(self) -> str:
        """The id of the namespace, once it was looked up."""
        return self._place.namespace_id

    async def open(self) -> Self:
        """Reach the table and check it, its schema and the namespace.

        Raises `InfrastructureNotFoundError`, `InfrastructureAccessError`, `IncompatibleSchemaError` or
        `NamespaceNotFoundError`.
        """
        if not self.is_open:
            await self._place.find()
        return self

    async def close(self) -> None:
        """Close the client; a scoped copy leaves it to the repository it came from. The next call opens it again."""
        if self._owns:
            self._place.leave()
            await self._client.close()

    async def ping(self, *, seconds: float | None = None) -> bool:
        """Whether the table answers, within so many seconds if they are given; never raises."""
        deadline_ns = None if seconds is None else self._clock.monotonic_ns() + int(seconds * 1e9)
        try:
            await self._table.get(version_key(), deadline_ns=deadline_ns)
        except (ZAELimiterError, OSError, RuntimeError):
            return False
        return True

    async def namespace(
        self,
        name: str,
        *,
        on_unavailable: OnUnavailableAction | None = None,
        bucket_ttl_multiplier: int | None = None,
    ) -> Self:
        """This repository for another namespace, over the same connection; `NamespaceNotFoundError`.

        `on_unavailable` is stored in that namespace, beside the limits of last resort that it has.
        """
        check_namespace(name)
        if bucket_ttl_multiplier is not None:
            _check_multiplier(bucket_ttl_multiplier)
        if on_unavailable not in (None, "allow", "block"):
            raise ValidationError("on_unavailable", str(on_unavailable), "must be 'allow' or 'block'")
        copy = type(self).__new__(type(self))
        for given in ("_region", "_endpoint_url", "_session", "_clock", "_runtime", "_client", "_table_clock"):
            setattr(copy, given, getattr(self, given))
        copy._owns = False
        multiplier = self._bucket_ttl_multiplier if bucket_ttl_multiplier is None else bucket_ttl_multiplier
        copy._enter(self._table, name, self._cache.ttl_seconds, multiplier)
        await copy._place.find()
        if on_unavailable is not None:
            await copy.set_system_defaults(await copy.get_system_limits(), on_unavailable)
        return copy

    async def create_stack(self, stack_options: StackOptions | None = None) -> None:
        """Create the CloudFormation stack of this table, or bring it to the options, and prepare the table.

        The function that counts usage gets its code; that of a stack of a newer version of the library keeps its
        own. How long audit events are kept is set for the namespace `default`; elsewhere `set_audit_retention` does
        it. Raises `StackCreationError`.
        """
        async with self._stack() as stack:
            await stack.create_stack(stack_options)
            made = await stack.describe_stack()
            has_function = made is not None and "AggregatorFunctionName" in made.outputs
            may_bring = made is not None and has_function and newer_reason(made.tags) is None
            deployed = await stack.deploy_lambda_code() if may_bring else None
        await self.prepare_table()
        if deployed is not None:
            await self.record_aggregator(deployed["version"])
        if stack_options is not None and self.namespace_name == DEFAULT_NAMESPACE:
            await self.set_audit_retention(stack_options.audit_retention_days)

    async def delete_stack(self) -> None:
        """Delete the CloudFormation stack of this table with all that is in it, and wait; none: nothing done."""
        async with self._stack() as stack:
            await stack.delete_stack(self.stack_name)

    def _stack(self) -> StackManager:
        return StackManager(
            self.stack_name,
            self._region,
            self._endpoint_url,
            session=self._session,
            clock=self._clock,
            runtime=self._runtime,
        )

    async def resolve(self, entity_id: str, resource: str, *, fresh: bool = False) -> Resolution:
        """The limits in force for an entity and, as far as it cascades, for its parents; `fresh` skips the cache."""
        fetch = self._fetch_fresh if fresh else self._fetch
        return await self._cache.resolution(entity_id, resource, fetch, fresh=fresh)

    def remembered(self, entity_id: str, resource: str) -> Resolution | None:
        """The limits in force as far as they are remembered, without asking the store; None when it has to be asked."""
        return self._cache.remembered(entity_id, resource)

    async def resolve_limits(
        self, entity_id: str, resource: str
    ) -> tuple[list[Limit] | None, OnUnavailableAction | None, ConfigSource | None]:
        """The limits in force for one entity, what to do without a store, and the level that set the limits."""
        check_identifier(entity_id)
        check_resource(resource)
        return await self._cache.resolve_limits(entity_id, resource, self._fetch)

    async def _fetch(self, slots: Sequence[Slot]) -> Mapping[Slot, Value]:
        return await self._slots(slots, consistent=self._place.reads_consistently)

    async def _fetch_fresh(self, slots: Sequence[Slot]) -> Mapping[Slot, Value]:
        return await self._slots(slots, consistent=True)

    async def resolve_on_unavailable(self) -> OnUnavailableAction:
        """What is stored for an outage, else what was stored when last seen, else `block`; never raises."""
        try:
            _, action = await self._cache.get_system_defaults(self.get_system_defaults)
        except (ZAELimiterError, OSError, RuntimeError):
            return self._cache.last_on_unavailable
        return action or "block"

    async def invalidate_config_cache(self) -> None:
        """Forget what is cached of the configuration."""
        self._cache.invalidate()

    def get_cache_stats(self) -> CacheStats:
        """How the configuration cache did."""
        return self._cache.get_stats()


def _check_multiplier(value: object) -> None:
    if type(value) is not int or value > MOST_FILLS:
        raise ValidationError("bucket_ttl_multiplier", str(value), f"must be an int of at most {MOST_FILLS}")


def _checked_name(name: object) -> str:
    if isinstance(name, str) and _NAME.fullmatch(name):
        return name
    if not name:
        raise ValidationError("name", str(name), "name the DynamoDB table, here or in ZAE_LIMITER_NAME")
    raise ValidationError("name", str(name), "a table has 3 to 255 letters, digits, '_', '.' or '-'")
