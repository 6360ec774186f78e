"""A client of boto3 in front of a real table: it pages early, leaves parts of batches undone, or dies at a call."""

import copy
from typing import Any

import boto3
from botocore.config import Config

_WRITES = frozenset({"transact_write_items", "batch_write_item", "update_item"})


class Death(BaseException):
    """The process ends here, as far as the code under test can tell."""


class TroubledClient:
    """Hands every call on; `calls` has their names."""

    def __init__(self, endpoint: str) -> None:
        config = Config(retries={"total_max_attempts": 1})
        self._client = boto3.client("dynamodb", endpoint_url=endpoint or None, config=config)
        self.meta = self._client.meta
        self.calls: list[str] = []
        self.writes = 0
        self.heal()

    def heal(self) -> None:
        """Let all through."""
        self._page: int | None = None
        self._at_once: int | None = None
        self._is_garbled = False
        self._dies_at: int | None = None
        self._is_sent = False

    def page_at(self, size: int) -> None:
        """End a page of a query after so many records."""
        self._page = size

    def leave_all_but(self, count: int) -> None:
        """Do so many parts of a batch, and leave the others undone."""
        self._at_once = count

    def garble(self) -> None:
        """Answer as the library of AWS makes of what is no answer of DynamoDB, such as the page of a gateway."""
        self._is_garbled = True

    def die_at(self, write: int, *, after: bool) -> None:
        """End the process at the write with this number, counted from now: before it is sent or after it was done."""
        self._dies_at, self._is_sent = self.writes + write, after

    def close(self) -> None:
        self._client.close()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(**parameters: Any) -> Any:
            is_last = name in _WRITES and self.writes == self._dies_at
            if is_last and not self._is_sent:
                raise Death
            if self._is_garbled:
                return {"ResponseMetadata": {"HTTPStatusCode": 200, "HTTPHeaders": {}}}
            self.calls.append(name)
            self.writes += name in _WRITES
            if name == "query" and self._page is not None:
                parameters["Limit"] = min(parameters.get("Limit", self._page), self._page)
            if name.startswith("batch_") and self._at_once is not None:
                return self._partly(method, name, parameters)
            found = method(**parameters)
            if is_last:
                raise Death
            return found

        return call

    def _partly(self, method: Any, name: str, parameters: dict[str, Any]) -> Any:
        ((table, wanted),) = parameters["RequestItems"].items()
        done, left = copy.copy(wanted), copy.copy(wanted)
        if name == "batch_get_item":
            done["Keys"], left["Keys"] = wanted["Keys"][: self._at_once], wanted["Keys"][self._at_once :]
            is_left, kind = bool(left["Keys"]), "UnprocessedKeys"
        else:
            done, left = wanted[: self._at_once], wanted[self._at_once :]
            is_left, kind = bool(left), "UnprocessedItems"
        if self._at_once == 0:
            return {"Responses": {}, kind: {table: left}}
        return method(RequestItems={table: done}) | ({kind: {table: left}} if is_left else {})
