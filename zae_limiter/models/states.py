"""Who is charged and how a limit stands: entities, statuses, the derived state of a bucket."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from zae_limiter.models.limit import Limit


@dataclass(frozen=True, slots=True)
class Entity:
    """Who is charged: a user, a key, a tenant. With `cascade`, a charge counts at its parent too."""

    id: str
    name: str | None = None
    parent_id: str | None = None
    cascade: bool = False
    metadata: dict[str, str] = field(default_factory=dict)
    created_at: str | None = None

    @property
    def is_parent(self) -> bool:
        """Whether no other entity stands above this one."""
        return self.parent_id is None

    @property
    def is_child(self) -> bool:
        """Whether another entity stands above this one."""
        return self.parent_id is not None


@dataclass(frozen=True, slots=True)
class LimitStatus:
    """How one limit stands after a decision.

    `available` is what could be taken; `retry_after_seconds` the wait until `requested` fits, in whole
    milliseconds rounded up, `math.inf` when it is above the burst; `wait_ns` the exact wait.
    """

    entity_id: str
    resource: str
    limit_name: str
    limit: Limit
    available: int
    requested: int
    exceeded: bool
    retry_after_seconds: float
    wait_ns: int = 0

    @property
    def deficit(self) -> int:
        """How many tokens are missing."""
        return max(0, self.requested - self.available)

    @property
    def retryable(self) -> bool:
        """Whether waiting helps."""
        return not math.isinf(self.retry_after_seconds)


@dataclass(frozen=True, slots=True)
class BucketState:
    """One limit of a bucket, derived from its `full_at` at the time of asking; amounts in thousandths."""

    entity_id: str
    resource: str
    limit_name: str
    tokens_milli: int
    last_refill_ms: int
    capacity_milli: int
    burst_milli: int
    refill_amount_milli: int
    refill_period_ms: int
    total_consumed_milli: int | None = None

    @classmethod
    def from_limit(cls, entity_id: str, resource: str, limit: Limit, now_ms: int) -> BucketState:
        """A full bucket."""
        return cls(
            entity_id,
            resource,
            limit.name,
            limit.burst * 1000,
            now_ms,
            limit.capacity * 1000,
            limit.burst * 1000,
            limit.refill_amount * 1000,
            limit.refill_period_seconds * 1000,
            0,
        )

    @property
    def tokens(self) -> int:
        """Whole tokens in the bucket; negative in debt."""
        return self.tokens_milli // 1000

    @property
    def capacity(self) -> int:
        """The sustained number of tokens a period."""
        return self.capacity_milli // 1000

    @property
    def burst(self) -> int:
        """The most the bucket may hold."""
        return self.burst_milli // 1000
