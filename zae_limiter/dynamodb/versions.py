"""The chapter of versions: which schema a table has, who may use it, and the migrations between schemas."""

import functools
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple

from zae_limiter import __version__
from zae_limiter.dynamodb.items import Values
from zae_limiter.dynamodb.table import ABSENT, Condition, Put, Table, record
from zae_limiter.exceptions import (
    IncompatibleSchemaError,
    RateLimiterUnavailable,
    ValidationError,
    VersionMismatchError,
)
from zae_limiter.schema import SCHEMA_VERSION, version_key
from zae_limiter.windows import moment

_VERSION: Final = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(?:[-.+]([0-9A-Za-z][0-9A-Za-z.+\-]*))?")


class Version(NamedTuple):
    """A version; one that is not released yet sorts below its release."""

    major: int
    minor: int
    patch: int
    is_released: bool = True
    label: str = ""


def parse_version(text: str) -> Version:
    """`1.2.3`, `v1.2.3` or `1.2.3-rc1` as a version that can be compared; `ValidationError`."""
    match = _VERSION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValidationError("version", str(text), "must look like 1.2.3 or 1.2.3-rc1")
    major, minor, patch = (int(match[place]) for place in (1, 2, 3))
    label = match[4] or ""
    return Version(major, minor, patch, not label, label)


class Migration(NamedTuple):
    """What brings a table from the schemas before `version` to it; it may be run again after it was interrupted."""

    version: str
    description: str
    migrate: Callable[[Table], Awaitable[None]]


MIGRATIONS: Final[tuple[Migration, ...]] = ()
"""From the oldest to the newest. The first schema needs none."""


def check_version(stored: Values | None, table_name: str, *, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Raise unless this library may use a table with this version record.

    `IncompatibleSchemaError` for another schema, `VersionMismatchError` for a table that asks for later clients.
    """
    schema = str((stored or {}).get("schema_version", "none"))
    reason = "it has no version record; prepare_table() writes it" if stored is None else _misfit(stored, migrations)
    if reason is not None:
        raise IncompatibleSchemaError(__version__, schema, f"the table {table_name!r} cannot be used: {reason}")
    oldest = (stored or {}).get("client_min_version", "0.0.0")
    if parse_version(__version__) < parse_version(oldest):
        raise VersionMismatchError(
            __version__,
            schema,
            (stored or {}).get("lambda_version"),
            f"the table {table_name!r} asks for zae-limiter {oldest} or later; upgrade the library",
        )


def _misfit(stored: Values, migrations: Sequence[Migration]) -> str | None:
    try:
        schema = parse_version(stored.get("schema_version", ""))
        parse_version(stored.get("client_min_version", "0.0.0"))
    except ValidationError as error:
        return f"its version record is broken ({error})"
    if schema.major > _OURS.major:
        return "its schema is newer than this library; upgrade the library"
    if schema.major < _OURS.major or pending_migrations(stored["schema_version"], SCHEMA_VERSION, migrations):
        return "its schema is older; bring it up to date with migrate()"
    return None


_OURS: Final = parse_version(SCHEMA_VERSION)


def pending_migrations(old: str, new: str, migrations: Sequence[Migration] = MIGRATIONS) -> list[Migration]:
    """Those after one schema up to another, oldest first."""
    after, upto = parse_version(old), parse_version(new)
    found = [each for each in migrations if after < parse_version(each.version) <= upto]
    return sorted(found, key=lambda each: parse_version(each.version))


class Versions:
    """Reads and writes the version record of one table, and migrates it."""

    def __init__(self, table: Table, *, migrations: Sequence[Migration] = MIGRATIONS) -> None:
        self._table = table
        self._migrations = migrations

    async def get_version_record(self) -> dict[str, Any] | None:
        """Schema version, oldest client, version of the aggregator, when and by whom written; None if there is none."""
        found = await self._table.get(version_key())
        return None if found is None else {name: found.get(name) for name in _FIELDS}

    async def set_version_record(
        self,
        schema_version: str,
        lambda_version: str | None = None,
        client_min_version: str = "0.0.0",
        updated_by: str | None = None,
    ) -> None:
        """Replace the version record; clients below `client_min_version` are turned away from then on."""
        for text in (schema_version, client_min_version, *([] if lambda_version is None else [lambda_version])):
            parse_version(text)
        told = (schema_version, lambda_version, client_min_version, updated_by)
        await self._table.transact([self._put(dict(zip(_TOLD, told, strict=True)))])

    async def _write_first_record(self) -> None:
        """Write the version record of a table that has none."""
        if await self._table.get(version_key()) is None:
            await self._table.transact([self._put({"schema_version": SCHEMA_VERSION}, ABSENT)])

    async def record_aggregator(self, version: str) -> None:
        """Write down which version of the aggregator reads the table's stream; the rest of the record stays."""
        parse_version(version)
        await self._change(lambda _: {"lambda_version": version})

    async def migrate(self) -> list[str]:
        """Bring the table to the schema of this library, step by step; returns the versions that were applied.

        The record is written after each step, so a migration that was interrupted goes on where it stopped.
        Raises `IncompatibleSchemaError` for a table with a newer schema.
        """
        stored = await self._table.get(version_key()) or {}
        schema = str(stored.get("schema_version", SCHEMA_VERSION))
        if parse_version(schema).major > _OURS.major:
            check_version(stored, self._table.name)
        applied: list[str] = []
        for migration in pending_migrations(schema, SCHEMA_VERSION, self._migrations):
            await migration.migrate(self._table)
            await self._change(functools.partial(_raised, migration.version))
            applied.append(migration.version)
        if parse_version(schema) <= _OURS:
            await self._change(functools.partial(_raised, SCHEMA_VERSION))
        return applied

    async def _change(self, change: Callable[[Values], Values]) -> None:
        """Change a part of the record; what others have written of the rest meanwhile stays."""
        for tries in range(_TRIES):
            await self._table.let_others(tries)
            stored = await self._table.get(version_key())
            when = ABSENT if stored is None else Condition(equals={name: stored.get(name) for name in _FIELDS})
            known = {"schema_version": SCHEMA_VERSION, **(stored or {})}
            if not await self._table.transact([self._put(known | change(known), when)]):
                return
        raise RateLimiterUnavailable("others changed the version record all the time", stack_name=self._table.name)

    def _put(self, values: Values, when: Condition | None = None) -> Put:
        told = {"client_min_version": "0.0.0"} | {name: values[name] for name in _TOLD if name in values}
        return Put(record(version_key(), None, **told, updated_at=moment(self._table.clock.now_ns())), when)


def _raised(version: str, stored: Values) -> Values:
    """A schema that another process has brought further is left."""
    return {"schema_version": max(version, str(stored["schema_version"]), key=parse_version)}


_TRIES: Final = 12
_TOLD: Final = ("schema_version", "lambda_version", "client_min_version", "updated_by")
_FIELDS: Final = ("schema_version", "lambda_version", "client_min_version", "updated_at", "updated_by")
