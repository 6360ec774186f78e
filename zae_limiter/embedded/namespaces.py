"""The chapter of namespaces: walls between tenants of one file, and the states they go through."""

import functools
import secrets
from collections.abc import Callable
from sqlite3 import Connection
from typing import Final, TypeVar

from zae_limiter.embedded.place import Place, is_stored_text
from zae_limiter.exceptions import EntityNotFoundError, ValidationError
from zae_limiter.naming import DEFAULT_NAMESPACE, check_namespace
from zae_limiter.windows import moment

T = TypeVar("T")

_ROWS_A_STEP: Final = 500
_LONGEST_ID: Final = 64
_TABLES: Final = ("entity", "configuration", "bucket", "usage", "audit_event", "setting")


class Namespaces:
    """Registers, deletes, recovers and purges namespaces of one file."""

    def __init__(self, place: Place) -> None:
        self._place = place

    async def register_namespace(self, namespace: str) -> str:
        """Create a namespace if it is not there; returns its id."""
        return (await self.register_namespaces([namespace]))[namespace]

    async def register_namespaces(self, namespaces: list[str]) -> dict[str, str]:
        """Create several, all names checked first; returns the ids by name."""
        for namespace in namespaces:
            check_namespace(namespace)

        def work(connection: Connection) -> dict[str, str]:
            return {name: registered(connection, name, self._place.clock.now_ns()) for name in namespaces}

        return await self._changed(work)

    async def get_namespace(self, namespace: str) -> dict[str, str] | None:
        """Name, id, status and time of creation, or None."""
        check_namespace(namespace)

        def work(connection: Connection) -> dict[str, str] | None:
            row = connection.execute(
                "select name, id, status, created_at from namespace where name = ? and status = 'active'", (namespace,)
            ).fetchone()
            return (
                None if row is None else dict(zip(("name", "namespace_id", "status", "created_at"), row, strict=True))
            )

        return await self._place.database.read(work, self._place.deadline_ns())

    async def list_namespaces(self) -> list[dict[str, str]]:
        """Every namespace in use: name, id and time of creation, by name."""

        def work(connection: Connection) -> list[dict[str, str]]:
            rows = connection.execute(
                "select name, id, created_at from namespace where status = 'active' order by name"
            )
            return [dict(zip(("name", "namespace_id", "created_at"), row, strict=True)) for row in rows]

        return await self._place.database.read(work, self._place.deadline_ns())

    async def delete_namespace(self, namespace: str) -> None:
        """Take a namespace out of use; its data stays until it is purged. `default` is never deleted."""
        check_namespace(namespace)
        if namespace == DEFAULT_NAMESPACE:
            raise ValidationError("namespace", namespace, "the default namespace is never deleted")

        def work(connection: Connection) -> None:
            connection.execute(
                "update namespace set status = 'deleted', deleted_at = ? where name = ? and status = 'active'",
                (moment(self._place.clock.now_ns()), namespace),
            )

        await self._changed(work)

    async def recover_namespace(self, namespace_id: str) -> str:
        """Put a deleted namespace back into use; returns its name.

        `EntityNotFoundError` for an unknown id, `ValidationError` when it is in use, being purged, or its name taken.
        """
        _check_id(namespace_id)

        def work(connection: Connection) -> str:
            name, status = _state(connection, namespace_id)
            if status != "deleted":
                remedy = "purge it to the end" if status == "purging" else "recover a deleted one"
                raise ValidationError("namespace_id", namespace_id, f"its status is {status!r}; {remedy}")
            taken = connection.execute(
                "select 1 from namespace where name = ? and status = 'active'", (name,)
            ).fetchone()
            if taken:
                raise ValidationError("namespace_id", namespace_id, f"the name {name!r} is in use again")
            connection.execute(
                "update namespace set status = 'active', deleted_at = null where id = ?", (namespace_id,)
            )
            return name

        return await self._changed(work)

    async def list_orphan_namespaces(self) -> list[dict[str, str]]:
        """Deleted namespaces, those in the middle of a purge included: id, name, time of deletion, status."""

        def work(connection: Connection) -> list[dict[str, str]]:
            rows = connection.execute(
                "select id, name, deleted_at, status from namespace where status <> 'active' order by name, id"
            )
            keys = ("namespace_id", "namespace", "deleted_at", "status")
            return [dict(zip(keys, row, strict=True)) for row in rows]

        return await self._place.database.read(work, self._place.deadline_ns())

    async def purge_namespace(self, namespace_id: str) -> None:
        """Remove a deleted namespace with all its data; can be repeated until it is through.

        An unknown id is through already; `ValidationError` for one in use.
        """
        _check_id(namespace_id)

        def begin(connection: Connection) -> bool:
            try:
                _, status = _state(connection, namespace_id)
            except EntityNotFoundError:
                return False
            if status == "active":
                raise ValidationError("namespace_id", namespace_id, "the namespace is in use; delete it first")
            connection.execute("update namespace set status = 'purging' where id = ?", (namespace_id,))
            return True

        if not await self._changed(begin):
            return
        # In small steps, since charges of other namespaces wait for each of them.
        for table in _TABLES:
            step = functools.partial(_purge_step, table=table, namespace_id=namespace_id)
            while await self._changed(step):
                continue

        def end(connection: Connection) -> None:
            # The buckets' trigger has closed their hours into the usage meanwhile.
            connection.execute("delete from usage where namespace = ?", (namespace_id,))
            connection.execute("delete from namespace where id = ?", (namespace_id,))

        await self._changed(end)

    async def _changed(self, work: Callable[[Connection], T]) -> T:
        def changed(connection: Connection) -> T:
            result = work(connection)
            connection.execute("update store set config_version = config_version + 1")
            return result

        result = await self._place.database.write(changed, self._place.deadline_ns())
        self._place.forget()
        return result


def registered(connection: Connection, name: str, now_ns: int) -> str:
    """The id of a namespace in use, which is created if it is not there."""
    found = connection.execute("select id from namespace where name = ? and status = 'active'", (name,)).fetchone()
    if found is not None:
        return str(found[0])
    made = secrets.token_urlsafe(8).replace("-", "_")
    connection.execute("insert into namespace values (?, ?, 'active', ?, null)", (made, name, moment(now_ns)))
    return made


def _check_id(namespace_id: object) -> None:
    if not is_stored_text(namespace_id, _LONGEST_ID):
        raise ValidationError("namespace_id", repr(namespace_id), "must be an id that list_orphan_namespaces tells")


def _state(connection: Connection, namespace_id: str) -> tuple[str, str]:
    row = connection.execute("select name, status from namespace where id = ?", (namespace_id,)).fetchone()
    if row is None:
        raise EntityNotFoundError(namespace_id)
    return row[0], row[1]


def _purge_step(connection: Connection, *, table: str, namespace_id: str) -> bool:
    keys = {
        "entity": "id",
        "configuration": "entity, resource",
        "bucket": "entity, resource, name",
        "usage": "entity, resource, hour, name",
        "audit_event": "entity, id",
        "setting": "name",
    }[table]
    removed = connection.execute(
        f"delete from {table} where namespace = ?1 and ({keys}) in"
        f" (select {keys} from {table} where namespace = ?1 limit {_ROWS_A_STEP})",
        (namespace_id,),
    ).rowcount
    return removed > 0
