"""EmbeddedRepository: the chapters joined, over one SQLite file or memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from sqlite3 import Connection
from types import TracebackType
from typing import TYPE_CHECKING, Self

from zae_limiter.bucket import MOST_FILLS
from zae_limiter.config_cache import ConfigCache, Slot, StoredLevel, Value
from zae_limiter.decision import bucket_state
from zae_limiter.embedded.audit import Audit
from zae_limiter.embedded.buckets import Buckets
from zae_limiter.embedded.database import Database
from zae_limiter.embedded.entities import Entities, stored_entity
from zae_limiter.embedded.limits import StoredLimits, stored_level
from zae_limiter.embedded.namespaces import Namespaces
from zae_limiter.embedded.place import Place, write_event
from zae_limiter.embedded.usage import Usage
from zae_limiter.exceptions import ValidationError, ZAELimiterError
from zae_limiter.models import (
    AuditAction,
    BackendCapabilities,
    BucketState,
    CacheStats,
    ConfigSource,
    Limit,
    OnUnavailableAction,
    Resolution,
)
from zae_limiter.naming import (
    DEFAULT_NAMESPACE,
    check_identifier,
    check_namespace,
    check_optional_principal,
    check_resource,
)
from zae_limiter.runtimes import AsyncRuntime
from zae_limiter.system_clock import SystemClock

if TYPE_CHECKING:
    from zae_limiter.ports import Clock, Runtime


class EmbeddedRepository(Entities, StoredLimits, Namespaces, Audit, Usage, Buckets):
    """Keeps one namespace in a SQLite file that processes share, or in memory.

    Nothing is touched until `open()`, `async with`, or the first call. `durable` waits for the disk at each
    charge; `config_cache_ttl` is in seconds, `timeout` the deadline of calls that are not charges. A bucket is
    forgotten when it has been full for a day, and longer by the time in which it fills for each whole
    `bucket_ttl_multiplier` above 1; with 0 never.
    """

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
        if not isinstance(path, str) or not path or "\0" in path:
            raise ValidationError("path", repr(path), "must be the path of a file, or ':memory:'")
        if type(config_cache_ttl) is not int or config_cache_ttl < 0:
            raise ValidationError("config_cache_ttl", str(config_cache_ttl), "must be 0 or more whole seconds")
        if type(bucket_ttl_multiplier) is not int or bucket_ttl_multiplier > MOST_FILLS:
            why = f"must be an int of at most {MOST_FILLS}"
            raise ValidationError("bucket_ttl_multiplier", str(bucket_ttl_multiplier), why)
        if type(timeout) not in (int, float) or not 0 < timeout <= 86_400:
            raise ValidationError("timeout", str(timeout), "must be a number of seconds from 0 to 86400")
        self._clock = clock or SystemClock()
        self._runtime = runtime or AsyncRuntime()
        self._timeout = timeout
        database = Database(path, durable=durable, clock=self._clock, runtime=self._runtime)
        self._owns = True
        self._enter(database, check_namespace(namespace), config_cache_ttl, bucket_ttl_multiplier)

    def _enter(self, database: Database, namespace: str, config_cache_ttl: int, ttl_multiplier: int) -> None:
        cache = ConfigCache(config_cache_ttl, namespace, clock=self._clock, runtime=self._runtime)
        place = Place(database, cache, self._clock, namespace, int(self._timeout * 1e9))
        self._cache = cache
        self._place: Place = place
        Buckets.__init__(self, database, self._clock, place, ttl_multiplier=ttl_multiplier)

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def address(self) -> str:
        """The address that `open_limiter` takes for this store."""
        return self._database.address

    @property
    def capabilities(self) -> BackendCapabilities:
        """What this repository can do."""
        return BackendCapabilities(
            supports_audit_logging=True,
            supports_usage_snapshots=True,
            supports_batch_operations=True,
            answers_inline=not self._database.waits_in_thread,
        )

    @property
    def is_open(self) -> bool:
        """Whether the file was reached and checked by this process."""
        return self._database.is_open

    @property
    def namespace_name(self) -> str:
        """The name of the namespace that every call works on."""
        return self._place.namespace_name

    @property
    def namespace_id(self) -> str:
        """The id of the namespace, once it was looked up."""
        return self._place.namespace_id

    async def open(self) -> Self:
        """Reach the file and check it; `default` came with the file, any other namespace must be there.

        Raises `InfrastructureNotFoundError`, `InfrastructureAccessError`, `IncompatibleSchemaError` or
        `NamespaceNotFoundError`.
        """
        await self._database.open()
        await self._place.read(_nothing)
        return self

    async def close(self) -> None:
        """Close the file; a scoped copy leaves it to the repository it came from."""
        if self._owns:
            self._database.close()

    async def ping(self, *, seconds: float | None = None) -> bool:
        """Whether the store answers, within so many seconds if they are given; never raises."""
        deadline_ns = None if seconds is None else self._clock.monotonic_ns() + int(seconds * 1e9)
        try:
            await self._place.read(_nothing, deadline_ns)
        except (ZAELimiterError, RuntimeError):
            return False
        return True

    async def namespace(self, name: str) -> Self:
        """This repository for another namespace, over the same connection; `NamespaceNotFoundError`."""
        check_namespace(name)
        copy = type(self).__new__(type(self))
        copy._clock, copy._runtime, copy._timeout, copy._owns = self._clock, self._runtime, self._timeout, False
        copy._enter(self._database, name, self._cache.ttl_seconds, self._ttl_multiplier)
        await copy._place.read(_nothing)
        return copy

    async def resolve(self, entity_id: str, resource: str, *, fresh: bool = False) -> Resolution:
        """The limits in force for an entity and, as far as it cascades, for its parents; `fresh` skips the cache."""
        if not fresh and (found := self.remembered(entity_id, resource)) is not None:
            return found
        await self._catch_up()
        version = self._place.config_version
        # Where it changes while this is read, the store has a charge by this resolution resolved again.
        return await self._cache.resolution(entity_id, resource, self._fetched, fresh=fresh, version=version)

    def remembered(self, entity_id: str, resource: str) -> Resolution | None:
        """The limits in force as far as they are remembered, without asking the store; None when it has to be asked."""
        version = self._place.config_version
        return self._cache.remembered(entity_id, resource, version) if self._place.is_current else None

    async def _catch_up(self) -> None:
        # Before anything is read into the cache: what is read while another version turns it void is not remembered.
        await self._place.read(_nothing)

    async def resolve_limits(
        self, entity_id: str, resource: str
    ) -> tuple[list[Limit] | None, OnUnavailableAction | None, ConfigSource | None]:
        """The limits in force for one entity, what to do without a store, and the level that set the limits."""
        check_identifier(entity_id)
        check_resource(resource)
        await self._catch_up()
        return await self._cache.resolve_limits(entity_id, resource, self._fetched)

    async def _fetched(self, slots: Sequence[Slot]) -> Mapping[Slot, Value]:
        return await self._place.read(lambda connection: {slot: self._slot(connection, slot) for slot in slots})

    def _slot(self, connection: Connection, slot: Slot) -> Value:
        if slot.kind == "entity":
            return stored_entity(connection, self._place, slot.entity_id)
        return StoredLevel(*stored_level(connection, self._place, slot.entity_id, slot.resource))

    async def resolve_on_unavailable(self) -> OnUnavailableAction:
        """What is stored for an outage, else what was stored when last seen, else `block`; never raises."""
        try:
            _, action = await self._cache.get_system_defaults(self.get_system_defaults)
        except (ZAELimiterError, RuntimeError):
            return self._cache.last_on_unavailable
        return action or "block"

    async def invalidate_config_cache(self) -> None:
        """Forget what is cached of the configuration."""
        self._cache.invalidate()

    def get_cache_stats(self) -> CacheStats:
        """How the configuration cache did."""
        return self._cache.get_stats()

    async def get_buckets(self, entity_id: str, resource: str | None = None) -> list[BucketState]:
        """Every limit in force of the buckets that an entity has, of one resource or of all."""
        check_identifier(entity_id)
        if resource is not None:
            check_resource(resource)
        return await self._states("entity = ?1 and (?2 is null or resource = ?2)", entity_id, resource)

    async def get_resource_buckets(self, resource: str, limit_name: str | None = None) -> list[BucketState]:
        """Every bucket of a resource, of one limit or of all."""
        check_resource(resource)
        found = await self._states("resource = ?1 and ?2 is null", resource, None)
        return [state for state in found if limit_name is None or state.limit_name == limit_name]

    async def _states(self, where: str, first: str, second: str | None) -> list[BucketState]:
        def work(connection: Connection) -> list[tuple[str, str]]:
            return connection.execute(
                f"select distinct entity, resource from bucket where {where} and namespace = ?3 order by 1, 2",
                (first, second, self._place.namespace_id),
            ).fetchall()

        keys = await self._place.read(work)
        images = await self.read(keys)
        now_ns = self._clock.now_ns()
        states: list[BucketState] = []
        for (entity_id, resource), image in zip(keys, images, strict=True):
            limits, _, _ = await self.resolve_limits(entity_id, resource)
            states += [
                bucket_state(entity_id, resource, limit, image[limit.name], now_ns)
                for limit in limits or ()
                if limit.name in image
            ]
        return states

    async def reset_buckets(self, entity_id: str, resource: str | None = None, principal: str | None = None) -> int:
        """Make buckets full again, of one resource or of all; returns how many there were."""
        check_identifier(entity_id)
        if resource is not None:
            check_resource(resource)
        by = check_optional_principal(principal)

        def work(connection: Connection) -> int:
            where = "namespace = ?1 and entity = ?2 and (?3 is null or resource = ?3)"
            key = (self._place.namespace_id, entity_id, resource)
            (found,) = connection.execute(f"select count(distinct resource) from bucket where {where}", key).fetchone()
            if found:
                connection.execute(f"delete from bucket where {where}", key)
                action = AuditAction.BUCKETS_RESET
                write_event(connection, self._place, action, entity_id, principal=by, resource=resource)
            return int(found)

        return await self._place.change(work)


def _nothing(_: Connection) -> None:
    """Reading nothing still looks for the namespace."""
