"""The chapter of entities: who is charged, and who stands above whom."""

import json
from sqlite3 import Connection
from typing import Any, Final

from zae_limiter.embedded.place import Place, write_event
from zae_limiter.exceptions import EntityExistsError, EntityNotFoundError, ValidationError
from zae_limiter.levels import MOST_LEVELS
from zae_limiter.models import AuditAction, Entity, check_entity
from zae_limiter.naming import check_identifier, check_optional_principal
from zae_limiter.windows import moment

_COLUMNS: Final = "id, name, parent_id, cascade, metadata, created_at"


class Entities:
    """Stores entities of one namespace."""

    def __init__(self, place: Place) -> None:
        self._place = place

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

        def work(connection: Connection) -> Entity:
            if _entity(connection, self._place, entity_id) is not None:
                raise EntityExistsError(entity_id)
            _check_line(connection, self._place, entity_id, parent_id)
            row = (
                self._place.namespace_id,
                entity_id,
                made.name,
                parent_id,
                int(cascade),
                json.dumps(made.metadata),
                now,
            )
            connection.execute("insert into entity values (?, ?, ?, ?, ?, ?, ?)", row)
            self._entity_told(connection, AuditAction.ENTITY_CREATED, made, by)
            return made

        return await self._place.change(work)

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

        def work(connection: Connection) -> Entity:
            old = _entity(connection, self._place, entity_id)
            if old is None:
                raise EntityNotFoundError(entity_id)
            new = Entity(
                entity_id,
                old.name if name is None else name,
                old.parent_id if parent_id is None else parent_id or None,
                old.cascade if cascade is None else cascade,
                old.metadata if metadata is None else dict(metadata),
                old.created_at,
            )
            _check_line(connection, self._place, entity_id, new.parent_id)
            connection.execute(
                "update entity set name = ?, parent_id = ?, cascade = ?, metadata = ? where namespace = ? and id = ?",
                (
                    new.name,
                    new.parent_id,
                    int(new.cascade),
                    json.dumps(new.metadata),
                    self._place.namespace_id,
                    entity_id,
                ),
            )
            self._entity_told(connection, AuditAction.ENTITY_UPDATED, new, by)
            return new

        return await self._place.change(work)

    def _entity_told(self, connection: Connection, action: str, entity: Entity, principal: str | None) -> None:
        details = {
            "name": entity.name,
            "parent_id": entity.parent_id,
            "cascade": entity.cascade,
            "metadata": entity.metadata,
        }
        write_event(connection, self._place, action, entity.id, principal=principal, details=details)

    async def get_entity(self, entity_id: str) -> Entity | None:
        """The entity, or None."""
        check_identifier(entity_id)
        return await self._place.read(lambda connection: _entity(connection, self._place, entity_id))

    async def delete_entity(self, entity_id: str, principal: str | None = None) -> None:
        """Remove an entity with its limits, buckets and usage; audit events stay. Nothing there: nothing done."""
        check_identifier(entity_id)
        by = check_optional_principal(principal)

        def work(connection: Connection) -> None:
            key = {"namespace": self._place.namespace_id, "entity": entity_id}
            removed = sum(connection.execute(statement, key).rowcount for statement in _DELETIONS)
            if removed:
                details = {"records_deleted": removed}
                write_event(
                    connection, self._place, AuditAction.ENTITY_DELETED, entity_id, principal=by, details=details
                )

        await self._place.change(work)

    async def get_children(self, parent_id: str) -> list[Entity]:
        """Every entity directly below this one, by identifier."""
        check_identifier(parent_id, "parent_id")

        def work(connection: Connection) -> list[Entity]:
            rows = connection.execute(
                f"select {_COLUMNS} from entity where namespace = ? and parent_id = ? order by id",
                (self._place.namespace_id, parent_id),
            )
            return [_made(row) for row in rows]

        return await self._place.read(work)


# The bucket goes before the usage: its trigger closes the current hour into the usage.
_DELETIONS: Final = (
    "delete from entity where namespace = :namespace and id = :entity",
    "delete from configuration where namespace = :namespace and entity = :entity",
    "delete from bucket where namespace = :namespace and entity = :entity",
    "delete from usage where namespace = :namespace and entity = :entity",
)


def stored_entity(connection: Connection, place: Place, entity_id: str) -> Entity | None:
    """The entity as the file has it, or None."""
    return _entity(connection, place, entity_id)


def _entity(connection: Connection, place: Place, entity_id: str) -> Entity | None:
    row = connection.execute(
        f"select {_COLUMNS} from entity where namespace = ? and id = ?", (place.namespace_id, entity_id)
    ).fetchone()
    return None if row is None else _made(row)


def _made(row: Any) -> Entity:
    entity_id, name, parent_id, cascade, metadata, created_at = row
    return Entity(entity_id, name, parent_id, bool(cascade), json.loads(metadata), created_at)


def _check_line(connection: Connection, place: Place, entity_id: str, parent_id: str | None) -> None:
    """The line above an entity must not lead back to it, nor be longer than a charge goes, nor make one below so."""
    above = 1
    current = parent_id
    while current is not None:
        if current == entity_id:
            raise ValidationError("parent_id", str(parent_id), f"would make {entity_id!r} stand above itself")
        above += 1
        found = _entity(connection, place, current)
        current = None if found is None else found.parent_id
    (below,) = connection.execute(_DEPTH_BELOW, (place.namespace_id, entity_id, place.namespace_id)).fetchone()
    if above + (below or 0) > MOST_LEVELS:
        raise ValidationError("parent_id", str(parent_id), f"at most {MOST_LEVELS} levels stand above one another")


_DEPTH_BELOW: Final = f"""
    with recursive below (id, depth) as (
        select id, 1 from entity where namespace = ? and parent_id = ?
        union all
        select entity.id, depth + 1 from entity join below on entity.parent_id = below.id
        where entity.namespace = ? and depth < {MOST_LEVELS}
    )
    select max(depth) from below"""
