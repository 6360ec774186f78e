"""How much of a limit all entities of a resource have left together. Pure."""

from collections.abc import Sequence

from zae_limiter.models import BucketState, EntityCapacity, ResourceCapacity


def capacity_of(resource: str, limit_name: str, states: Sequence[BucketState]) -> ResourceCapacity:
    """The buckets of one limit added up; utilization is what is used of the capacity, in percent."""
    entities = [
        EntityCapacity(state.entity_id, state.capacity, state.tokens, _used_pct(state.capacity, state.tokens))
        for state in states
    ]
    total = sum(entity.capacity for entity in entities)
    left = sum(entity.available for entity in entities)
    return ResourceCapacity(resource, limit_name, total, left, _used_pct(total, left), entities)


def _used_pct(capacity: int, available: int) -> float:
    return (capacity - available) / capacity * 100 if capacity else 0.0
