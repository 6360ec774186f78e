"""The configuration cache: what it remembers, for how long, and that slots are read once for all who wait."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from zae_limiter import Entity, Limit
from zae_limiter.config_cache import ConfigCache, Slot, StoredLevel, Value
from zae_limiter.runtimes import AsyncRuntime
from zae_limiter.testing import TurnableClock

LIMIT = Limit.per_minute("rpm", 10)
SYSTEM = Slot("system")


class Store:
    """Answers slots from a mapping and counts how often it was asked."""

    def __init__(self, values: Mapping[Slot, Value] | None = None) -> None:
        self.values = dict(values or {})
        self.asked: list[tuple[Slot, ...]] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.was_asked = asyncio.Event()

    async def fetch(self, slots: Sequence[Slot]) -> Mapping[Slot, Value]:
        self.asked.append(tuple(slots))
        self.was_asked.set()
        found = {slot: self.values.get(slot) for slot in slots}
        for slot in slots:
            if slot.entity_id in self.gates:
                await self.gates[slot.entity_id].wait()
        return found


@pytest.fixture
def store() -> Store:
    return Store({SYSTEM: StoredLevel((LIMIT,), "allow")})


@pytest.fixture
def cache(clock: TurnableClock) -> ConfigCache:
    return ConfigCache(60, clock=clock, runtime=AsyncRuntime())


async def test_what_was_read_is_remembered_for_its_lifetime(
    cache: ConfigCache, store: Store, clock: TurnableClock
) -> None:
    await cache.resolution("someone", "api", store.fetch)
    clock.turn(59)
    await cache.resolution("someone", "api", store.fetch)
    assert len(store.asked) == 1
    clock.turn(1)
    await cache.resolution("someone", "api", store.fetch)
    assert len(store.asked) == 2


async def test_that_nothing_is_stored_is_remembered_too(cache: ConfigCache) -> None:
    empty = Store()
    assert await cache.resolve_limits("someone", "api", empty.fetch) == (None, None, None)
    assert await cache.resolve_limits("someone", "api", empty.fetch) == (None, None, None)
    assert len(empty.asked) == 1


async def test_a_step_of_the_time_of_day_does_not_lengthen_a_life(
    cache: ConfigCache, store: Store, clock: TurnableClock
) -> None:
    await cache.resolution("someone", "api", store.fetch)
    clock.step(-3_600)
    clock.turn(61)
    await cache.resolution("someone", "api", store.fetch)
    assert len(store.asked) == 2


async def test_no_lifetime_remembers_nothing(clock: TurnableClock, store: Store) -> None:
    cache = ConfigCache(0, clock=clock, runtime=AsyncRuntime())
    assert not cache.enabled
    for _ in range(3):
        await cache.resolution("someone", "api", store.fetch)
    assert len(store.asked) == 3
    assert cache.get_stats().size == 0


async def test_many_who_miss_the_same_slots_read_once(cache: ConfigCache, store: Store) -> None:
    store.gates["someone"] = asyncio.Event()
    tasks = [asyncio.create_task(cache.resolution("someone", "api", store.fetch)) for _ in range(20)]
    await store.was_asked.wait()
    store.gates["someone"].set()
    found = await asyncio.gather(*tasks)
    assert all(each == found[0] for each in found)
    assert len(store.asked) <= 2


async def test_a_slow_read_stalls_nobody_else(cache: ConfigCache, store: Store) -> None:
    """W33: no lock is held while a store is asked."""
    store.gates["slow"] = asyncio.Event()
    slow = asyncio.create_task(cache.resolution("slow", "api", store.fetch))
    await store.was_asked.wait()
    quick = await asyncio.wait_for(cache.resolution("quick", "api", store.fetch), 5)
    assert quick.chain[0].limits == (LIMIT,)
    assert not slow.done()
    store.gates["slow"].set()
    await slow


async def test_what_was_read_before_a_change_is_not_remembered_after_it(cache: ConfigCache, store: Store) -> None:
    store.gates["someone"] = asyncio.Event()
    task = asyncio.create_task(cache.resolution("someone", "api", store.fetch))
    await store.was_asked.wait()
    changed = Limit.per_minute("rpm", 99)
    store.values[SYSTEM] = StoredLevel((changed,))
    cache.invalidate()
    store.gates["someone"].set()
    await task
    found = await cache.resolution("someone", "api", store.fetch)
    assert found.chain[0].limits == (changed,)


async def test_a_read_after_a_change_does_not_wait_for_one_before_it(cache: ConfigCache, store: Store) -> None:
    store.gates["someone"] = asyncio.Event()
    task = asyncio.create_task(cache.resolution("someone", "api", store.fetch))
    await store.was_asked.wait()
    cache.invalidate()
    gate = store.gates.pop("someone")
    after = asyncio.create_task(cache.resolution("someone", "api", store.fetch))
    # Turns and no time: one that waits for the first would begin beside it when that is stuck for 100 ms.
    for _ in range(9):
        await asyncio.sleep(0)
    assert after.done()
    assert not task.done()
    gate.set()
    await task


async def test_entries_are_bounded_and_the_least_used_go_first(clock: TurnableClock, store: Store) -> None:
    """W46: nothing that is remembered grows for ever."""
    cache = ConfigCache(60, clock=clock, runtime=AsyncRuntime(), max_entries=20)
    await cache.resolution("kept", "api", store.fetch)
    for number in range(100):
        await cache.resolution(f"user-{number}", "api", store.fetch)
        await cache.resolution("kept", "api", store.fetch)
    assert cache.get_stats().size <= 20
    assert len(cache._resolutions) <= 20
    assert ("kept", "api") in cache._resolutions
    assert sum(slots[0].entity_id == "kept" for slots in store.asked) == 1


async def test_the_first_level_that_has_limits_wins_entirely(cache: ConfigCache, store: Store) -> None:
    own, default, resource = (Limit.per_minute(name, 1) for name in ("own", "default", "resource"))
    levels: list[tuple[Slot, Limit, str]] = [
        (Slot("resource", resource="api"), resource, "resource"),
        (Slot("entity_limits", "someone", "_default_"), default, "entity_default"),
        (Slot("entity_limits", "someone", "api"), own, "entity"),
    ]
    assert (await cache.resolve_limits("someone", "api", store.fetch))[2] == "system"
    for slot, limit, source in levels:
        store.values[slot] = StoredLevel((limit,))
        cache.invalidate()
        assert await cache.resolve_limits("someone", "api", store.fetch) == ([limit], "allow", source)


async def test_a_chain_goes_upwards_while_entities_cascade(cache: ConfigCache, store: Store) -> None:
    for number in range(12):
        store.values[Slot("entity", f"e{number}")] = Entity(f"e{number}", parent_id=f"e{number + 1}", cascade=True)
    found = await cache.resolution("e0", "api", store.fetch)
    assert [level.entity_id for level in found.chain] == [f"e{number}" for number in range(8)]
    store.values[Slot("entity", "e1")] = Entity("e1", parent_id="e2", cascade=False)
    cache.invalidate()
    found = await cache.resolution("e0", "api", store.fetch)
    assert [level.entity_id for level in found.chain] == ["e0", "e1"]


async def test_a_fresh_resolution_reads_past_what_is_remembered(cache: ConfigCache, store: Store) -> None:
    await cache.resolution("someone", "api", store.fetch)
    store.values[SYSTEM] = StoredLevel((LIMIT,), "block")
    assert (await cache.resolution("someone", "api", store.fetch, fresh=True)).on_unavailable == "block"
    assert (await cache.resolution("someone", "api", store.fetch)).on_unavailable == "block"


async def test_what_was_cleared_for_an_outage_is_not_remembered_for_ever(cache: ConfigCache, store: Store) -> None:
    """W51."""
    told: list[str] = [cache.last_on_unavailable]
    await cache.resolution("someone", "api", store.fetch)
    told.append(cache.last_on_unavailable)
    store.values[SYSTEM] = StoredLevel((LIMIT,), None)
    cache.invalidate()
    await cache.resolution("someone", "api", store.fetch)
    told.append(cache.last_on_unavailable)
    assert told == ["block", "allow", "block"]


async def test_an_error_of_the_store_is_not_remembered(cache: ConfigCache, store: Store) -> None:
    """W22."""

    async def broken(slots: Sequence[Slot]) -> Mapping[Slot, Value]:
        raise ConnectionError("no store")

    with pytest.raises(ConnectionError):
        await cache.resolution("someone", "api", broken)
    assert (await cache.resolution("someone", "api", store.fetch)).chain[0].limits == (LIMIT,)


async def test_hits_and_misses_are_counted(cache: ConfigCache, store: Store) -> None:
    await cache.resolve_limits("someone", "api", store.fetch)
    await cache.resolve_limits("someone", "api", store.fetch)
    assert cache.get_stats().as_dict() == {"hits": 4, "misses": 4, "size": 4, "ttl": 60}
    cache.evict_entity("someone", "api")
    assert cache.get_stats().size == 3


class Interrupted(OrderedDict[Any, Any]):
    """Entries of a cache that another thread empties at the last moment before something is remembered."""

    def __init__(self, cache: ConfigCache) -> None:
        super().__init__()
        self._cache = cache

    def __setitem__(self, key: Any, value: Any) -> None:
        self._cache.invalidate()
        super().__setitem__(key, value)


@pytest.mark.parametrize("entries", ["_slots", "_resolutions"])
async def test_what_another_thread_makes_void_while_it_is_written_down_is_not_remembered(
    cache: ConfigCache, store: Store, entries: str
) -> None:
    setattr(cache, entries, Interrupted(cache))
    await cache.resolution("someone", "api", store.fetch)
    assert cache.remembered("someone", "api") is None
    assert not getattr(cache, entries)
