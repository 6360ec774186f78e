"""A client's port in front of a repository's own, whose next requests or answers get lost as a test wants."""

import contextlib
from collections import deque
from collections.abc import Mapping
from typing import Any, Final, Literal

from zae_limiter.aws_errors import ConditionFailed, UnknownOutcome

Loss = Literal["request", "answer"]

_WRITES: Final = frozenset({"UpdateItem", "BatchExecuteStatement"})


class LosingClient:
    """Hands every call on; what `losses` names happens to the next writes of buckets, one each."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.losses: deque[Loss] = deque()
        self.lost = 0

    async def open(self) -> None:
        await self._client.open()

    async def close(self) -> None:
        await self._client.close()

    async def once(self, operation: str, parameters: Mapping[str, Any], *, seconds: float) -> Mapping[str, Any]:
        loss = self.losses.popleft() if self.losses and operation in _WRITES else None
        if loss == "request":
            self.lost += 1
            raise UnknownOutcome("the request was lost, as the test wanted")
        if loss is None:
            found: Mapping[str, Any] = await self._client.once(operation, parameters, seconds=seconds)
            return found
        # A condition that failed is an answer, too.
        with contextlib.suppress(ConditionFailed):
            await self._client.once(operation, parameters, seconds=seconds)
        self.lost += 1
        raise UnknownOutcome("the answer was lost, as the test wanted")

    async def call(self, operation: str, parameters: Mapping[str, Any], *, deadline_ns: int) -> Mapping[str, Any]:
        found: Mapping[str, Any] = await self._client.call(operation, parameters, deadline_ns=deadline_ns)
        return found


def put_in_front(core: Any, port: Any) -> None:
    """Let every chapter of an asynchronous repository, or of the core of a blocking one, send through a port."""
    core._client = core._table.client = core._bucket_table._client = core._bucket_table.flights._client = port
