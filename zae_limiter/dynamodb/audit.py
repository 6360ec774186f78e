"""The chapter of audit events: what was changed, newest first. Each change writes its own event."""

from typing import Any, Final

from zae_limiter.dynamodb.items import Values, from_item, key_item
from zae_limiter.dynamodb.place import Place
from zae_limiter.exceptions import ValidationError
from zae_limiter.models import AuditEvent
from zae_limiter.schema import audit_key

_LONGEST_RETENTION_DAYS: Final = 36_500
_LONGEST_ID: Final = 64


class Audit:
    """Reads the audit events of one namespace, and sets how long they are kept."""

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
        if start_event_id is not None and not (isinstance(start_event_id, str) and len(start_event_id) <= _LONGEST_ID):
            raise ValidationError("start_event_id", repr(start_event_id), "must be the id of an event")
        namespace_id = await self._place.id()
        pk = audit_key(namespace_id, entity_id, "").pk
        after: Any = key_item(audit_key(namespace_id, entity_id, start_event_id)) if start_event_id else None
        found: list[AuditEvent] = []
        while len(found) < limit:
            page = await self._place.table.page(pk, after=after, limit=limit - len(found), newest_first=True)
            found += [_event(from_item(item)) for item in page.items]
            after = page.after
            if after is None:
                break
        return found

    async def set_audit_retention(self, days: int) -> None:
        """Keep audit events that are written from now on for so many days; 90 if this was never set."""
        if type(days) is not int or not 1 <= days <= _LONGEST_RETENTION_DAYS:
            raise ValidationError("days", str(days), f"must be an int from 1 to {_LONGEST_RETENTION_DAYS}")
        await self._place.keep_audit_events(days)

    async def get_audit_retention(self) -> int:
        """For how many days audit events are kept."""
        return (await self._place.look(lambda _: ())).retention_days


def _event(values: Values) -> AuditEvent:
    return AuditEvent(
        values["event_id"],
        values["timestamp"],
        values["action"],
        values["entity_id"],
        values.get("principal"),
        values.get("resource"),
        values["details"],
    )
