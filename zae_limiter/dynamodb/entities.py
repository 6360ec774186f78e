"""The chapter of entities: who is charged, and who stands above whom."""

from dataclasses import replace
from typing import Any

from zae_limiter.dynamodb.deletion import Deletion
from zae_limiter.dynamodb.items import Values, key_of
from zae_limiter.dynamodb.place import TRIES, Event, Found, Place
from zae_limiter.dynamodb.table import ABSENT, Check, Condition, Delete, Put, Write, record
from zae_limiter.exceptions import EntityExistsError, EntityNotFoundError, RateLimiterUnavailable, ValidationError
from zae_limiter.levels import MOST_LEVELS
from zae_limiter.models import AuditAction, Entity, check_entity
from zae_limiter.naming import check_identifier, check_optional_principal
from zae_limiter.schema import child_key, entity_key, listing_key, tombstone_key
from zae_limiter.windows import moment


class Entities:
    """Stores entities of one namespace."""

    def __init__(self, place: Place, deletion: Deletion) -> None:
        self._place = place
        self._deletion = deletion

    async def create_entity(
        self,
        entity_id: str,
        name: str | None = None,
        parent_id: str | None = None,
        cascade: bool = False,
        metadata: dict[str, str] | None = None,
        principal: str | None = None,
    ) -> Entity:
        """Store an entity; `EntityExistsError` if there is one, `ValidationError` for a cycle or a ninth level."""
        check_identifier(entity_id)
        if parent_id is not None:
            check_identifier(parent_id, "parent_id")
        check_entity(name, cascade, metadata)
        by = check_optional_principal(principal)
        now = moment(self._place.clock.now_ns())
        made = Entity(entity_id, name or entity_id, parent_id, cascade, dict(metadata or {}), now)
        for tries in range(TRIES):
            await self._place.table.let_others(tries)
            found, stored = await self._entity_looked(entity_id)
            if stored is not None:
                raise EntityExistsError(entity_id)
            writes: list[Write] = [
                Put(_record(found.namespace_id, made, 1), ABSENT),
                Check(tombstone_key(found.namespace_id, entity_id), ABSENT),
                *await self._line(found.namespace_id, entity_id, parent_id),
                *_below(found.namespace_id, entity_id, parent_id),
            ]
            if not await self._place.change(found, writes, _event(AuditAction.ENTITY_CREATED, made, by)):
                return made
        raise self._crowded()

    async def update_entity(
        self,
        entity_id: str,
        *,
        name: str | None = None,
        parent_id: str | None = None,
        cascade: bool | None = None,
        metadata: dict[str, str] | None = None,
        principal: str | None = None,
    ) -> Entity:
        """Change what is given of an entity; an empty `parent_id` removes the parent. `EntityNotFoundError`."""
        check_identifier(entity_id)
        if parent_id:
            check_identifier(parent_id, "parent_id")
        check_entity(name, bool(cascade) if cascade is None else cascade, metadata)
        by = check_optional_principal(principal)
        for tries in range(TRIES):
            await self._place.table.let_others(tries)
            found, stored = await self._entity_looked(entity_id)
            if stored is None:
                raise EntityNotFoundError(entity_id)
            old = entity_of(entity_id, stored)
            new = replace(
                old,
                name=old.name if name is None else name,
                parent_id=old.parent_id if parent_id is None else parent_id or None,
                cascade=old.cascade if cascade is None else cascade,
                metadata=old.metadata if metadata is None else dict(metadata),
            )
            writes: list[Write] = [Put(_record(found.namespace_id, new, stored["revision"] + 1), _unchanged(stored))]
            if new.parent_id != old.parent_id:
                writes += await self._line(found.namespace_id, entity_id, new.parent_id)
                writes += _below(found.namespace_id, entity_id, new.parent_id)
                if old.parent_id is not None:
                    writes.append(Delete(child_key(found.namespace_id, old.parent_id, entity_id)))
            if not await self._place.change(found, writes, _event(AuditAction.ENTITY_UPDATED, new, by)):
                return new
        raise self._crowded()

    async def get_entity(self, entity_id: str) -> Entity | None:
        """The entity, or None."""
        check_identifier(entity_id)
        stored = await self._place.table.get(entity_key(await self._place.id(), entity_id))
        return None if stored is None else entity_of(entity_id, stored)

    async def delete_entity(self, entity_id: str, principal: str | None = None) -> None:
        """Remove an entity with its limits, buckets and usage; audit events stay. Nothing there: nothing done.

        When it is interrupted, a second call, or one that stores something of the entity, takes it to its end.
        """
        check_identifier(entity_id)
        by = check_optional_principal(principal)
        for tries in range(TRIES):
            await self._place.table.let_others(tries)
            found, stored = await self._entity_looked(entity_id)
            keys = await self._deletion.records(found.namespace_id, entity_id)
            if stored is None and not keys:
                return
            writes: list[Write] = [self._deletion.tombstone(found.namespace_id, entity_id)]
            if stored is not None:
                writes.append(Delete(entity_key(found.namespace_id, entity_id), _unchanged(stored)))
                parent_id = stored.get("parent_id")
                if parent_id is not None:
                    writes.append(Delete(child_key(found.namespace_id, parent_id, entity_id)))
            removed = len(keys) + (stored is not None)
            event = Event(AuditAction.ENTITY_DELETED, entity_id, by, None, {"records_deleted": removed})
            if not await self._place.change(found, writes, event):
                await self._deletion.finish(found, entity_id)
                # What was remembered while the sweep went on may be gone now.
                self._place.forget()
                return
        raise self._crowded()

    async def get_children(self, parent_id: str) -> list[Entity]:
        """Every entity directly below this one, by identifier."""
        check_identifier(parent_id, "parent_id")
        namespace_id = await self._place.id()
        names = await self._children(namespace_id, parent_id)
        found = await self._place.table.get_all(entity_key(namespace_id, name) for name in names)
        kept = ((name, found.get(entity_key(namespace_id, name))) for name in names)
        return [entity_of(name, stored) for name, stored in kept if stored is not None]

    async def _children(self, namespace_id: str, parent_id: str) -> list[str]:
        pk = child_key(namespace_id, parent_id, "").pk
        return [key_of(item).sk for item in await self._place.table.query(pk)]

    async def _entity_looked(self, entity_id: str) -> tuple[Found, Values | None]:
        """The entity as it stands; a deletion that was left half-way is ended first."""

        def keys(namespace_id: str) -> Any:
            return entity_key(namespace_id, entity_id), tombstone_key(namespace_id, entity_id)

        found = await self._place.look(keys)
        if found.get(tombstone_key(found.namespace_id, entity_id)) is not None:
            await self._deletion.finish(found, entity_id)
        return found, found.get(entity_key(found.namespace_id, entity_id))

    async def _line(self, namespace_id: str, entity_id: str, parent_id: str | None) -> list[Check]:
        """That the line above an entity does not lead back to it, nor is longer than a charge goes.

        The checks hold it so until the change is written: of two that together would close a circle, one fails.
        """
        checks: list[Check] = []
        current = parent_id
        while current is not None:
            if current == entity_id:
                raise ValidationError("parent_id", str(parent_id), f"would make {entity_id!r} stand above itself")
            if len(checks) + 1 >= MOST_LEVELS:
                raise _too_deep(parent_id)
            stored = await self._place.table.get(entity_key(namespace_id, current))
            above = None if stored is None else stored.get("parent_id")
            same = ABSENT if stored is None else Condition(equals={"parent_id": above})
            checks.append(Check(entity_key(namespace_id, current), same))
            current = above
        if parent_id is not None and await self._is_deeper(namespace_id, entity_id, MOST_LEVELS - 1 - len(checks)):
            raise _too_deep(parent_id)
        return checks

    async def _is_deeper(self, namespace_id: str, entity_id: str, most: int) -> bool:
        """Whether more levels than `most` stand below an entity."""
        level = [entity_id]
        for _ in range(most + 1):
            level = [child for parent in level for child in await self._children(namespace_id, parent)]
            if not level:
                return False
        return True

    def _crowded(self) -> RateLimiterUnavailable:
        return RateLimiterUnavailable("others changed the entity all the time", stack_name=self._place.table.name)


