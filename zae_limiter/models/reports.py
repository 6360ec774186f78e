"""What a store tells of itself and of the past: usage, capacity, audit events, caches."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class UsageSnapshot:
    """What an entity used of a resource in one window; `counters` has tokens a limit, net of credits.

    A credit counts in the window in which it lands, so a window may be below 0 while totals are exact.
    """

    entity_id: str
    resource: str
    window_start: str
    window_end: str
    window_type: str
    counters: dict[str, int]
    total_events: int


@dataclass(frozen=True, slots=True)
class UsageSummary:
    """Several snapshots added up; `average` is the total a snapshot that has the limit."""

    snapshot_count: int
    total: dict[str, int]
    average: dict[str, float]
    min_window_start: str | None
    max_window_start: str | None


@dataclass(frozen=True, slots=True)
class EntityCapacity:
    """How much of one limit an entity has left."""

    entity_id: str
    capacity: int
    available: int
    utilization_pct: float


@dataclass(frozen=True, slots=True)
class ResourceCapacity:
    """How much of one limit all entities of a resource have left together."""

    resource: str
    limit_name: str
    total_capacity: int
    total_available: int
    utilization_pct: float
    entities: list[EntityCapacity]


@dataclass(frozen=True, slots=True)
class BackendCapabilities:
    """What a repository can do.

    With `answers_inline` its charges end without waiting for anything, so that a limiter need neither
    guard them against cancellation nor keep their time. With `guards_debits` they wait, but the repository
    itself ends them by their deadline, and gives back what it granted to a caller that has left.
    """

    supports_audit_logging: bool = False
    supports_usage_snapshots: bool = False
    supports_infrastructure_management: bool = False
    supports_change_streams: bool = False
    supports_batch_operations: bool = False
    answers_inline: bool = False
    guards_debits: bool = False


@dataclass(frozen=True, slots=True)
class CacheStats:
    """How the configuration cache did: slots found and not found, entries now, lifetime in seconds."""

    hits: int = 0
    misses: int = 0
    size: int = 0
    ttl_seconds: int = 0

    def as_dict(self) -> dict[str, int]:
        """The figures as plain data."""
        return {"hits": self.hits, "misses": self.misses, "size": self.size, "ttl": self.ttl_seconds}


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One change of configuration: when, what, to whom, by whom."""

    event_id: str
    timestamp: str
    action: str
    entity_id: str
    principal: str | None = None
    resource: str | None = None
    details: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The event as plain data, without what is empty."""
        data: dict[str, Any] = {
            "event_id": self.event_id,
            "timestamp": self.timestamp,
            "action": self.action,
            "entity_id": self.entity_id,
        }
        optional = {"principal": self.principal, "resource": self.resource, "details": self.details or None}
        return data | {key: value for key, value in optional.items() if value is not None}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> AuditEvent:
        """The event that `to_dict` told."""
        return cls(**data)
