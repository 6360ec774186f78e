"""The chapter of audit events: what was changed, newest first. Each change writes its own event."""

import json
from sqlite3 import Connection
from typing import Final

from zae_limiter.embedded.place import Place, is_stored_text
from zae_limiter.embedded.retention import AUDIT, keep, kept
from zae_limiter.exceptions import ValidationError
from zae_limiter.models import AuditEvent
from zae_limiter.windows import moment

_MOST_EVENTS: Final = 1_000_000_000
_LONGEST_ENTITY: Final = 512
_LONGEST_ID: Final = 64


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
        if not is_stored_text(entity_id, _LONGEST_ENTITY):
            raise ValidationError(
                "entity_id", repr(entity_id), "must be the id of an entity, $RESOURCE:name or $SYSTEM"
            )
        if type(limit) is not int or limit < 1:
            raise ValidationError("limit", str(limit), "must be at least 1")
        if start_event_id not in (None, "") and not is_stored_text(start_event_id, _LONGEST_ID):
            raise ValidationError("start_event_id", repr(start_event_id), "must be the id of an event")

        def work(connection: Connection) -> list[AuditEvent]:
            rows = connection.execute(
                "select id, at_ns, action, principal, resource, details from audit_event"
                " where namespace = ? and entity = ? and id < ? order by id desc limit ?",
                (self._place.namespace_id, entity_id, start_event_id or "~", min(limit, _MOST_EVENTS)),
            )
            return [
                AuditEvent(event_id, moment(at_ns), action, entity_id, principal, resource, json.loads(details))
                for event_id, at_ns, action, principal, resource, details in rows
            ]

        return await self._place.read(work)

    async def set_audit_retention(self, days: int) -> None:
        """Keep audit events of this namespace for so many days; 90 if this was never set."""
        await keep(self._place, AUDIT, days)

    async def get_audit_retention(self) -> int:
        """For how many days audit events are kept."""
        return await kept(self._place, AUDIT)
