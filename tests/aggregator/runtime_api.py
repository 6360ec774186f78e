"""Lambda's Runtime API as a function sees it: hands out events one after another and takes what becomes of each.

The calls are those of AWS's "Using the Lambda runtime API for custom runtimes" (runtimes-api).
"""

import contextlib
import json
import queue
import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tests import http_server
from tests.http_server import Answer, Request

ARN: Final = "arn:aws:lambda:eu-central-1:123456789012:function:limits-aggregator"
_VERSION: Final = "/2018-06-01/runtime"
_SECONDS: Final = 60.0


class FunctionFailedError(Exception):
    """The function ended in an error, which Lambda takes for "nothing of the batch was done"."""


class RuntimeApi:
    """One function's events and answers. `address` is what the runtime finds in its environment."""

    def __init__(self) -> None:
        self.address = ""
        self.events: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self.outcomes: queue.Queue[tuple[str, bytes]] = queue.Queue()

    def invoke(self, event: Mapping[str, Any]) -> Any:
        """What the function answers; `FunctionFailedError` with what it says of its failure."""
        self.events.put((str(uuid.uuid4()), json.dumps(event).encode()))
        kind, body = self.outcomes.get(timeout=_SECONDS)
        if kind != "response":
            raise FunctionFailedError(f"{kind}: {body.decode()}")
        return json.loads(body)


@contextlib.contextmanager
def served() -> Iterator[RuntimeApi]:
    """A Runtime API on a port of its own."""
    api = RuntimeApi()

    def answer(request: Request) -> Answer:
        if request.method == "POST":
            api.outcomes.put((request.path.rpartition("/")[2], request.body))
            return Answer(202)
        assert request.path == f"{_VERSION}/invocation/next", request.path
        request_id, event = api.events.get()
        headers = {
            "Lambda-Runtime-Aws-Request-Id": request_id,
            "Lambda-Runtime-Deadline-Ms": str(int(time.time() * 1_000) + 60_000),
            "Lambda-Runtime-Invoked-Function-Arn": ARN,
            "Content-Type": "application/json",
        }
        return Answer(200, headers, event)

    with http_server.served(answer) as url:
        api.address = url.removeprefix("http://")
        yield api