def entity_of(entity_id: str, stored: Values) -> Entity:
    """The entity as its record has it."""
    return Entity(
        entity_id,
        stored["name"],
        stored.get("parent_id"),
        stored["cascade"],
        stored["metadata"],
        stored["created_at"],
    )


def _record(namespace_id: str, entity: Entity, revision: int) -> dict[str, Any]:
    return record(
        entity_key(namespace_id, entity.id),
        listing_key(namespace_id, "ENTITY", entity.id),
        name=entity.name,
        parent_id=entity.parent_id,
        cascade=entity.cascade,
        metadata=dict(entity.metadata),
        created_at=entity.created_at,
        revision=revision,
    )


def _below(namespace_id: str, entity_id: str, parent_id: str | None) -> list[Put]:
    if parent_id is None:
        return []
    listed = listing_key(namespace_id, "CHILD", entity_id, rest=parent_id)
    return [Put(record(child_key(namespace_id, parent_id, entity_id), listed))]


def _unchanged(stored: Values) -> Condition:
    return Condition(equals={"revision": stored["revision"]})


def _event(action: str, entity: Entity, principal: str | None) -> Event:
    details: dict[str, Any] = {
        "name": entity.name,
        "parent_id": entity.parent_id,
        "cascade": entity.cascade,
        "metadata": dict(entity.metadata),
    }
    return Event(action, entity.id, principal, None, details)


def _too_deep(parent_id: str | None) -> ValidationError:
    return ValidationError("parent_id", str(parent_id), f"at most {MOST_LEVELS} levels stand above one another")
