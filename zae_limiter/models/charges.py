"""What the core and a store hand each other: charges, debits, changes, images and decisions.

An image is a bucket as the store last showed it: a balance for each limit it has; a limit it lacks is full.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

from zae_limiter.bucket import Rate
from zae_limiter.models.limit import Limit
from zae_limiter.models.words import ConfigSource, OnUnavailableAction

Amounts: TypeAlias = Mapping[str, int]
Limits: TypeAlias = str | Sequence[Limit]


class Charge(NamedTuple):
    """One thing to be granted: an entity, a resource, what it costs, and the limits if not the stored ones."""

    entity_id: str
    resource: str
    consume: int | Amounts
    limits: Limits | None = None


class Balance(NamedTuple):
    """One limit of a bucket: when it will be full, the rate that is measured in, its last carry-over."""

    full_at: int
    rate: Rate
    carried_at: int = 0


Image: TypeAlias = Mapping[str, Balance]


class Debit(NamedTuple):
    """The write that charges one bucket.

    `limits` are all that are in force there. A limit that `amounts` names is checked, with 0 too: then it
    is refused in debt; the others are only reported. `is_leaf` is false for a parent of the charged entity.
    `version` is that of the resolution that it was made of; 0 asks for none.
    `is_stored` says that the limits are those of the configuration, so that any other is configured no longer.
    """

    entity_id: str
    resource: str
    limits: tuple[Limit, ...]
    amounts: Amounts
    is_leaf: bool = True
    version: int = 0
    is_stored: bool = False


class Change(NamedTuple):
    """The write that settles one bucket: tokens to take without a check (above 0) or to give back (below 0).

    `debits` tells of each limit how many debits a credit gives back: spans round down, each on its own.
    """

    entity_id: str
    resource: str
    limits: tuple[Limit, ...]
    deltas: Amounts
    debits: Amounts


class Granted(NamedTuple):
    """Every debit is written; `images` show each bucket after it."""

    images: Sequence[Image]
    now_ns: int


class Refused(NamedTuple):
    """No debit is written; `images` show each bucket as it stands without them.

    `wait_ns` above 0 means that the store will not be asked for a bucket for so long, whatever is in it.
    """

    images: Sequence[Image]
    now_ns: int
    wait_ns: int = 0


class Stale(NamedTuple):
    """No debit is written: the configuration has changed since it was resolved; resolve it again."""


class EffectiveLimits(NamedTuple):
    """The limits in force for one entity, and the level that set them."""

    entity_id: str
    limits: tuple[Limit, ...]
    source: ConfigSource | None


class Resolution(NamedTuple):
    """What the configuration says of a charge: limits of the entity first, then of its parents upwards.

    A store that counts the changes of its configuration tells by `version` which one this is: charges that go
    together go by one. 0 tells nothing.
    """

    chain: tuple[EffectiveLimits, ...]
    on_unavailable: OnUnavailableAction | None
    version: int = 0
