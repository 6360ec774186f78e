"""The chapter of audit events: what was changed, newest first. Each change writes its own event."""

import json
from sqlite3 import Connection

from zae_limiter.embedded.place import Place, moment
from zae_limiter.exceptions import ValidationError
from zae_limiter.models import AuditEvent


class Audit:
    """Reads the audit events of one namespace."""

    def __init__(self, place: Place) -> None:
        self._place = place

    async def get_audit_events(
        self, entity_id: str, limit: int = 100, start_event_id: str | None = None
    ) -> list[AuditEvent]:
        """What was changed, newest first, after `start_event_id` if given.

        Changes of a resource's level stand under `$RESOURCE:name`, those of the system's under `$SYSTEM`.
        """
        if not isinstance(entity_id, str) or not entity_id or len(entity_id) > 512:
            raise ValidationError(
                "entity_id", repr(entity_id), "must be the id of an entity, $RESOURCE:name or $SYSTEM"
            )
        if type(limit) is not int or limit < 1:
            raise ValidationError("limit", str(limit), "must be at least 1")

        def work(connection: Connection) -> list[AuditEvent]:
            rows = connection.execute(
                "select id, at_ns, action, principal, resource, details from audit_event"
                " where namespace = ? and entity = ? and id < ? order by id desc limit ?",
                (self._place.namespace_id, entity_id, start_event_id or "~", limit),
            )
            return [
                AuditEvent(event_id, moment(at_ns), action, entity_id, principal, resource, json.loads(details))
                for event_id, at_ns, action, principal, resource, details in rows
            ]

        return await self._place.read(work)
