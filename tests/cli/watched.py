"""A server in front of DynamoDB Local that notes which operations are asked for."""

import http.client
from collections.abc import Generator
from contextlib import contextmanager
from urllib.parse import urlsplit

from tests.http_server import Answer, Request, served
from tests.infra.cloudformation import error

_OF_HTTP = {"content-length", "connection", "transfer-encoding"}


@contextmanager
def watched(endpoint: str) -> Generator[tuple[str, list[str]]]:
    """The address of the server, and the names of the operations so far."""
    seen: list[str] = []
    behind = urlsplit(endpoint).netloc

    def answer(request: Request) -> Answer:
        if "x-amz-target" not in request.headers:
            # CloudFormation is asked here too, of which this one may see nothing. An answer without its form
            # would be asked for again and again.
            return Answer(403, {"Content-Type": "text/xml"}, error("AccessDenied", "not authorized").encode())
        seen.append(request.headers["x-amz-target"].rpartition(".")[2])
        connection = http.client.HTTPConnection(behind, timeout=60)
        connection.request("POST", request.path, request.body, request.headers)
        found = connection.getresponse()
        content = found.read()
        connection.close()
        headers = {name: value for name, value in found.getheaders() if name.lower() not in _OF_HTTP}
        return Answer(found.status, headers, content)

    with served(answer) as address:
        yield address, seen
