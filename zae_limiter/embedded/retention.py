"""How long a file keeps what no charge needs: buckets that are full, usage, audit events.

A little is swept out after every so many rows that charges wrote, twice as many as they can have added. Where
the sweep has come to stands in the file, so that processes which end early get on together.
"""

import json
from datetime import datetime
from sqlite3 import Connection
from typing import Final

from zae_limiter.embedded.place import Place
from zae_limiter.exceptions import ValidationError
from zae_limiter.windows import window_start

ROWS_WRITTEN: Final = 256
"""Rows that charges write from one sweep to the next."""

AUDIT: Final = "audit_retention_days"
USAGE: Final = "usage_retention_days"
UNCHECKED: Final = 2**63 - 1
"""The room of a limit that is only reported: it may lie anywhere that 64 bits reach."""

_ROWS_SWEPT: Final = 2 * ROWS_WRITTEN
_DEFAULT_DAYS: Final = 90
_LONGEST_DAYS: Final = 3_650
_DAY_NS: Final = 86_400_000_000_000
_EVERYONE: Final = ""
_CURSOR: Final = "swept"
_START: Final = ["", "", "", ""]


async def keep(place: Place, name: str, days: int) -> None:
    """Keep usage or audit events of one namespace for so many days."""
    if type(days) is not int or not 1 <= days <= _LONGEST_DAYS:
        raise ValidationError("days", str(days), f"must be an int from 1 to {_LONGEST_DAYS}")
    await place.change(lambda connection: _set(connection, place.namespace_id, name, str(days)))


async def kept(place: Place, name: str) -> int:
    """For how many days they are kept."""
    return await place.read(lambda connection: _days(connection, place.namespace_id, name))


def swept(connection: Connection, place: Place, now_ns: int, ttl_multiplier: int) -> None:
    """Forget a few buckets of anybody's, and some of the usage and events that this namespace has kept long enough."""
    if ttl_multiplier > 0:
        _forget_buckets(connection, now_ns, ttl_multiplier)
    namespace = place.namespace_id
    # Whole months, so that the sums of days and months that can still be asked for stay whole.
    first_ns = now_ns - _days(connection, namespace, USAGE) * _DAY_NS
    first_hour = int(datetime.fromisoformat(window_start("monthly", first_ns // 1_000_000_000)).timestamp()) // 3_600
    connection.execute(_FORGET_USAGE, (namespace, first_hour, _ROWS_SWEPT))
    first_ns = now_ns - _days(connection, namespace, AUDIT) * _DAY_NS
    connection.execute(_FORGET_EVENTS, (namespace, first_ns, _ROWS_SWEPT))


def _forget_buckets(connection: Connection, now_ns: int, ttl_multiplier: int) -> None:
    found = connection.execute(_GET, (_EVERYONE, _CURSOR)).fetchone()
    after = json.loads(found[0]) if found else _START
    last = connection.execute(_LAST_ROW, (*after, _ROWS_SWEPT - 1)).fetchone()
    upto = "" if last is None else "and (namespace, entity, resource, name) <= (?8, ?9, ?10, ?11)"
    values = (*after, now_ns - _DAY_NS, ttl_multiplier - 1, UNCHECKED, *(last or ()))
    connection.execute(_FORGET_BUCKETS + upto, values)
    _set(connection, _EVERYONE, _CURSOR, json.dumps(list(last or _START)))


def _days(connection: Connection, namespace: str, name: str) -> int:
    found = connection.execute(_GET, (namespace, name)).fetchone()
    return int(found[0]) if found else _DEFAULT_DAYS


def _set(connection: Connection, namespace: str, name: str, value: str) -> None:
    connection.execute("insert or replace into setting values (?, ?, ?)", (namespace, name, value))


_GET: Final = "select value from setting where namespace = ? and name = ?"

_LAST_ROW: Final = """
    select namespace, entity, resource, name from bucket
    where (namespace, entity, resource, name) > (?, ?, ?, ?)
    order by namespace, entity, resource, name limit 1 offset ?"""

# The first charge of a bucket left its fill, less what it took, in `room`.
_FORGET_BUCKETS: Final = """
    delete from bucket where (namespace, entity, resource, name) > (?1, ?2, ?3, ?4)
    and full_at + ?6 * (case when room < ?7 then room else 0 end) < ?5 """

_FORGET_USAGE: Final = """
    delete from usage where (namespace, entity, resource, hour, name) in
        (select namespace, entity, resource, hour, name from usage where namespace = ? and hour < ? limit ?)"""

_FORGET_EVENTS: Final = """
    delete from audit_event where (namespace, entity, id) in
        (select namespace, entity, id from audit_event where namespace = ? and at_ns < ? limit ?)"""
