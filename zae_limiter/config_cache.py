"""What is remembered of the configuration, for a while and bounded; each repository has one.

A slot is one thing that was read: the limits of one level, or one entity. A resolution is what the slots
say of a charge. Slots that miss are read in one batch, once for all who wait for the same ones.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias, TypeVar

from zae_limiter import levels
from zae_limiter.models import (
    CacheStats,
    ConfigSource,
    EffectiveLimits,
    Entity,
    Limit,
    OnUnavailableAction,
    Resolution,
)
from zae_limiter.naming import DEFAULT_RESOURCE
from zae_limiter.ports import Clock, Runtime

__all__ = ["CacheStats", "ConfigCache", "ConfigSource", "Slot", "StoredLevel"]

_MOST_ENTRIES: Final = 50_000
_FETCH_SECONDS: Final = 30.0


class Slot(NamedTuple):
    """The name of one thing that can be read: limits of a level, or an entity."""

    kind: Literal["system", "resource", "entity_limits", "entity"]
    entity_id: str = ""
    resource: str = ""


@dataclass(frozen=True, slots=True)
class StoredLevel:
    """What is stored at one level; `on_unavailable` at the system's only."""

    limits: tuple[Limit, ...] = ()
    on_unavailable: OnUnavailableAction | None = None


Value: TypeAlias = StoredLevel | Entity | None
BatchFetch: TypeAlias = Callable[[Sequence[Slot]], Awaitable[Mapping[Slot, Value]]]
K = TypeVar("K")
V = TypeVar("V")
_SYSTEM: Final = Slot("system")
_NOTHING: Final = StoredLevel()


