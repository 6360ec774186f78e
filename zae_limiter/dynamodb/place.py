"""Where a repository works: its namespace, and what its chapters share, an audited change above all."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from zae_limiter.config_cache import ConfigCache
from zae_limiter.dynamodb.items import Value, Values
from zae_limiter.dynamodb.table import Put, Table, Write, record
from zae_limiter.dynamodb.versions import check_version
from zae_limiter.exceptions import NamespaceNotFoundError
from zae_limiter.schema import (
    TTL,
    Key,
    audit_key,
    listing_key,
    namespace_key,
    settings_key,
    version_key,
)
from zae_limiter.windows import moment

SECOND_NS: Final = 1_000_000_000
DAY_SECONDS: Final = 86_400
AUDIT_RETENTION_DAYS: Final = 90
TRIES: Final = 12
"""How often a change is planned anew because others changed what it rests on."""

_RETENTION: Final = "audit_retention_days"
_CATCHING_UP_NS: Final = 10 * SECOND_NS


@dataclass(frozen=True, slots=True)
class Found:
    """What stands in the table before a change: the namespace, some records, how long audit events are kept."""

    namespace_id: str
    records: Mapping[Key, Values]
    retention_days: int

    def get(self, key: Key) -> Values | None:
        """One of the records that were asked for, or None."""
        return self.records.get(key)


@dataclass(frozen=True, slots=True)
class Event:
    """An audit event to be written with the change it tells of."""

    action: str
    subject: str
    principal: str | None
    resource: str | None = None
    details: Mapping[str, Value] | None = None


class Place:
    """One namespace of a table, seen by every chapter of a repository."""

    def __init__(self, table: Table, cache: ConfigCache, namespace_name: str) -> None:
        self.table = table
        self.cache = cache
        self.clock = table.clock
        self.namespace_name = namespace_name
        self.namespace_id = ""
        self._last_id = ""
        self._known_until_ns = 0
        self._changed_ns: int | None = None
        self._last_event = 0

    async def id(self) -> str:
        """The id of the namespace, looked up again when the lifetime of the configuration cache is over."""
        if not self.known_id():
            await self.find()
        return self.namespace_id

    def known_id(self) -> str:
        """The same as far as it is known; empty where it is to be looked up."""
        return self.namespace_id if self.clock.monotonic_ns() < self._known_until_ns else ""

    def last_id(self) -> str:
        """The id when it was last looked up, though it may be another by now; empty if it never was."""
        return self._last_id

    async def find(self) -> None:
        """Look the namespace up, and whether this library may use the table.

        Raises `InfrastructureNotFoundError`, `InfrastructureAccessError`, `IncompatibleSchemaError` or
        `NamespaceNotFoundError`.
        """
        proofs = (version_key(), namespace_key(self.namespace_name))
        self.proven(proofs, await self.table.get_all_with_others(proofs, consistent=True))

    def proofs(self) -> tuple[Key, ...]:
        """What is read along with anything else: the namespace and, where that was not known, the version."""
        forward = namespace_key(self.namespace_name)
        return (forward,) if self.known_id() else (version_key(), forward)

    def proven(self, proofs: Sequence[Key], found: Mapping[Key, Values]) -> str:
        """Take over what was read of these; raises as `find` does."""
        if version_key() in proofs:
            check_version(found.get(version_key()), self.table.name)
        return self.stands(found.get(namespace_key(self.namespace_name)))

    def stands(self, forward: Values | None) -> str:
        """Take over what was read of the namespace; `NamespaceNotFoundError` when it is not in use."""
        if forward is None:
            self.leave()
            raise NamespaceNotFoundError(self.namespace_name)
        if forward["namespace_id"] != self._last_id and self._last_id:
            self.cache.invalidate()
        self.namespace_id = self._last_id = forward["namespace_id"]
        # Where nothing is remembered, what was read with the limits is still good for the charge that follows.
        self._known_until_ns = self.clock.monotonic_ns() + max(1, self.cache.ttl_seconds) * SECOND_NS
        return self.namespace_id

    async def look(self, keys: Callable[[str], Sequence[Key]]) -> Found:
        """Some records as they stand now, and that the namespace is in use: a change begins here."""
        forward = namespace_key(self.namespace_name)
        known = await self.id()
        found = await self.table.get_all([forward, settings_key(known), *keys(known)])
        if self.stands(found.get(forward)) != known:
            # Deleted and registered again meanwhile: what was read belongs to the one before.
            return await self.look(keys)
        settings = found.get(settings_key(known)) or {}
        return Found(known, found, settings.get(_RETENTION, AUDIT_RETENTION_DAYS))

    async def change(self, found: Found, writes: Sequence[Write], event: Event) -> Sequence[int]:
        """Write a change and its audit event, both or neither; the places of the conditions that did not hold."""
        failed: Sequence[int] = ()
        try:
            failed = await self.table.transact([*writes, Put(self._event(found, event))])
        finally:
            # Where no answer came it may be written all the same.
            if not failed:
                self._changed_ns = self.clock.monotonic_ns()
                self.forget()
        return failed

    def _event(self, found: Found, event: Event) -> dict[str, Value]:
        now_ns = self.clock.now_ns()
        # A clock that stood still or stepped back must not put an event before its predecessor of this process.
        self._last_event = max(now_ns, self._last_event + 1)
        event_id = f"{self._last_event:020d}{secrets.token_hex(2)}"
        return record(
            audit_key(found.namespace_id, event.subject, event_id),
            listing_key(found.namespace_id, "AUDIT", event.subject, rest=event_id),
            event_id=event_id,
            entity_id=event.subject,
            timestamp=moment(now_ns),
            action=event.action,
            principal=event.principal,
            resource=event.resource,
            details=dict(event.details or {}),
            **{TTL: now_ns // SECOND_NS + found.retention_days * DAY_SECONDS},
        )

    async def keep_audit_events(self, days: int) -> None:
        """Keep the audit events that are written from now on for so many days."""
        found = await self.look(lambda _: ())
        listed = listing_key(found.namespace_id, "SETTINGS")
        settings: dict[str, Any] = record(settings_key(found.namespace_id), listed, **{_RETENTION: days})
        await self.table.transact([Put(settings)])

    def renew(self, entity_id: str, resource: str) -> None:
        """Read again, and consistently, what is in force for an entity and a resource: a bucket has shown otherwise."""
        self._changed_ns = self.clock.monotonic_ns()
        self.cache.renew(entity_id, resource)

    def leave(self) -> None:
        """Know nothing of the namespace any more; the next call looks it up."""
        self.namespace_id = ""
        self.cache.invalidate()

    def forget(self) -> None:
        """Read the configuration again before the next charge."""
        self.cache.invalidate()

    @property
    def reads_consistently(self) -> bool:
        """Whether a change of this process is so fresh that an eventually consistent read might miss it."""
        return self._changed_ns is not None and self.clock.monotonic_ns() - self._changed_ns < _CATCHING_UP_NS
