"""What a store must answer, in the domain's own verbs; whoever keeps this protocol has a repository.

A repository debits, settles and reads buckets, and keeps entities, limits at their levels, namespaces,
audit events and usage. It knows values and keys, never the limiter. `docs/guide/stores.md` tells how to add one.

A store's own failure (no answer, no access, a locked file) is raised as `RateLimiterUnavailable` or another
`InfrastructureError`; anything else that escapes counts as a bug of a program, never as an outage.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol, Self, runtime_checkable

from zae_limiter.models import (
    AuditEvent,
    BackendCapabilities,
    BucketState,
    CacheStats,
    Change,
    ConfigSource,
    Debit,
    Entity,
    Granted,
    Image,
    Limit,
    OnUnavailableAction,
    Refused,
    Resolution,
    Stale,
    UsageSnapshot,
    UsageSummary,
)


@runtime_checkable
class RepositoryProtocol(Protocol):
    """Keeps entities, limits and buckets of one namespace."""

    @property
    def address(self) -> str:
        """What names the store in messages; never a secret."""
        ...

    @property
    def capabilities(self) -> BackendCapabilities:
        """What this repository can do."""
        ...

    @property
    def is_open(self) -> bool:
        """Whether the store was reached and checked."""
        ...

    @property
    def namespace_name(self) -> str:
        """The name of the namespace that every call works on."""
        ...

    async def open(self) -> Self:
        """Reach the store and check it; a repository that is open already stays so."""
        ...

    async def close(self) -> None:
        """Let go of what was opened; a second call does nothing."""
        ...

    async def ping(self, *, seconds: float | None = None) -> bool:
        """Whether the store answers, within so many seconds if they are given; never raises."""
        ...

    async def debit(self, debits: Sequence[Debit], *, now_ns: int, deadline_ns: int) -> Granted | Refused | Stale:
        """Charge all buckets, or none of them; `Stale` asks the caller to resolve its limits again.

        `now_ns` is the time of day of the charge, `deadline_ns` a reading of the monotonic clock after which
        nothing may be granted any more. A retry reads the clock again; the answer tells which time it used.
        """
        ...

    async def settle(self, changes: Sequence[Change], *, now_ns: int, deadline_ns: int) -> Sequence[Exception | None]:
        """Take and give back without a check, one write a bucket, each on its own: None, or what failed.

        A credit never creates a bucket: one that is gone is full. A change is measured in the rate that the
        bucket is stored in.
        """
        ...

    async def read(self, keys: Sequence[tuple[str, str]]) -> Sequence[Image]:
        """The buckets of these entities and resources, in order; a bucket that is not there has no balances."""
        ...

    async def resolve(self, entity_id: str, resource: str, *, fresh: bool = False) -> Resolution:
        """The limits in force for an entity and, as far as it cascades, for its parents; `fresh` skips the cache."""
        ...

    def remembered(self, entity_id: str, resource: str) -> Resolution | None:
        """The limits in force as far as they are remembered, without asking the store; None when it has to be asked."""
        ...

    async def resolve_limits(
        self, entity_id: str, resource: str
    ) -> tuple[list[Limit] | None, OnUnavailableAction | None, ConfigSource | None]:
        """The limits in force for one entity, what to do without a store, and the level that set the limits."""
        ...

    async def resolve_on_unavailable(self) -> OnUnavailableAction:
        """What is stored for an outage, else what was stored when last seen, else `block`; never raises."""
        ...

    async def invalidate_config_cache(self) -> None:
        """Forget what is cached of the configuration."""
        ...

    def get_cache_stats(self) -> CacheStats:
        """How the configuration cache did."""
        ...

    async def get_buckets(self, entity_id: str, resource: str | None = None) -> list[BucketState]:
        """Every limit in force of the buckets that an entity has, of one resource or of all."""
        ...

    async def get_resource_buckets(self, resource: str, limit_name: str | None = None) -> list[BucketState]:
        """Every bucket of a resource, of one limit or of all."""
        ...

    async def reset_buckets(self, entity_id: str, resource: str | None = None, principal: str | None = None) -> int:
        """Make buckets full again, of one resource or of all; returns how many there were."""
        ...

    async def create_entity(
        self,
        entity_id: str,
        name: str | None = None,
        parent_id: str | None = None,
        cascade: bool = False,
        metadata: dict[str, str] | None = None,
        principal: str | None = None,
    ) -> Entity:
        """Store an entity; `EntityExistsError` if there is one, `ValidationError` for a cycle or a ninth level."""
        ...

    async def update_entity(
        self,
        entity_id: str,
        *,
        name: str | None = None,
        parent_id: str | None = None,
        cascade: bool | None = None,
        metadata: dict[str, str] | None = None,
        principal: str | None = None,
    ) -> Entity:
        """Change what is given of an entity; an empty `parent_id` removes the parent. `EntityNotFoundError`."""
        ...

    async def get_entity(self, entity_id: str) -> Entity | None:
        """The entity, or None."""
        ...

    async def delete_entity(self, entity_id: str, principal: str | None = None) -> None:
        """Remove an entity with its limits, buckets and usage; audit events stay. Nothing there: nothing done."""
        ...

    async def get_children(self, parent_id: str) -> list[Entity]:
        """Every entity directly below this one, by identifier."""
        ...

    async def set_limits(
        self,
        entity_id: str,
        limits: Sequence[Limit],
        resource: str = "_default_",
        principal: str | None = None,
    ) -> None:
        """Replace the limits of an entity for a resource, or for all with `_default_`."""
        ...

    async def get_limits(self, entity_id: str, resource: str = "_default_") -> list[Limit]:
        """What is stored at this level; empty if nothing."""
        ...

    async def delete_limits(self, entity_id: str, resource: str = "_default_", principal: str | None = None) -> None:
        """Remove what is stored at this level."""
        ...

    async def list_entities_with_custom_limits(
        self, resource: str, limit: int | None = None, cursor: str | None = None
    ) -> tuple[list[str], str | None]:
        """One page of the entities with limits for a resource, and the cursor of the next; None at the end."""
        ...

    async def list_resources_with_entity_configs(self) -> list[str]:
        """Every resource for which an entity has limits, sorted."""
        ...

    async def set_resource_defaults(self, resource: str, limits: Sequence[Limit], principal: str | None = None) -> None:
        """Replace the limits of a resource."""
        ...

    async def get_resource_defaults(self, resource: str) -> list[Limit]:
        """What is stored for a resource; empty if nothing."""
        ...

    async def delete_resource_defaults(self, resource: str, principal: str | None = None) -> None:
        """Remove the limits of a resource."""
        ...

    async def list_resources_with_defaults(self) -> list[str]:
        """Every resource with limits of its own, sorted."""
        ...

    async def set_system_defaults(
        self,
        limits: Sequence[Limit],
        on_unavailable: OnUnavailableAction | None = None,
        principal: str | None = None,
    ) -> None:
        """Replace the limits of last resort and what to do without a store, both together."""
        ...

    async def get_system_defaults(self) -> tuple[list[Limit], OnUnavailableAction | None]:
        """What is stored for the system."""
        ...

    async def delete_system_defaults(self, principal: str | None = None) -> None:
        """Remove both."""
        ...

    async def get_audit_events(
        self, entity_id: str, limit: int = 100, start_event_id: str | None = None
    ) -> list[AuditEvent]:
        """What was changed, newest first, after `start_event_id` if given."""
        ...

    async def get_usage_snapshots(
        self,
        entity_id: str | None = None,
        resource: str | None = None,
        window_type: str | None = None,
        start_time: datetime | str | None = None,
        end_time: datetime | str | None = None,
        limit: int = 100,
        next_key: dict[str, Any] | None = None,
    ) -> tuple[list[UsageSnapshot], dict[str, Any] | None]:
        """One page of usage, newest first, and the key of the next; `ValidationError` without entity or resource."""
        ...

    async def get_usage_summary(
        self,
        entity_id: str | None = None,
        resource: str | None = None,
        window_type: str | None = None,
        start_time: datetime | str | None = None,
        end_time: datetime | str | None = None,
    ) -> UsageSummary:
        """All of the usage that the filters leave, added up."""
        ...

    async def namespace(self, name: str) -> Self:
        """This repository for another namespace, over the same connection; `NamespaceNotFoundError`."""
        ...

    async def register_namespace(self, namespace: str) -> str:
        """Create a namespace if it is not there; returns its id."""
        ...

    async def register_namespaces(self, namespaces: list[str]) -> dict[str, str]:
        """Create several, all names checked first; returns the ids by name."""
        ...

    async def get_namespace(self, namespace: str) -> dict[str, str] | None:
        """Name, id, status and time of creation, or None."""
        ...

    async def list_namespaces(self) -> list[dict[str, str]]:
        """Every namespace in use: name, id and time of creation, by name."""
        ...

    async def delete_namespace(self, namespace: str) -> None:
        """Take a namespace out of use; its data stays until it is purged. `default` is never deleted."""
        ...

    async def recover_namespace(self, namespace_id: str) -> str:
        """Put a deleted namespace back into use; returns its name."""
        ...

    async def list_orphan_namespaces(self) -> list[dict[str, str]]:
        """Deleted namespaces, those in the middle of a purge included: id, name, time of deletion, status."""
        ...

    async def purge_namespace(self, namespace_id: str) -> None:
        """Remove a deleted namespace with all its data; can be repeated until it is through."""
        ...
