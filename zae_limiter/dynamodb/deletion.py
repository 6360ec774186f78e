"""How an entity's records go: a tombstone first, then a sweep that anybody can take up where it stopped.

A sweep rests on its tombstone: whoever comes late removes nothing of an entity that was created again.
"""

import secrets
from collections.abc import Callable, Sequence
from typing import Final

from zae_limiter.dynamodb.items import key_of
from zae_limiter.dynamodb.place import Found, Place
from zae_limiter.dynamodb.table import Check, Condition, Delete, Put, record
from zae_limiter.schema import (
    BUCKET_SK,
    CONFIG_SK,
    META_SK,
    TOMBSTONE_SK,
    Key,
    bucket_of,
    custom_key,
    entity_key,
    listing_key,
    listing_parts,
    tombstone_key,
)

_AT_ONCE: Final = 24
_SWEEPS: Final = 2
"""The listing is eventually consistent: what the first sweep was not shown, the second one is."""


class Deletion:
    """Removes what one namespace keeps of an entity; audit events stay."""

    def __init__(self, place: Place, forget_buckets: Callable[[Sequence[Key]], None]) -> None:
        self._place = place
        self._forget_buckets = forget_buckets

    def tombstone(self, namespace_id: str, entity_id: str) -> Put:
        """The write that begins a deletion."""
        listed = listing_key(namespace_id, "TOMBSTONE", entity_id)
        stone = record(tombstone_key(namespace_id, entity_id), listed, mark=secrets.token_hex(8))
        return Put(stone, Condition(is_there=False))

    async def finish(self, found: Found, entity_id: str) -> None:
        """Take a deletion to its end, whoever began it."""
        key = tombstone_key(found.namespace_id, entity_id)
        stone = await self._place.table.get(key)
        if stone is None:
            return
        still = Condition(equals={"mark": stone["mark"]})
        for _ in range(_SWEEPS):
            if not await self._swept(await self.records(found.namespace_id, entity_id), Check(key, still)):
                return
        await self._place.table.transact([Delete(key, still)])

    async def _swept(self, keys: Sequence[Key], still: Check) -> bool:
        # A bucket in use is often in another write's way: it goes alone, so that it holds up nothing else.
        groups = [[key] for key in keys if key.sk == BUCKET_SK]
        rest = [key for key in keys if key.sk != BUCKET_SK]
        groups += [rest[start : start + _AT_ONCE] for start in range(0, len(rest), _AT_ONCE)]
        for group in groups:
            if await self._place.table.transact([still, *(Delete(key) for key in group)]):
                return False
            self._forget_buckets(group)
        return True

    async def records(self, namespace_id: str, entity_id: str) -> list[Key]:
        """Where the records of an entity are, without its metadata and its tombstone."""
        own = entity_key(namespace_id, entity_id)
        kept = [key_of(item) for item in await self._place.table.query(own.pk)]
        kept = [key for key in kept if key.sk not in (META_SK, TOMBSTONE_SK)]
        relations = [
            custom_key(namespace_id, key.sk.removeprefix(CONFIG_SK), entity_id)
            for key in kept
            if key.sk.startswith(CONFIG_SK)
        ]
        return [*kept, *relations, *await self.buckets(namespace_id, entity_id)]

    async def buckets(self, namespace_id: str, entity_id: str) -> list[Key]:
        """Where the buckets of an entity are, as the listing shows them; sorted by resource."""
        prefix = listing_key(namespace_id, "BUCKET", entity_id).sk
        prefix = prefix.removesuffix("##") + "#"
        items = await self._place.table.listed(listing_parts(namespace_id, entity_id=entity_id), prefix)
        return sorted((key_of(item) for item in items), key=lambda key: bucket_of(key.pk)[2])
