"""What only a server that is really there shows: a client that leaves, and the headers of a request as facts."""

import http.client
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask, Response
from werkzeug.wsgi import ClosingIterator

from tests.integrations.live import listening
from zae_limiter.testing import sync_memory_limiter
from zae_limiter_flask import ZaeLimiter, current_lease
from zae_limiter_flask.facts import facts


def test_c55_a_client_that_leaves_ends_the_lease_with_what_was_sent() -> None:
    app = Flask(__name__)
    has_ended = threading.Event()
    with sync_memory_limiter() as counting:
        limiter = ZaeLimiter(app, limiter=counting, key=lambda _: "ann")

        @app.get("/")
        @limiter.limit("rows=1000000/day", cost={"rows": 0})
        def export() -> Response:
            lease = current_lease()

            def rows() -> Iterator[bytes]:
                for _ in range(100_000):
                    lease.adjust(rows=1)
                    yield b"row" * 1_000

            return Response(rows())

        inner = app.wsgi_app
        watched: Any = lambda environ, start: ClosingIterator(inner(environ, start), has_ended.set)  # noqa: E731
        app.wsgi_app = watched  # type: ignore[method-assign]
        with listening(app, "wsgi") as address:
            connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=20)
            connection.request("GET", "/")
            assert connection.getresponse().read(3) == b"row"
            connection.close()
            assert has_ended.wait(20)
        left = counting.available("custom:ann", "export", "rows=1000000/day")["rows"]
    assert 900_000 < left < 1_000_000


def test_the_headers_of_a_request_are_facts_by_name_and_as_a_whole() -> None:
    headers = {"X-Api-Key": "secret", "Accept": "text/html"}
    with Flask(__name__).test_request_context("/", headers=headers) as context:
        found = facts(context.request)
    assert (found.lines("x-api-key"), found.lines("x-other")) == (["secret"], [])
    assert found.header("accept") == "text/html"
    assert sorted(found.headers) == [("accept", "text/html"), ("host", "localhost"), ("x-api-key", "secret")]
    assert (len(found.headers), found.headers[:1]) == (3, list(found.headers)[:1])


def test_who_gives_the_key_first_is_told_what_comes_first() -> None:
    with pytest.raises(TypeError, match="the application comes first, got str; who is charged says key="):
        ZaeLimiter("ip", store="memory:")  # type: ignore[arg-type]
