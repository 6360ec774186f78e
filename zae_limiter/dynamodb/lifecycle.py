"""How a table comes and goes without CloudFormation: created with its time to live and first records, or deleted."""

from typing import Any, Final

from zae_limiter.aws_errors import Rejected
from zae_limiter.dynamodb.namespaces import Namespaces
from zae_limiter.dynamodb.table import Table
from zae_limiter.dynamodb.versions import Versions
from zae_limiter.exceptions import InfrastructureNotFoundError, RateLimiterUnavailable
from zae_limiter.naming import DEFAULT_NAMESPACE
from zae_limiter.schema import TTL, get_table_definition

_PATIENCE_NS: Final = 300_000_000_000
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 3.0


class Lifecycle(Versions, Namespaces):
    """Creates and deletes one table, with what must be in it before anybody uses it."""

    def __init__(self, table: Table) -> None:
        Versions.__init__(self, table)

    async def create_table(self) -> None:
        """Create the table and wait for it; what is there already stays as it is.

        Items expire by their `ttl`, and the version of the schema and the namespace `default` are registered.
        Meant for development and for tests; `create_stack` brings recovery, alarms and the aggregator too.
        """
        try:
            await self._call("CreateTable", get_table_definition(self._table.name))
        except Rejected as error:
            if error.code != "ResourceInUseException":
                raise
        await self._until(lambda status: status == "ACTIVE")
        await self._expire()
        await self.prepare_table()

    async def prepare_table(self) -> None:
        """Write what must be in a table before anybody uses it: the version of the schema, the namespace `default`.

        For a table that CloudFormation, Terraform or a restored backup has made; what is there stays as it is.
        """
        await self._write_first_record()
        await self.register_namespace(DEFAULT_NAMESPACE)

    async def delete_table(self) -> None:
        """Delete the table with everything in it, and wait; a table that is not there stays so."""
        try:
            await self._call("DeleteTable", {"TableName": self._table.name})
        except InfrastructureNotFoundError:
            return
        except Rejected as error:
            if error.code != "ResourceInUseException":
                raise
        await self._until(lambda status: status is None)

    async def _expire(self) -> None:
        found = await self._call("DescribeTimeToLive", {"TableName": self._table.name})
        if found["TimeToLiveDescription"]["TimeToLiveStatus"] in ("ENABLED", "ENABLING"):
            return
        wanted = {"Enabled": True, "AttributeName": TTL}
        await self._call("UpdateTimeToLive", {"TableName": self._table.name, "TimeToLiveSpecification": wanted})

    async def describe_table(self) -> dict[str, Any] | None:
        """The table in DynamoDB's words (`TableStatus`, `ItemCount`, `TableSizeBytes`, ...); None if there is none."""
        try:
            found = await self._call("DescribeTable", {"TableName": self._table.name})
        except InfrastructureNotFoundError:
            return None
        return dict(found["Table"])

    async def _status(self) -> str | None:
        found = await self.describe_table()
        return None if found is None else str(found["TableStatus"])

    async def _until(self, is_reached: Any) -> None:
        deadline_ns = self._table.clock.monotonic_ns() + _PATIENCE_NS
        pause = _FIRST_PAUSE
        while not is_reached(await self._status()):
            if self._table.clock.monotonic_ns() >= deadline_ns:
                raise RateLimiterUnavailable("the table is still changing; try again", stack_name=self._table.name)
            await self._table.runtime.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _call(self, operation: str, parameters: dict[str, Any]) -> Any:
        return await self._table.client.call(operation, parameters, deadline_ns=self._table.deadline_ns())
