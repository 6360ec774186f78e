"""The chapter of limits: what is set at the entity's, the resource's and the system's level."""

from collections.abc import Sequence
from sqlite3 import Connection

from zae_limiter.embedded.place import Place, limits_as_text, limits_of_text, write_event
from zae_limiter.exceptions import ValidationError
from zae_limiter.models import AuditAction, Limit, OnUnavailableAction, check_limits
from zae_limiter.naming import (
    DEFAULT_RESOURCE,
    check_identifier,
    check_optional_principal,
    check_resource,
    check_resource_or_default,
)


class StoredLimits:
    """Stores limits of one namespace; entity '' is a resource's level, both '' the system's."""

    def __init__(self, place: Place) -> None:
        self._place = place

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
        return (await self._get(entity_id, resource))[0]

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

        def work(connection: Connection) -> list[str]:
            rows = connection.execute(
                "select entity from configuration where namespace = ? and resource = ? and entity <> ''"
                " and entity > ? order by entity limit ?",
                (self._place.namespace_id, resource, cursor or "", -1 if limit is None else limit + 1),
            )
            return [entity for (entity,) in rows]

        found = await self._place.read(work)
        if limit is None or len(found) <= limit:
            return found, None
        return found[:limit], found[limit - 1]

    async def list_resources_with_entity_configs(self) -> list[str]:
        """Every resource for which an entity has limits, sorted."""
        return await self._resources("entity <> ''")

    async def set_resource_defaults(self, resource: str, limits: Sequence[Limit], principal: str | None = None) -> None:
        """Replace the limits of a resource."""
        check_resource(resource)
        await self._set("", resource, limits, principal)

    async def get_resource_defaults(self, resource: str) -> list[Limit]:
        """What is stored for a resource; empty if nothing."""
        check_resource(resource)
        return (await self._get("", resource))[0]

    async def delete_resource_defaults(self, resource: str, principal: str | None = None) -> None:
        """Remove the limits of a resource."""
        check_resource(resource)
        await self._delete("", resource, principal)

    async def list_resources_with_defaults(self) -> list[str]:
        """Every resource with limits of its own, sorted."""
        return await self._resources("entity = '' and resource <> ''")

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
        return await self._get("", "")

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
        by = check_optional_principal(principal)
        details: dict[str, object] = {"limits": [limit.to_dict() for limit in checked]}
        if not entity and not resource:
            details["on_unavailable"] = None if on_unavailable is None else str(on_unavailable)

        def work(connection: Connection) -> None:
            action = None if on_unavailable is None else str(on_unavailable)
            row = (self._place.namespace_id, entity, resource, limits_as_text(checked), action)
            connection.execute("insert or replace into configuration values (?, ?, ?, ?, ?)", row)
            self._level_told(connection, AuditAction.LIMITS_SET, entity, resource, by, details)

        await self._place.change(work)

    async def _get(self, entity: str, resource: str) -> tuple[list[Limit], OnUnavailableAction | None]:
        def work(connection: Connection) -> tuple[list[Limit], OnUnavailableAction | None]:
            limits, action = stored_level(connection, self._place, entity, resource)
            return list(limits), action

        return await self._place.read(work)

    async def _delete(self, entity: str, resource: str, principal: str | None) -> None:
        by = check_optional_principal(principal)

        def work(connection: Connection) -> None:
            old, action = stored_level(connection, self._place, entity, resource)
            removed = connection.execute(
                "delete from configuration where namespace = ? and entity = ? and resource = ?",
                (self._place.namespace_id, entity, resource),
            ).rowcount
            if not removed:
                return
            system = {"limits": [limit.name for limit in old], "on_unavailable": action}
            details: dict[str, object] = {} if entity or resource else dict(system)
            self._level_told(connection, AuditAction.LIMITS_DELETED, entity, resource, by, details)

        await self._place.change(work)

    def _level_told(
        self,
        connection: Connection,
        action: str,
        entity: str,
        resource: str,
        principal: str | None,
        details: dict[str, object],
    ) -> None:
        subject = entity or ("$RESOURCE:" + resource if resource else "$SYSTEM")
        write_event(
            connection, self._place, action, subject, principal=principal, resource=resource or None, details=details
        )

    async def _resources(self, which: str) -> list[str]:
        def work(connection: Connection) -> list[str]:
            rows = connection.execute(
                f"select distinct resource from configuration where namespace = ? and {which} order by resource",
                (self._place.namespace_id,),
            )
            return [resource for (resource,) in rows]

        return await self._place.read(work)


def stored_level(
    connection: Connection, place: Place, entity: str, resource: str
) -> tuple[tuple[Limit, ...], OnUnavailableAction | None]:
    """What one level has, as the file keeps it."""
    row = connection.execute(
        "select limits, on_unavailable from configuration where namespace = ? and entity = ? and resource = ?",
        (place.namespace_id, entity, resource),
    ).fetchone()
    return ((), None) if row is None else (limits_of_text(row[0]), row[1])
