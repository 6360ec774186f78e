"""A gate in front of DynamoDB: an HTTP proxy that lets through what policies allow, and denies the rest as AWS does.

A transaction is allowed when each of its parts is; a batch of statements answers for each of its own.
"""

import contextlib
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from typing import Any, Final
from urllib.parse import urlsplit

from tests import http_server
from tests.http_server import Answer, Request
from tests.infra.policies import Asked, Statement, allows
from zae_limiter.schema import LISTING_PK, PK

_TRANSACTED: Final = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
    "Get": "GetItem",
}
_STATEMENTS: Final = {"UPDATE": "PartiQLUpdate", "SELECT": "PartiQLSelect", "INSERT": "PartiQLInsert"}
_TOKENS: Final = re.compile(r'"(?:[^"]|"")*"|[A-Za-z_]+|[?=]')
_OF_HTTP: Final = frozenset({"connection", "content-length", "host", "transfer-encoding"})


class Gate:
    """What passes, for whom, and what has passed. `table_name` is the table that the policies speak of.

    With `statements=None` everything passes. `reached` hears of each request before it goes on. `denied_whole` is a
    service that denies a batch of statements at once.
    """

    def __init__(self, upstream: str, table_name: str, table_arn: str) -> None:
        self.statements: Sequence[Statement] | None = None
        self.tags: dict[str, str] = {}
        self.passed: list[Asked] = []
        self.denied: list[Asked] = []
        self.denied_whole = False
        self.reached: Callable[[str], None] = lambda _: None
        self.url = ""
        self._upstream = urlsplit(upstream)
        self._kept = threading.local()
        self._opened: list[HTTPConnection] = []
        self.table_name = table_name
        self._table_arn = table_arn

    def answer(self, headers: dict[str, str], body: bytes) -> Answer:
        """Let one request through, or deny it."""
        operation = headers["x-amz-target"].rpartition(".")[2]
        request = json.loads(body)
        self.reached(operation)
        if operation == "BatchExecuteStatement" and not self.denied_whole:
            return self._of_statements(headers, request)
        denied = [each for each in self.things_asked(operation, request) if not self._passes(each)]
        return _denied(denied[0]) if denied else self._forwarded(headers, body)

    def _of_statements(self, headers: dict[str, str], request: dict[str, Any]) -> Answer:
        statements = request["Statements"]
        may = [self._passes(self._of_statement(each)) for each in statements]
        passing = [statement for statement, allowed in zip(statements, may, strict=True) if allowed]
        found = Answer(200, {"content-type": "application/x-amz-json-1.0"}, b'{"Responses": []}')
        if passing:
            found = self._forwarded(headers, json.dumps({**request, "Statements": passing}).encode())
        if found.status != 200 or len(passing) == len(statements):
            return found
        told = iter(json.loads(found.content)["Responses"])
        error = {"Error": {"Code": "AccessDenied", "Message": "User is not authorized to perform this action"}}
        responses = [next(told) if allowed else error for allowed in may]
        content = json.dumps({"Responses": responses}).encode()
        return Answer(200, {"content-type": found.headers["content-type"]}, content)

    def _passes(self, asked: Asked) -> bool:
        allowed = self.statements is None or allows(self.statements, asked, self.tags)
        (self.passed if allowed else self.denied).append(asked)
        return allowed

    def things_asked(self, operation: str, request: dict[str, Any]) -> list[Asked]:
        """What a request wants to do, in the words of IAM."""
        if operation in ("TransactWriteItems", "TransactGetItems"):
            parts = [part for item in request["TransactItems"] for part in item.items()]
            return [self._of_item(_TRANSACTED[kind], what["TableName"], [what]) for kind, what in parts]
        if operation == "BatchGetItem":
            found = request["RequestItems"].items()
            return [self._of_item(operation, name, [{"Key": key} for key in what["Keys"]]) for name, what in found]
        if operation == "BatchWriteItem":
            found = request["RequestItems"].items()
            return [
                self._of_item(operation, name, [each for item in what for each in item.values()])
                for name, what in found
            ]
        if operation == "BatchExecuteStatement":
            return [self._of_statement(each) for each in request["Statements"]]
        if operation == "Query":
            return [self._of_query(request)]
        if "StreamArn" in request:
            return [Asked(f"dynamodb:{operation}", f"{self._table_arn}/stream/1")]
        if "ShardIterator" in request:
            return [Asked("dynamodb:GetRecords", f"{self._table_arn}/stream/1")]
        has_key = "Key" in request or "Item" in request
        return [self._of_item(operation, request["TableName"], [request] if has_key else [])]

    def _of_item(self, action: str, table_name: str, named: Sequence[Mapping[str, Any]]) -> Asked:
        keys = tuple((each.get("Key") or each["Item"])[PK]["S"] for each in named)
        return Asked(f"dynamodb:{action}", self._arn(table_name), keys)

    def _of_query(self, request: Mapping[str, Any]) -> Asked:
        index = request.get("IndexName")
        names = request.get("ExpressionAttributeNames", {})
        equal = dict(re.findall(r"(#?\w+)\s*=\s*(:\w+)", request["KeyConditionExpression"]))
        partition = LISTING_PK if index else PK
        (placeholder,) = [value for name, value in equal.items() if names.get(name, name) == partition]
        resource = self._arn(request["TableName"]) + (f"/index/{index}" if index else "")
        return Asked("dynamodb:Query", resource, (request["ExpressionAttributeValues"][placeholder]["S"],))

    def _of_statement(self, request: Mapping[str, Any]) -> Asked:
        tokens = _TOKENS.findall(request["Statement"])
        action = _STATEMENTS[tokens[0]]
        where = tokens.index("WHERE")
        place = next(
            at for at in range(where, len(tokens)) if tokens[at : at + 3] in ([f'"{PK}"', "=", "?"], [PK, "=", "?"])
        )
        value = request["Parameters"][tokens[: place + 2].count("?")]["S"]
        return Asked(f"dynamodb:{action}", self._arn(tokens[1].strip('"')), (value,))

    def _arn(self, table_name: str) -> str:
        if table_name == self.table_name:
            return self._table_arn
        return self._table_arn.rpartition("/")[0] + f"/{table_name}"

    def _forwarded(self, headers: dict[str, str], body: bytes) -> Answer:
        kept = {name: value for name, value in headers.items() if name not in _OF_HTTP}
        connection = self._connection()
        try:
            connection.request("POST", "/", body, kept)
            response = connection.getresponse()
        except (ConnectionError, HTTPException):
            # The service closes connections that nobody used for a while.
            connection.close()
            connection.request("POST", "/", body, kept)
            response = connection.getresponse()
        told = {name.lower(): value for name, value in response.getheaders()}
        headers = {name: value for name, value in told.items() if name not in _OF_HTTP}
        return Answer(response.status, headers, response.read())

    def _connection(self) -> HTTPConnection:
        """One for each thread, which is one for each connection of a client."""
        kept: HTTPConnection | None = getattr(self._kept, "connection", None)
        if kept is None:
            kept = HTTPConnection(self._upstream.hostname or "", self._upstream.port, timeout=60)
            self._kept.connection = kept
            self._opened.append(kept)
        return kept

    def close(self) -> None:
        """Close what was opened to the service."""
        for connection in self._opened:
            connection.close()


def _denied(asked: Asked) -> Answer:
    message = f"User: arn:aws:sts::123456789012:assumed-role/test is not authorized to perform: {asked}"
    told = {"__type": "com.amazon.coral.service#AccessDeniedException", "Message": message}
    return Answer(400, {"content-type": "application/x-amz-json-1.0"}, json.dumps(told).encode())


@contextlib.contextmanager
def guarded(upstream: str, table_name: str, table_arn: str) -> Iterator[Gate]:
    """A gate on a port of its own."""
    gate = Gate(upstream, table_name, table_arn)

    def answer(request: Request) -> Answer:
        return gate.answer(request.headers, request.body)

    with http_server.served(answer) as gate.url, contextlib.closing(gate):
        yield gate
