"""Where a repository works: its namespace, the version of the configuration it knows, and what its chapters share."""

import json
import re
from collections.abc import Callable, Sequence
from sqlite3 import Connection
from typing import Any, Final, TypeVar

from zae_limiter.config_cache import ConfigCache
from zae_limiter.embedded.database import Database
from zae_limiter.exceptions import NamespaceNotFoundError
from zae_limiter.models import Limit
from zae_limiter.ports import Clock

T = TypeVar("T")

SECOND_NS: Final = 1_000_000_000
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class Place:
    """One namespace of a database, seen by every chapter of a repository."""

    def __init__(
        self, database: Database, cache: ConfigCache, clock: Clock, namespace_name: str, timeout_ns: int
    ) -> None:
        self.database = database
        self.cache = cache
        self.clock = clock
        self.namespace_name = namespace_name
        self.namespace_id = ""
        self.config_version = 0
        self.timeout_ns = timeout_ns

    def deadline_ns(self) -> int:
        """When a call that begins now must have ended."""
        return self.clock.monotonic_ns() + self.timeout_ns

    async def read(self, work: Callable[[Connection], T], deadline_ns: int | None = None) -> T:
        """Let `work` read this namespace, as it is in one moment."""

        def found(connection: Connection) -> T:
            self.look(connection)
            return work(connection)

        return await self.database.read(found, self.deadline_ns() if deadline_ns is None else deadline_ns)

    async def change(self, work: Callable[[Connection], T]) -> T:
        """Let `work` change the configuration; what anybody remembers of it is void from then on."""

        def changed(connection: Connection) -> T:
            self.look(connection)
            result = work(connection)
            connection.execute("update store set config_version = config_version + 1")
            return result

        result = await self.database.write(changed, self.deadline_ns())
        self.forget()
        return result

    def look(self, connection: Connection) -> None:
        """Find the namespace and the version of the configuration; forget what an older version said."""
        (version,) = connection.execute("select config_version from store").fetchone()
        if version != self.config_version or not self.namespace_id:
            found = connection.execute(
                "select id from namespace where name = ? and status = 'active'", (self.namespace_name,)
            ).fetchone()
            if found is None:
                self.forget()
                raise NamespaceNotFoundError(self.namespace_name)
            self.cache.invalidate()
            self.namespace_id = found[0]
            self.config_version = version
        self.database.config_version = version

    def forget(self) -> None:
        """Look at the configuration again before the next charge, here and in copies over the same database."""
        self.cache.invalidate()
        self.config_version = 0
        self.database.config_version += 1

    @property
    def is_current(self) -> bool:
        """Whether nobody over the same database is known to have changed the configuration."""
        return self.config_version != 0 and self.config_version == self.database.config_version


def is_stored_text(value: object, longest: int) -> bool:
    """Whether a file can have such a text as a key: it is one, of so many characters at most, without half ones."""
    return isinstance(value, str) and 0 < len(value) <= longest and not _SURROGATE.search(value)


def limits_as_text(limits: Sequence[Limit]) -> str:
    """Limits as a file keeps them."""
    return json.dumps([limit.to_dict() for limit in limits], separators=(",", ":"))


def limits_of_text(text: str | None) -> tuple[Limit, ...]:
    """Limits as they were kept."""
    return tuple(Limit.from_dict(each) for each in json.loads(text)) if text else ()


def write_event(
    connection: Connection,
    place: Place,
    action: str,
    entity: str,
    *,
    principal: str | None,
    resource: str | None = None,
    details: dict[str, Any] | None = None,
) -> None:
    """Write an audit event, in the transaction of the change that it tells of."""
    now_ns = place.clock.now_ns()
    (last,) = connection.execute(
        "select max(id) from audit_event where namespace = ? and entity = ?", (place.namespace_id, entity)
    ).fetchone()
    # A clock that stood still or stepped back must not put an event before its predecessor.
    number = max(now_ns, int(last) + 1 if last else 0)
    connection.execute(
        "insert into audit_event values (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            place.namespace_id,
            entity,
            f"{number:020d}",
            now_ns,
            action,
            principal,
            resource,
            json.dumps(details or {}, separators=(",", ":")),
        ),
    )