class ConfigCache:
    """Slots and resolutions with a lifetime in seconds; 0 remembers nothing."""

    def __init__(
        self,
        ttl_seconds: int = 60,
        namespace_id: str = "default",
        *,
        clock: Clock,
        runtime: Runtime,
        max_entries: int = _MOST_ENTRIES,
    ) -> None:
        self.ttl_seconds = ttl_seconds
        self.namespace_id = namespace_id
        self._clock = clock
        self._runtime = runtime
        self._max_entries = max_entries
        self._slots: OrderedDict[Slot, tuple[int, Value]] = OrderedDict()
        self._resolutions: OrderedDict[tuple[str, str], tuple[int, Resolution]] = OrderedDict()
        self._generation = 0
        self._hits = 0
        self._misses = 0
        self._last_on_unavailable: OnUnavailableAction | None = None

    @property
    def enabled(self) -> bool:
        """Whether anything is remembered."""
        return self.ttl_seconds > 0

    @property
    def last_on_unavailable(self) -> OnUnavailableAction:
        """What was stored for an outage when that was last read; `block` if nothing was."""
        return self._last_on_unavailable or "block"

    async def resolution(
        self, entity_id: str, resource: str, batch_fetch_fn: BatchFetch, *, fresh: bool = False, version: int = 0
    ) -> Resolution:
        """The limits in force for an entity and for its parents, as far as it cascades; of the version given."""
        key = (entity_id, resource)
        if not fresh and (found := self.remembered(entity_id, resource, version)) is not None:
            return found
        generation = self._generation
        made, expires = await self._resolved(entity_id, resource, batch_fetch_fn, fresh=fresh)
        made = made._replace(version=version)
        if self.enabled and generation == self._generation:
            self._resolutions[key] = (expires, made)
            _bound(self._resolutions, self._max_entries)
            if generation != self._generation:  # another thread has made all void since it was looked at above
                self._resolutions.pop(key, None)
        return made

    def remembered(self, entity_id: str, resource: str, version: int = 0) -> Resolution | None:
        """The limits in force as far as they are remembered; None when they have to be read."""
        key = (entity_id, resource)
        found = self._resolutions.get(key)
        if found is None or found[0] <= self._clock.monotonic_ns() or found[1].version != version:
            return None
        self._hits += 1
        self._move_to_end(key)
        return found[1]

    def _move_to_end(self, key: tuple[str, str]) -> None:
        try:
            self._resolutions.move_to_end(key)
        except KeyError:  # another thread has just forgotten it
            return

    async def _resolved(
        self, entity_id: str, resource: str, fetch: BatchFetch, *, fresh: bool
    ) -> tuple[Resolution, int]:
        expires = self._expiry()
        chain: list[EffectiveLimits] = []
        on_unavailable: OnUnavailableAction | None = None
        current: str | None = entity_id
        while current is not None and len(chain) < levels.MOST_LEVELS:
            slots = (Slot("entity", current), *_level_slots(current, resource))
            until, values = await self._values(slots, fetch, fresh=fresh)
            expires = min(expires, until)
            limits, source = _nearest(values, current, resource)
            chain.append(EffectiveLimits(current, limits, source))
            on_unavailable = _level(values, _SYSTEM).on_unavailable
            entity = values.get(slots[0])
            cascades = isinstance(entity, Entity) and entity.cascade
            current = entity.parent_id if cascades and isinstance(entity, Entity) else None
        return Resolution(tuple(chain), on_unavailable), expires

    async def resolve_limits(
        self, entity_id: str, resource: str, batch_fetch_fn: BatchFetch
    ) -> tuple[list[Limit] | None, OnUnavailableAction | None, ConfigSource | None]:
        """The limits in force for one entity without its parents, or None where no level has any."""
        _, values = await self._values(_level_slots(entity_id, resource), batch_fetch_fn)
        limits, source = _nearest(values, entity_id, resource)
        return list(limits) or None, _level(values, _SYSTEM).on_unavailable, source

    async def get_system_defaults(
        self, fetch_fn: Callable[[], Awaitable[tuple[list[Limit], OnUnavailableAction | None]]]
    ) -> tuple[list[Limit], OnUnavailableAction | None]:
        """What is stored for the system, read with `fetch_fn` if it is not remembered."""

        async def fetch(slots: Sequence[Slot]) -> Mapping[Slot, Value]:
            limits, on_unavailable = await fetch_fn()
            return {slots[0]: StoredLevel(tuple(limits), on_unavailable)}

        stored = await self._one(_SYSTEM, fetch)
        return list(stored.limits), stored.on_unavailable

    async def get_resource_defaults(
        self, resource: str, fetch_fn: Callable[[str], Awaitable[list[Limit]]]
    ) -> list[Limit]:
        """What is stored for a resource; that nothing is stored is remembered too."""

        async def fetch(slots: Sequence[Slot]) -> Mapping[Slot, Value]:
            return {slots[0]: StoredLevel(tuple(await fetch_fn(resource)))}

        return list((await self._one(Slot("resource", resource=resource), fetch)).limits)

    async def get_entity_limits(
        self, entity_id: str, resource: str, fetch_fn: Callable[[str, str], Awaitable[list[Limit]]]
    ) -> list[Limit]:
        """What is stored for an entity and a resource; that nothing is stored is remembered too."""

        async def fetch(slots: Sequence[Slot]) -> Mapping[Slot, Value]:
            return {slots[0]: StoredLevel(tuple(await fetch_fn(entity_id, resource)))}

        return list((await self._one(Slot("entity_limits", entity_id, resource), fetch)).limits)

    async def _one(self, slot: Slot, fetch: BatchFetch) -> StoredLevel:
        _, values = await self._values((slot,), fetch)
        return _level(values, slot)

    async def _values(
        self, slots: Sequence[Slot], fetch: BatchFetch, *, fresh: bool = False
    ) -> tuple[int, dict[Slot, Value]]:
        now = self._clock.monotonic_ns()
        expires = self._expiry()
        values: dict[Slot, Value] = {}
        missing: list[Slot] = []
        for slot in slots:
            found = None if fresh else self._slots.get(slot)
            if found is None or found[0] <= now:
                missing.append(slot)
            else:
                values[slot] = found[1]
                expires = min(expires, found[0])
        self._hits += len(values)
        self._misses += len(missing)
        if missing:
            values.update(await self._fetched(tuple(missing), fetch))
        return expires, values

    async def _fetched(self, missing: tuple[Slot, ...], fetch: BatchFetch) -> Mapping[Slot, Value]:
        async def fill(members: Sequence[BatchFetch]) -> Sequence[Mapping[Slot, Value]]:
            generation = self._generation
            expires = self._expiry()
            values = await members[0](missing)
            if generation == self._generation:
                self._remember(values, expires)
                if generation != self._generation:  # as in `resolution`
                    for slot in values:
                        self._slots.pop(slot, None)
            return [values] * len(members)

        key = (id(self), self._generation, missing)
        found: Mapping[Slot, Value] = await self._runtime.combined(key, fetch, fill, seconds=_FETCH_SECONDS)
        return found

    def _remember(self, values: Mapping[Slot, Value], expires: int) -> None:
        system = values.get(_SYSTEM)
        if isinstance(system, StoredLevel):
            self._last_on_unavailable = system.on_unavailable
        if self.enabled:
            self._slots.update({slot: (expires, value) for slot, value in values.items()})
            _bound(self._slots, self._max_entries)

    def _expiry(self) -> int:
        return self._clock.monotonic_ns() + self.ttl_seconds * 1_000_000_000

    def evict_entity(self, entity_id: str, resource: str) -> None:
        """Forget the limits of one entity for one resource."""
        self._generation += 1
        self._slots.pop(Slot("entity_limits", entity_id, resource), None)
        self._resolutions.clear()

    def renew(self, entity_id: str, resource: str) -> None:
        """Forget all that what is in force for one entity and one resource rests on."""
        self._generation += 1
        for slot in (Slot("entity", entity_id), *_level_slots(entity_id, resource)):
            self._slots.pop(slot, None)
        self._resolutions.clear()

    def invalidate(self) -> None:
        """Forget all; the counters stay."""
        self._generation += 1
        self._slots.clear()
        self._resolutions.clear()

    async def invalidate_async(self) -> None:
        """The same as `invalidate`, for callers that await it."""
        self.invalidate()

    def get_stats(self) -> CacheStats:
        """How often slots were found and not found, how many there are, and their lifetime."""
        return CacheStats(self._hits, self._misses, len(self._slots), self.ttl_seconds)


def _level_slots(entity_id: str, resource: str) -> tuple[Slot, ...]:
    own = (Slot("entity_limits", entity_id, resource), Slot("entity_limits", entity_id, DEFAULT_RESOURCE))
    return (*dict.fromkeys(own), Slot("resource", resource=resource), _SYSTEM)


def _nearest(
    values: Mapping[Slot, Value], entity_id: str, resource: str
) -> tuple[tuple[Limit, ...], ConfigSource | None]:
    found: list[tuple[ConfigSource, tuple[Limit, ...]]] = [
        ("entity", _level(values, Slot("entity_limits", entity_id, resource)).limits),
        ("entity_default", _level(values, Slot("entity_limits", entity_id, DEFAULT_RESOURCE)).limits),
        ("resource", _level(values, Slot("resource", resource=resource)).limits),
        ("system", _level(values, _SYSTEM).limits),
    ]
    return levels.nearest(found)


def _level(values: Mapping[Slot, Value], slot: Slot) -> StoredLevel:
    value = values.get(slot)
    return value if isinstance(value, StoredLevel) else _NOTHING


def _bound(entries: OrderedDict[K, V], most: int) -> None:
    while len(entries) > most:
        entries.popitem(last=False)
