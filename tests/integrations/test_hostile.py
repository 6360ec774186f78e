"""Hostile requests get an answer, never a 500, and never a second bucket for the same caller."""

import asyncio
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from zae_limiter.naming import check_resource
from zae_limiter.testing import TurnableClock, memory_limiter
from zae_limiter_asgi import Rule, ZaeLimiterMiddleware

PEER = "203.0.113.7"
KEY = (b"x-api-key", b"sk-one")
BIG = b"x" * 65_536
HOSTILE: list[Any] = [
    [(b"x-api-key", b"sk-one\r\nx-evil: 1")],
    [(b"x-api-key", BIG)],
    [(b"x-api-key", b"\0")],
    [(b"x-api-key", b"\xff\xfe")],
    [KEY, KEY],
    [(b"X-API-KEY", b""), (b"x-api-key", b" ")],
    [(b"forwarded", b'for="unclosed')],
    [(b"forwarded", b"for=1.1.1.1, for=2.2.2.2"), (b"forwarded", b";" * 9_000)],
    [(b"x-forwarded-for", b"1.1.1.1"), (b"x-forwarded-for", b"fe80::1%eth0")],
    [(b"x-forwarded-for", b", ".join([b"1.1.1.1"] * 9_000))],
    [(b"accept", b"\xff\0")],
    [(b"accept", b"a/b;q=nan, text/html;q=inf, */*;q=-1")],
    [(b"accept", b",".join([b"text/html;q=0." + b"9" * 400] * 200))],
    [(b"accept", BIG), (b"accept", BIG)],
    [(b"hx-request", b"true\r\nx-evil: 1")],
    [(b"content-length", b"-5")],
    [(b"x-limit", b"\xff; DROP")],
    [(b"", b"")],
]


async def _page(_: Request) -> PlainTextResponse:
    return PlainTextResponse("in")


def _application(*rules: Any, **settings: Any) -> Any:
    app = Starlette(
        routes=[Route("/", _page), Route("/items/{name}", _page), Mount("/sub", routes=[Route("/items/{name}", _page)])]
    )
    return ZaeLimiterMiddleware(app, limiter=memory_limiter(clock=TurnableClock()), rules=rules, **settings)


def _ask(app: Any, *headers: Any, peer: Any = (PEER, 4711), path: str = "/", method: str = "GET", **more: Any) -> Any:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("utf-8", "surrogateescape"),
        "query_string": b"\xff=\0",
        "root_path": "",
        "headers": list(headers),
        "client": peer,
        **more,
    }
    asyncio.run(app(scope, receive, send))
    for name, value in sent[0]["headers"]:
        assert b"\r" not in value
        assert b"\n" not in value
        assert b"evil" not in name
    return sent[0]["status"]


def _of_the_resource(request: Request) -> str:
    return request.headers.get("x-limit", "some")


@pytest.mark.parametrize("proxy", [None, "xff", "forwarded", "x-real-ip"])
@pytest.mark.parametrize("key", ["auto", "ip", "user", "header:X-API-Key", ["header:X-API-Key", "user"]])
def test_one_caller_has_one_bucket_whatever_it_sends(key: Any, proxy: str | None) -> None:
    # Its word is not taken for anything: the peer is no proxy, and nobody has validated the key.
    words = {} if proxy is None else {"proxy": {"source": proxy, "trusted_proxies": ["10.0.0.0/8"]}}
    app = _application(Rule(key=key, limits=f"{len(HOSTILE)}/minute"), **words)
    assert [_ask(app, *headers) for headers in HOSTILE] == [200] * len(HOSTILE)
    assert [_ask(app, *headers) for headers in HOSTILE] == [429] * len(HOSTILE)


@pytest.mark.parametrize(
    "path", ["/", "//", "/\0", "/é\n", "/sub/items/\udcff", "/sub/items/" + "x" * 65_536, "/.%2e/"]
)
@pytest.mark.parametrize("method", ["GET", "BREW", "get", ""])
def test_paths_and_methods_of_any_kind_are_counted_together(path: str, method: str) -> None:
    app = _application(Rule(key="ip", limits="1/minute"), Rule(key="ip", resource="method+route", limits="9/minute"))
    assert _ask(app) == 200
    assert _ask(app, path=path, method=method) == 429


@pytest.mark.parametrize(
    "peers",
    [
        [("fe80::1%eth0", 1), ("fe80::1%eth1", 2), ("FE80::2", 3), ["fe80::3", 4]],
        [("::ffff:203.0.113.7", 1), ("203.0.113.7", 2), ("64:ff9b::cb00:7107", 3)],
        [None, ("", 0), [None, 0], ()],
        [("a\r\nb", 1), ("a\r\nb", 2)],
    ],
)
def test_the_spellings_of_one_address_are_one_caller(peers: list[Any]) -> None:
    app = _application(Rule(key="ip", limits="1/minute"))
    assert [_ask(app, peer=peer) for peer in peers] == [200] + [429] * (len(peers) - 1)


@pytest.mark.parametrize("text", [b"some", b"", b"a b\r\n", b"\xff", b"\0", BIG, b"#", b"9", b"../../x"])
def test_a_resource_that_a_client_names_is_made_a_valid_one(text: bytes) -> None:
    app = _application(Rule(key="ip", resource=_of_the_resource, limits="1/minute"))
    assert [_ask(app, (b"x-limit", text)) for _ in range(2)] == [200, 429]


def test_a_resource_that_is_valid_stays_as_it_is() -> None:
    app = _application(Rule(key="ip", resource=lambda _: "openai/gpt-4.1", limits="1/minute"))
    assert _ask(app) == 200
    limiter = app.limiter
    assert asyncio.run(limiter.available(f"ip4:{PEER}", check_resource("openai/gpt-4.1"), "1/minute")) == {"rpm": 0}


@pytest.mark.parametrize(("path", "root_path"), [("/api/items/a", "/api"), ("/items/a", "/api"), ("/items/a", "")])
def test_a_prefix_that_the_server_puts_before_the_path_hides_no_rule(path: str, root_path: str) -> None:
    app = _application(Rule("/items/*", key="ip", limits="1/minute"))
    assert [_ask(app, path=path, root_path=root_path) for _ in range(2)] == [200, 429]


@pytest.mark.parametrize("prefix", ["", "/sub"])
def test_a_mounted_applications_own_rules_speak_of_its_own_paths(prefix: str) -> None:
    inner = _application(Rule("/items/*", key="ip", limits="1/minute"))
    inner.app = Starlette(routes=[Route("/items/{name}", _page)])
    app = Starlette(routes=[Mount(prefix or "/", app=inner)])
    assert [_ask(app, path=f"{prefix}/items/a") for _ in range(2)] == [200, 429]


def test_a_line_feed_at_the_end_of_a_path_leads_around_no_rule() -> None:
    app = _application(Rule("/items/one", key="ip", limits="1/hour"))
    assert [_ask(app, path=path) for path in ("/items/one", "/items/one\n")] == [200, 429]
