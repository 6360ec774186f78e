"""A Lambda of the tests' own: an HTTP endpoint with one function and its event source mapping, whose states are played.

The states are those of AWS's "Lambda function states" (functions-states), and of `State` in the API reference's
`EventSourceMappingConfiguration`.
"""

import base64
import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from tests import http_server
from tests.http_server import Request

Answer = tuple[int, dict[str, Any], str]


@dataclass
class Functions:
    """What is played, and what was done. Each look at the function or its mapping takes the next state; the last stays.

    `refusals` are answered before anything else: an operation, a status, a code and a message.
    """

    name: str = "limits-aggregator"
    url: str = ""
    states: list[dict[str, str]] = field(default_factory=lambda: [{"State": "Active"}])
    mappings: list[str] = field(default_factory=lambda: ["Enabled"])
    refusals: list[tuple[str, int, str, str]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    code: bytes = b""
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        return f"arn:aws:lambda:eu-central-1:123456789012:function:{self.name}"

    def answer(self, method: str, path: str, body: dict[str, Any]) -> Answer:
        """Status, body and error code for one request."""
        operation, name = _operation(method, path)
        self.asked.append(operation)
        for refusal in self.refusals:
            if refusal[0] == operation:
                self.refusals.remove(refusal)
                return refusal[1], {"Message": refusal[3]}, refusal[2]
        if operation == "ListEventSourceMappings":
            state = self.mappings.pop(0) if len(self.mappings) > 1 else self.mappings[0]
            return 200, {"EventSourceMappings": [{"UUID": "1", "State": state}] if state else []}, ""
        if operation == "TagResource":
            assert name == self.arn
            self.tags |= body["Tags"]
            return 204, {}, ""
        if name != self.name:
            return 404, {"Message": f"Function not found: {name}"}, "ResourceNotFoundException"
        if operation == "UpdateFunctionCode":
            self.code = base64.b64decode(body["ZipFile"])
            return 200, {"FunctionArn": self.arn, "CodeSha256": "abc", "LastUpdateStatus": "InProgress"}, ""
        return 200, self.states.pop(0) if len(self.states) > 1 else self.states[0], ""


def _operation(method: str, path: str) -> tuple[str, str]:
    parts = [unquote(part) for part in urlsplit(path).path.strip("/").split("/")]
    if parts[1] == "tags":
        return "TagResource", parts[2]
    if parts[1] == "event-source-mappings":
        return "ListEventSourceMappings", ""
    return {"code": "UpdateFunctionCode", "configuration": "GetFunctionConfiguration"}[parts[3]], parts[2]


@contextlib.contextmanager
def served() -> Iterator[Functions]:
    """An endpoint on a port of its own."""
    functions = Functions()

    def answer(request: Request) -> http_server.Answer:
        status, told, code = functions.answer(request.method, request.path, json.loads(request.body or b"{}"))
        headers = {"Content-Type": "application/json", **({"x-amzn-ErrorType": code} if code else {})}
        return http_server.Answer(status, headers, b"" if status == 204 else json.dumps(told).encode())

    with http_server.served(answer) as functions.url:
        yield functions
