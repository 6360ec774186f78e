"""A server between a benchmark and DynamoDB Local, in a process of its own: it meters, or answers writes at once.

`python -m benchmarks.wire meter|canned ENDPOINT` prints its address. As a meter it asks what each request consumed
and adds it up: `GET /` tells, and begins anew. Canned, it answers charges as a table with room would, so that what
is left is the client's own time; everything else goes to the server behind it.
"""

import asyncio
import functools
import json
import re
import sys
import time
from email.utils import formatdate
from typing import Any, Final
from urllib.parse import urlsplit

_READS: Final = frozenset({"GetItem", "BatchGetItem", "Query", "TransactGetItems"})
_METERED: Final = _READS | {
    "UpdateItem",
    "PutItem",
    "DeleteItem",
    "BatchWriteItem",
    "TransactWriteItems",
}
_SECOND: Final = 1_000_000_000


class Bill:
    """Calls, units and statements since it was last asked for."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Count from nothing."""
        self.calls: dict[str, int] = {}
        self.statements = 0
        self.written = self.index_written = self.read = 0.0

    def add(self, operation: str, asked: dict[str, Any], answer: dict[str, Any]) -> None:
        """Add one request."""
        self.calls[operation] = self.calls.get(operation, 0) + 1
        # DynamoDB Local tells nothing of PartiQL: each statement is one small record.
        self.statements += len(asked.get("Statements", ()))
        told = answer.get("ConsumedCapacity") or []
        for each in told if isinstance(told, list) else [told]:
            indexes = each.get("GlobalSecondaryIndexes", {}).values()
            of_index = sum(index["CapacityUnits"] for index in indexes)
            if operation in _READS:
                self.read += each["CapacityUnits"]
            else:
                self.index_written += of_index
                self.written += each["CapacityUnits"] - of_index

    def told(self) -> dict[str, Any]:
        """The sums, which begin anew."""
        found = {
            "calls": sum(self.calls.values()),
            "by_operation": self.calls,
            "statements": self.statements,
            "written": self.written,
            "index_written": self.index_written,
            "read": self.read,
        }
        self.begin()
        return found


class Wire:
    """One kind of server; each connection has one of its own to the server behind."""

    def __init__(self, kind: str, endpoint: str) -> None:
        self._is_canned = kind == "canned"
        found = urlsplit(endpoint)
        self._behind = (found.hostname or "127.0.0.1", found.port or 80)
        self._bill = Bill()
        self._serving: set[asyncio.Task[Any] | None] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection until it ends."""
        behind: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        # The loop alone holds it weakly, and a connection would end in the middle of a request.
        self._serving.add(asyncio.current_task())
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(_length(head))
                operation = _operation(head)
                if head.startswith(b"GET "):
                    writer.write(_response(json.dumps(self._bill.told()).encode()))
                elif self._is_canned and operation in ("UpdateItem", "BatchExecuteStatement"):
                    writer.write(_response(json.dumps(canned(operation, json.loads(body))).encode()))
                else:
                    behind = behind or await asyncio.open_connection(*self._behind)
                    writer.write(await self._passed(head, body, operation, *behind))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._serving.discard(asyncio.current_task())
            writer.close()
            if behind is not None:
                behind[1].close()

    async def _passed(
        self, head: bytes, body: bytes, operation: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bytes:
        asked = json.loads(body)
        if operation in _METERED and not self._is_canned:
            body = json.dumps({**asked, "ReturnConsumedCapacity": "INDEXES"}).encode()
            head = re.sub(rb"(?i)content-length: *\d+", b"Content-Length: %d" % len(body), head)
        writer.write(head + body)
        answer_head = await reader.readuntil(b"\r\n\r\n")
        answer = await reader.readexactly(_length(answer_head))
        self._bill.add(operation, asked, json.loads(answer or b"{}"))
        # The sum that came with the answer is that of a text with what the client did not ask for: it holds.
        return answer_head + answer


def _length(head: bytes) -> int:
    found = re.search(rb"(?i)content-length: *(\d+)", head)
    return int(found.group(1)) if found else 0


def _operation(head: bytes) -> str:
    found = re.search(rb"(?i)x-amz-target: *\w+\.(\w+)", head)
    return found.group(1).decode() if found else ""


def _response(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nDate: {formatdate(usegmt=True)}\r\nContent-Type: application/x-amz-json-1.0\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def canned(operation: str, asked: dict[str, Any]) -> dict[str, Any]:
    """What a table with room would answer to a charge."""
    if operation == "BatchExecuteStatement":
        return {"Responses": [{"TableName": "x", "Item": _of_statement(each)} for each in asked["Statements"]]}
    names, values = asked["ExpressionAttributeNames"], asked["ExpressionAttributeValues"]
    limits = [(name[2:], values[f":r{key[2:]}"]["S"]) for key, name in names.items() if key.startswith("#f")]
    return {"Attributes": _item(limits, values[":w"]["S"])}


def _of_statement(each: dict[str, Any]) -> dict[str, Any]:
    rates = [
        value["S"] for value in each["Parameters"] if "S" in value and re.fullmatch(r"\d+:\d+", value["S"]) is not None
    ]
    return _item(list(zip(_limits(each["Statement"]), rates, strict=False)), each["Parameters"][0]["S"])


@functools.lru_cache(maxsize=256)
def _limits(statement: str) -> list[str]:
    return re.findall(r'SET "f\.([^"]+)"', statement)


def _item(limits: list[tuple[str, str]], mark: str) -> dict[str, Any]:
    now = time.time_ns()
    item: dict[str, Any] = {"PK": {"S": "x"}, "SK": {"S": "x"}, "L": {"S": "x"}, "LS": {"S": "x"}, "w": {"S": mark}}
    item["ttl"] = {"N": str(now // _SECOND // 3_600 * 3_600 + 40 * 86_400)}
    for name, rate in limits:
        item |= {f"f.{name}": {"N": str(now + _SECOND)}, f"r.{name}": {"S": rate}, f"u.{name}": {"N": "7"}}
    return item


async def main(kind: str, endpoint: str) -> None:
    """Serve until the process is ended."""
    server = await asyncio.start_server(Wire(kind, endpoint).serve, "127.0.0.1", 0, backlog=512)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
