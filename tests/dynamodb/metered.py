"""A client of boto3 that asks DynamoDB what each call consumed, and adds it up."""

from typing import Any, NamedTuple

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

_METERED = frozenset(
    {"get_item", "batch_get_item", "query", "transact_write_items", "batch_write_item", "update_item", "put_item"}
)
_READS = frozenset({"get_item", "batch_get_item", "query"})


class Cost(NamedTuple):
    """Calls, write units of the table and of its index, read units.

    DynamoDB Local tells no units of PartiQL: there the statements of batches are counted.
    """

    calls: int = 0
    written: float = 0.0
    indexed: float = 0.0
    read: float = 0.0
    statements: int = 0


class MeteredClient:
    """Hands every call on, and knows what it cost."""

    def __init__(self, endpoint: str) -> None:
        config = Config(retries={"total_max_attempts": 1})
        self._client = boto3.client("dynamodb", endpoint_url=endpoint or None, config=config)
        self.meta = self._client.meta
        self.cost = Cost()

    def close(self) -> None:
        self._client.close()

    def taken(self) -> Cost:
        """What was consumed since the last time this was asked."""
        cost, self.cost = self.cost, Cost()
        return cost

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if name == "batch_execute_statement":
            return lambda **parameters: self._batch(method, parameters)
        if name not in _METERED:
            return method

        def call(**parameters: Any) -> Any:
            try:
                found = method(**parameters, ReturnConsumedCapacity="INDEXES")
            except ClientError:
                # A condition that failed: billed as a write, though nothing tells so here.
                self._add(name, [])
                raise
            told = found.get("ConsumedCapacity", [])
            self._add(name, told if isinstance(told, list) else [told])
            return found

        return call

    def _add(self, name: str, told: list[Any]) -> None:
        total = sum(each["CapacityUnits"] for each in told)
        of_index = sum(
            part["CapacityUnits"] for each in told for part in each.get("GlobalSecondaryIndexes", {}).values()
        )
        cost = self.cost._replace(calls=self.cost.calls + 1)
        if name in _READS:
            self.cost = cost._replace(read=cost.read + total)
        else:
            self.cost = cost._replace(written=cost.written + total - of_index, indexed=cost.indexed + of_index)

    def _batch(self, method: Any, parameters: dict[str, Any]) -> Any:
        count = self.cost.statements + len(parameters["Statements"])
        self.cost = self.cost._replace(calls=self.cost.calls + 1, statements=count)
        return method(**parameters)
