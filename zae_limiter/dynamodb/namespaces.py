"""The chapter of namespaces: walls between tenants of one table, and the states they go through.

Each step is one transaction, so there is no state from which a later call cannot go on.
"""

import secrets
from typing import Any, Final

from zae_limiter.dynamodb.items import Values, from_item, key_of
from zae_limiter.dynamodb.place import TRIES
from zae_limiter.dynamodb.table import ABSENT, Condition, Delete, Put, Table, record, values_of
from zae_limiter.exceptions import EntityNotFoundError, RateLimiterUnavailable, ValidationError
from zae_limiter.naming import DEFAULT_NAMESPACE, check_namespace
from zae_limiter.schema import PARTS, listing_parts, namespace_id_key, namespace_key
from zae_limiter.windows import moment

_SWEEPS: Final = 2
"""The listing is eventually consistent: what the first sweep was not shown, the second one is."""


class Namespaces:
    """Registers, deletes, recovers and purges namespaces of one table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def register_namespace(self, namespace: str) -> str:
        """Create a namespace if it is not there; returns its id."""
        return (await self.register_namespaces([namespace]))[namespace]

    async def register_namespaces(self, namespaces: list[str]) -> dict[str, str]:
        """Create several, all names checked first; returns the ids by name."""
        for namespace in namespaces:
            check_namespace(namespace)
        return {name: await self._registered(name) for name in namespaces}

    async def _registered(self, name: str) -> str:
        for tries in range(TRIES):
            await self._table.let_others(tries)
            stored = await self._table.get(namespace_key(name))
            if stored is not None:
                return str(stored["namespace_id"])
            made = secrets.token_urlsafe(8).replace("-", "_")
            now = moment(self._table.clock.now_ns())
            failed = await self._table.transact([_forward(name, made, now), _backward(name, made, now, ABSENT)])
            if not failed:
                return made
        raise self._crowded()

    async def get_namespace(self, namespace: str) -> dict[str, str] | None:
        """Name, id, status and time of creation, or None."""
        check_namespace(namespace)
        stored = await self._table.get(namespace_key(namespace))
        if stored is None:
            return None
        identity, since = stored["namespace_id"], stored["created_at"]
        return {"name": namespace, "namespace_id": identity, "status": "active", "created_at": since}

    async def list_namespaces(self) -> list[dict[str, str]]:
        """Every namespace in use: name, id and time of creation, by name."""
        items = await self._table.query(namespace_key("").pk)
        found = [(key_of(item).sk, from_item(item)) for item in items]
        return [
            {"name": name, "namespace_id": stored["namespace_id"], "created_at": stored["created_at"]}
            for name, stored in found
        ]

    async def delete_namespace(self, namespace: str) -> None:
        """Take a namespace out of use; its data stays until it is purged. `default` is never deleted."""
        check_namespace(namespace)
        if namespace == DEFAULT_NAMESPACE:
            raise ValidationError("namespace", namespace, "the default namespace is never deleted")
        for tries in range(TRIES):
            await self._table.let_others(tries)
            stored = await self._table.get(namespace_key(namespace))
            if stored is None:
                return
            identity = stored["namespace_id"]
            gone = Delete(namespace_key(namespace), Condition(equals={"namespace_id": identity}))
            now, since = moment(self._table.clock.now_ns()), stored["created_at"]
            active = _in_state("active")
            backward = _backward(namespace, identity, since, active, status="deleted", deleted_at=now)
            if not await self._table.transact([gone, backward]):
                return
        raise self._crowded()

    async def recover_namespace(self, namespace_id: str) -> str:
        """Put a deleted namespace back into use; returns its name.

        `EntityNotFoundError` for an unknown id, `ValidationError` when it is in use, being purged, or its name taken.
        """
        for tries in range(TRIES):
            await self._table.let_others(tries)
            name, stored = await self._state(namespace_id)
            if stored["status"] != "deleted":
                remedy = "purge it to the end" if stored["status"] == "purging" else "recover a deleted one"
                reason = f"its status is {stored['status']!r}; {remedy}"
                raise ValidationError("namespace_id", namespace_id, reason)
            if await self._table.get(namespace_key(name)) is not None:
                raise ValidationError("namespace_id", namespace_id, f"the name {name!r} is in use again")
            since = stored["created_at"]
            backward = _backward(name, namespace_id, since, _in_state("deleted"))
            if not await self._table.transact([_forward(name, namespace_id, since), backward]):
                return name
        raise self._crowded()

    async def list_orphan_namespaces(self) -> list[dict[str, str]]:
        """Deleted namespaces, those in the middle of a purge included: id, name, time of deletion, status."""
        items = await self._table.query(namespace_id_key("").pk)
        found = [(key_of(item).sk, from_item(item)) for item in items]
        rows = sorted(
            (stored["name"], identity, stored["deleted_at"], stored["status"])
            for identity, stored in found
            if stored["status"] != "active"
        )
        keys = ("namespace", "namespace_id", "deleted_at", "status")
        return [dict(zip(keys, row, strict=True)) for row in rows]

    async def purge_namespace(self, namespace_id: str) -> None:
        """Remove a deleted namespace with all its data; can be repeated until it is through.

        An unknown id is through already; `ValidationError` for one in use.
        """
        for tries in range(TRIES):
            await self._table.let_others(tries)
            try:
                name, stored = await self._state(namespace_id)
            except EntityNotFoundError:
                return
            if stored["status"] == "active":
                raise ValidationError("namespace_id", namespace_id, "the namespace is in use; delete it first")
            since, gone_at, state = stored["created_at"], stored["deleted_at"], _in_state(stored["status"])
            purging = _backward(name, namespace_id, since, state, status="purging", deleted_at=gone_at)
            if not await self._table.transact([purging]):
                break
        else:
            raise self._crowded()
        for _ in range(_SWEEPS):
            parts = listing_parts(namespace_id)
            for start in range(0, len(parts), PARTS):
                steps = [self._swept(part) for part in parts[start : start + PARTS]]
                values_of(await self._table.runtime.together(steps))
        await self._table.transact([Delete(namespace_id_key(namespace_id), _in_state("purging"))])

    async def _swept(self, part: str) -> None:
        after: Any = None
        while True:
            page = await self._table.page(part, listed=True, after=after)
            await self._table.delete_all(key_of(item) for item in page.items)
            after = page.after
            if after is None:
                return

    async def _state(self, namespace_id: str) -> tuple[str, Values]:
        if not isinstance(namespace_id, str) or not namespace_id or len(namespace_id) > 64:
            raise ValidationError("namespace_id", repr(namespace_id), "must be an id that list_orphan_namespaces tells")
        stored = await self._table.get(namespace_id_key(namespace_id))
        if stored is None:
            raise EntityNotFoundError(namespace_id)
        return stored["name"], stored

    def _crowded(self) -> RateLimiterUnavailable:
        return RateLimiterUnavailable("others changed the namespace all the time", stack_name=self._table.name)


def _forward(name: str, identity: str, since: str) -> Put:
    return Put(record(namespace_key(name), None, namespace_id=identity, created_at=since), ABSENT)


def _backward(
    name: str, identity: str, since: str, when: Condition, *, status: str = "active", deleted_at: str | None = None
) -> Put:
    key = namespace_id_key(identity)
    return Put(record(key, None, name=name, status=status, created_at=since, deleted_at=deleted_at), when)


def _in_state(status: str) -> Condition:
    return Condition(equals={"status": status})
