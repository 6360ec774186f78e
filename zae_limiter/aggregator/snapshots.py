"""Writes groups into the usage snapshots of one table; what is written is `rollup.py`'s to say."""

from typing import Final

from zae_limiter.aggregator.rollup import Group, first_of, rest_of, update_of
from zae_limiter.aws_errors import ConditionFailed
from zae_limiter.ports import Client, Clock
from zae_limiter.schema import SEQUENCE

_NS: Final = 1_000_000_000


class Snapshots:
    """The usage snapshots of a table. A write may be repeated: a snapshot takes each record once.

    `retention_days` is how long a snapshot stays after its window is over, `seconds` how long one write may be tried.
    """

    def __init__(
        self, client: Client, table_name: str, *, clock: Clock, retention_days: int = 90, seconds: float = 5.0
    ) -> None:
        self._client = client
        self._table_name = table_name
        self._clock = clock
        self._retention_days = retention_days
        self._seconds = seconds

    async def add(self, group: Group) -> bool:
        """Add what is not in yet; whether anything was."""
        rest: Group | None = group
        is_written = False
        while rest is not None:
            part = first_of(rest)
            update = update_of(part, self._table_name, self._retention_days)
            deadline_ns = self._clock.monotonic_ns() + int(self._seconds * _NS)
            try:
                await self._client.call("UpdateItem", update, deadline_ns=deadline_ns)
            except ConditionFailed as failed:
                if failed.image is None:
                    raise
                # The condition was that all of `part` is missing, so this is less each time.
                rest = rest_of(rest, failed.image[SEQUENCE]["S"])
            else:
                is_written = True
                rest = rest_of(rest, part.changes[-1].sequence)
        return is_written
