"""The chapter of limits: what is set at the entity's, the resource's and the system's level.

Who has limits of their own is told by a record each, so that no record grows with the number of them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from zae_limiter.config_cache import Slot, StoredLevel
from zae_limiter.config_cache import Value as Cached
from zae_limiter.dynamodb.deletion import Deletion
from zae_limiter.dynamodb.entities import entity_of
from zae_limiter.dynamodb.items import Values, key_item, key_of
from zae_limiter.dynamodb.place import TRIES, Event, Found, Place
from zae_limiter.dynamodb.table import ABSENT, PRESENT, Check, Delete, Put, Write, record, values_of
from zae_limiter.exceptions import RateLimiterUnavailable, ValidationError
from zae_limiter.models import AuditAction, Limit, OnUnavailableAction, check_limits
from zae_limiter.naming import (
    DEFAULT_RESOURCE,
    check_identifier,
    check_optional_principal,
    check_resource,
    check_resource_or_default,
)
from zae_limiter.schema import (
    Key,
    config_key,
    custom_key,
    customized_key,
    entity_key,
    listing_key,
    resource_key,
    tombstone_key,
)


class StoredLimits:
    """Stores limits of one namespace; entity '' is a resource's level, both '' the system's."""

    def __init__(self, place: Place, deletion: Deletion) -> None:
        self._place = place
        self._deletion = deletion

    async def set_limits(
        self, entity_id: str, limits: Sequence[Limit], resource: str = DEFAULT_RESOURCE, principal: str | None = None
    ) -> None:
        """Replace the limits of an entity for a resource, or for all with `_default_`."""
        check_identifier(entity_id)
        check_resource_or_default(resource)
        await self._set(entity_id, resource, limits, principal)

    async def get_limits(self, entity_id: str, resource: str = DEFAULT_RESOURCE) -> list[Limit]:
        """What is stored at this level; empty if nothing."""
        check_identifier(entity_id)
        check_resource_or_default(resource)
        return list((await self._get(entity_id, resource)).limits)

    async def delete_limits(
        self, entity_id: str, resource: str = DEFAULT_RESOURCE, principal: str | None = None
    ) -> None:
        """Remove what is stored at this level."""
        check_identifier(entity_id)
        check_resource_or_default(resource)
        await self._delete(entity_id, resource, principal)

    async def list_entities_with_custom_limits(
        self, resource: str, limit: int | None = None, cursor: str | None = None
    ) -> tuple[list[str], str | None]:
        """One page of the entities with limits for a resource, and the cursor of the next; None at the end."""
        check_resource_or_default(resource)
        if limit is not None and (type(limit) is not int or limit < 1):
            raise ValidationError("limit", str(limit), "must be at least 1")
        if cursor is not None:
            check_identifier(cursor, "cursor")
        namespace_id = await self._place.id()
        after: Any = None if cursor is None else key_item(custom_key(namespace_id, resource, cursor))
        pk = custom_key(namespace_id, resource, "").pk
        found: list[str] = []
        while limit is None or len(found) <= limit:
            wanted = None if limit is None else limit + 1 - len(found)
            page = await self._place.table.page(pk, after=after, limit=wanted)
            found += [key_of(item).sk for item in page.items]
            after = page.after
            if after is None:
                break
        if limit is None or len(found) <= limit:
            return found, None
        return found[:limit], found[limit - 1]

    async def list_resources_with_entity_configs(self) -> list[str]:
        """Every resource for which an entity has limits, sorted."""
        namespace_id = await self._place.id()
        names = await self._names(customized_key(namespace_id, "").pk)
        firsts = [self._place.table.page(custom_key(namespace_id, name, "").pk, limit=1) for name in names]
        pages = values_of(await self._place.table.runtime.together(firsts))
        return [name for name, page in zip(names, pages, strict=True) if page.items]

    async def set_resource_defaults(self, resource: str, limits: Sequence[Limit], principal: str | None = None) -> None:
        """Replace the limits of a resource."""
        check_resource(resource)
        await self._set("", resource, limits, principal)

    async def get_resource_defaults(self, resource: str) -> list[Limit]:
        """What is stored for a resource; empty if nothing."""
        check_resource(resource)
        return list((await self._get("", resource)).limits)

    async def delete_resource_defaults(self, resource: str, principal: str | None = None) -> None:
        """Remove the limits of a resource."""
        check_resource(resource)
        await self._delete("", resource, principal)

    async def list_resources_with_defaults(self) -> list[str]:
        """Every resource with limits of its own, sorted."""
        return await self._names(resource_key(await self._place.id(), "").pk)

    async def set_system_defaults(
        self,
        limits: Sequence[Limit],
        on_unavailable: OnUnavailableAction | None = None,
        principal: str | None = None,
    ) -> None:
        """Replace the limits of last resort and what to do without a store, both together."""
        if on_unavailable not in (None, "allow", "block"):
            raise ValidationError("on_unavailable", str(on_unavailable), "must be 'allow' or 'block'")
        await self._set("", "", limits, principal, on_unavailable)

    async def get_system_defaults(self) -> tuple[list[Limit], OnUnavailableAction | None]:
        """What is stored for the system."""
        stored = await self._get("", "")
        return list(stored.limits), stored.on_unavailable

    async def get_system_limits(self) -> list[Limit]:
        """The limits of last resort."""
        return (await self.get_system_defaults())[0]

    async def batch_get_configs(
        self, keys: list[tuple[str, str]]
    ) -> dict[tuple[str, str], tuple[list[Limit], OnUnavailableAction | None]]:
        """The levels with these keys of the table, as `schema.config_key` makes them; those with nothing left out.

        A level that was changed a moment ago may be told as it was.
        """
        namespace_id = await self._place.id()
        for pk, sk in keys:
            if not pk.startswith(f"{namespace_id}/") or not sk.startswith("#CONFIG"):
                raise ValidationError("keys", f"{pk} {sk}", "must be keys of schema.config_key in this namespace")
        found = await self._place.table.get_all([Key(*key) for key in keys], consistent=False)
        levels = {key: _level(stored) for key, stored in found.items()}
        return {(key.pk, key.sk): (list(level.limits), level.on_unavailable) for key, level in levels.items()}

    async def delete_system_defaults(self, principal: str | None = None) -> None:
        """Remove both."""
        await self._delete("", "", principal)

    async def _set(
        self,
        entity: str,
        resource: str,
        limits: Sequence[Limit],
        principal: str | None,
        on_unavailable: OnUnavailableAction | None = None,
    ) -> None:
        checked = check_limits(limits)
        told: dict[str, Any] = {"limits": [limit.to_dict() for limit in checked]}
        if not entity and not resource:
            told["on_unavailable"] = None if on_unavailable is None else str(on_unavailable)
        event = Event(AuditAction.LIMITS_SET, *_subject(entity, resource, principal), told)
        for tries in range(TRIES):
            await self._place.table.let_others(tries)
            found = await self._level_looked(entity, resource)
            writes = self._level_writes(found.namespace_id, entity, resource, told)
            if entity and found.get(customized_key(found.namespace_id, resource)) is None:
                # Only once for a resource, and never taken back: not a record that all its entities write at once.
                await self._place.table.transact([Put(_customized(found.namespace_id, resource))])
            if not await self._place.change(found, writes, event):
                return
        raise RateLimiterUnavailable("others changed the entity all the time", stack_name=self._place.table.name)

    def _level_writes(self, namespace_id: str, entity: str, resource: str, told: Mapping[str, Any]) -> list[Write]:
        listed = listing_key(namespace_id, "CONFIG", entity, resource)
        writes: list[Write] = [Put(record(config_key(namespace_id, entity, resource), listed, **told))]
        if entity:
            relation = record(
                custom_key(namespace_id, resource, entity), listing_key(namespace_id, "CUSTOM", entity, resource)
            )
            writes += [Put(relation), Check(tombstone_key(namespace_id, entity), ABSENT)]
        elif resource:
            listed = listing_key(namespace_id, "RESOURCE", resource=resource)
            writes.append(Put(record(resource_key(namespace_id, resource), listed)))
        return writes

    async def _level_looked(self, entity: str, resource: str) -> Found:
        """What stands at a level now; a deletion of the entity that was left half-way is ended first."""

        def keys(namespace_id: str) -> list[Key]:
            own = [config_key(namespace_id, entity, resource)]
            if entity:
                own += [customized_key(namespace_id, resource), tombstone_key(namespace_id, entity)]
            return own

        found = await self._place.look(keys)
        if entity and found.get(tombstone_key(found.namespace_id, entity)) is not None:
            await self._deletion.finish(found, entity)
        return found

    async def _get(self, entity: str, resource: str) -> StoredLevel:
        return _level(await self._place.table.get(config_key(await self._place.id(), entity, resource)))

    async def _delete(self, entity: str, resource: str, principal: str | None) -> None:
        who = _subject(entity, resource, principal)
        found = await self._level_looked(entity, resource)
        stored = found.get(config_key(found.namespace_id, entity, resource))
        if stored is None:
            return
        told: dict[str, Any] = {}
        if not entity and not resource:
            level = _level(stored)
            told = {"limits": [limit.name for limit in level.limits], "on_unavailable": level.on_unavailable}
        writes: list[Write] = [Delete(config_key(found.namespace_id, entity, resource), PRESENT)]
        if entity:
            writes.append(Delete(custom_key(found.namespace_id, resource, entity)))
        elif resource:
            writes.append(Delete(resource_key(found.namespace_id, resource)))
        # When the condition fails, another has deleted the level meanwhile, and told so.
        await self._place.change(found, writes, Event(AuditAction.LIMITS_DELETED, *who, told))

    async def _names(self, pk: str) -> list[str]:
        return [key_of(item).sk for item in await self._place.table.query(pk)]

    async def _slots(self, slots: Sequence[Slot], *, consistent: bool) -> Mapping[Slot, Cached]:
        """What the configuration cache asks for, in one batch, and that the namespace is still in use.

        Where that is to be looked up again, it is so in the same batch: the id is taken to be the one that it was.
        """
        namespace_id = self._place.last_id() or await self._place.id()
        proofs = self._place.proofs()
        consistent = consistent or not self._place.namespace_id
        keys = {slot: _slot_key(namespace_id, slot) for slot in slots}
        found = await self._place.table.get_all_with_others([*proofs, *keys.values()], consistent=consistent)
        if not consistent and any(proof not in found for proof in proofs):
            # An eventually consistent read may not show yet what is new.
            return await self._slots(slots, consistent=True)
        if self._place.proven(proofs, found) != namespace_id:
            return await self._slots(slots, consistent=True)
        return {slot: _slot_value(slot, found.get(key)) for slot, key in keys.items()}


def _subject(entity: str, resource: str, principal: str | None) -> tuple[str, str | None, str | None]:
    by = check_optional_principal(principal)
    return entity or ("$RESOURCE:" + resource if resource else "$SYSTEM"), by, resource or None


def _customized(namespace_id: str, resource: str) -> dict[str, Any]:
    return record(customized_key(namespace_id, resource), listing_key(namespace_id, "CUSTOMIZED", resource=resource))


def _level(stored: Values | None) -> StoredLevel:
    if stored is None:
        return StoredLevel()
    return StoredLevel(
        tuple(Limit.from_dict(each) for each in stored["limits"]),
        stored.get("on_unavailable"),
    )


def _slot_key(namespace_id: str, slot: Slot) -> Key:
    if slot.kind == "entity":
        return entity_key(namespace_id, slot.entity_id)
    return config_key(namespace_id, slot.entity_id, slot.resource)


def _slot_value(slot: Slot, stored: Values | None) -> Cached:
    if slot.kind == "entity":
        return None if stored is None else entity_of(slot.entity_id, stored)
    return _level(stored)
