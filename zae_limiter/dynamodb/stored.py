"""A bucket as DynamoDB has it: from an item to balances and what else the next write must know. Pure."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from zae_limiter.dynamodb.images import rate_of
from zae_limiter.models import Balance
from zae_limiter.schema import CARRIED_AT, FULL_AT, MARK, RATE, TTL, USED


class Stored(NamedTuple):
    """The balances of a bucket, the limits that have a counter, and the mark and time to live (seconds) it carries."""

    image: Mapping[str, Balance] = {}
    counted: frozenset[str] = frozenset()
    carried_at: int = 0
    mark: str = ""
    ttl: int = 0
    is_there: bool = True


NOTHING: Final = Stored(is_there=False)


def stored_bucket(item: Mapping[str, Any] | None) -> Stored:
    """What an item says; a bucket that is not there is full."""
    if item is None:
        return NOTHING
    carried_at = int(item[CARRIED_AT]["N"]) if CARRIED_AT in item else 0
    image: dict[str, Balance] = {}
    counted: list[str] = []
    for name, value in item.items():
        kind = name[:2]
        if kind == FULL_AT:
            rate = item.get(RATE + name[2:])
            if rate is not None:
                image[name[2:]] = Balance(int(value["N"]), rate_of(rate["S"]), carried_at)
        elif kind == USED:
            counted.append(name[2:])
    mark = item[MARK]["S"] if MARK in item else ""
    ttl = int(item[TTL]["N"]) if TTL in item else 0
    return Stored(image, frozenset(counted), carried_at, mark, ttl)


def shifted(image: Mapping[str, Balance], offset_ns: int) -> Mapping[str, Balance]:
    """The same balances by a clock that shows so many nanoseconds more."""
    if not offset_ns:
        return image
    return {
        name: Balance(full_at + offset_ns, rate, carried_at + offset_ns if carried_at else 0)
        for name, (full_at, rate, carried_at) in image.items()
    }
