"""Who is charged and how a limit stands: entities, statuses, the derived state of a bucket."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Final

from zae_limiter.exceptions import ValidationError
from zae_limiter.models.limit import Limit

_LONGEST_NAME: Final = 256
_MOST_METADATA: Final = 16_384


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


def check_entity(name: str | None, cascade: object, metadata: object) -> None:
    """What an entity is to be stored with; `ValidationError` for what no store keeps."""
    if name is not None and (not isinstance(name, str) or len(name) > _LONGEST_NAME):
        raise ValidationError("name", str(name), f"must be a str of at most {_LONGEST_NAME} characters")
    _check_encodable("name", name or "")
    if type(cascade) is not bool:
        raise ValidationError("cascade", str(cascade), "must be True or False")
    if metadata is None:
        return
    if not isinstance(metadata, dict):
        raise ValidationError("metadata", str(metadata), "must be a dict of str to str, such as {'plan': 'pro'}")
    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise ValidationError("metadata", f"{key}={value}", "keys and values must be str")
        if not key:
            raise ValidationError("metadata", f"{key}={value}", "keys must not be empty")
        _check_encodable("metadata", f"{key}={value}")
    kept = len(json.dumps(metadata))
    if kept > _MOST_METADATA:
        raise ValidationError("metadata", f"{kept} characters", f"at most {_MOST_METADATA} are kept")


def _check_encodable(field: str, text: str) -> None:
    # Halves of characters, as Python reads bytes of an argument that are no UTF-8; no store keeps them.
    if any("\ud800" <= character <= "\udfff" for character in text):
        shown = text.encode(errors="backslashreplace").decode()
        raise ValidationError(field, shown, "must be text that UTF-8 can write")


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
