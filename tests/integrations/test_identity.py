"""Checks C57 to C73: who is calling. Hostile requests get an answer, and never a second bucket."""

import logging
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.authentication import AuthCredentials, SimpleUser

from tests.integrations.drivers import World
from zae_limiter.naming import check_identifier, check_resource
from zae_limiter_http.addresses import Addresses, Proxies, parsed
from zae_limiter_http.callers import EXEMPT, Callers
from zae_limiter_http.facts import HttpRequest
from zae_limiter_http.naming import encode, keyed, resource_name
from zae_limiter_http.settings import ProxySettings

pytestmark = pytest.mark.anyio


def _entity(peer: str | None, headers: list[tuple[str, str]], **proxy: Any) -> str:
    proxies = ProxySettings(**proxy).proxies() if proxy else Proxies()
    return Addresses(proxies).entity(HttpRequest("GET", "/", headers, peer))


def _xff(*lines: str) -> list[tuple[str, str]]:
    return [("x-forwarded-for", line) for line in lines]


async def test_c57_without_a_proxy_the_peer_is_the_key_and_one_warning_is_logged(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.serve()
    with caplog.at_level(logging.WARNING, "zae_limiter.http"):
        answers = [await world.get(x_forwarded_for=f"6.6.6.{number}") for number in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("check", "peer", "headers", "proxy", "entity"),
    [
        ("C58", "10.0.0.1", _xff("6.6.6.6, 1.1.1.1, 10.0.0.2"), {"trusted_proxies": ["10.0.0.0/8"]}, "1.1.1.1"),
        ("C59", "9.9.9.9", _xff("6.6.6.6, 1.1.1.1, 10.0.0.2"), {"trusted_proxies": ["10.0.0.0/8"]}, "9.9.9.9"),
        ("C60", "10.0.0.1", _xff("9.9.9.9, 1.1.1.1, 2.2.2.2"), {"trusted_proxies_count": 2}, "1.1.1.1"),
        ("C61", "10.0.0.1", _xff("9.9.9.9"), {"trusted_proxies_count": 2}, "10.0.0.1"),
        ("C62", "10.0.0.1", _xff("6.6.6.6", "1.1.1.1, 10.0.0.2"), {"trusted_proxies": ["10.0.0.0/8"]}, "1.1.1.1"),
        ("bad token", "10.0.0.1", _xff("6.6.6.6, nonsense, 10.0.0.2"), {"trusted_proxies": ["10.0.0.0/8"]}, "10.0.0.2"),
        ("C64", "10.0.0.1", [("cf-connecting-ip", "1.1.1.1")], {"trusted_proxies": ["10.0.0.0/8"]}, "10.0.0.1"),
        (
            "C64 twice",
            "10.0.0.1",
            [("cf-connecting-ip", "1.1.1.1"), ("cf-connecting-ip", "2.2.2.2")],
            {"source": "cf-connecting-ip", "trusted_proxies": ["10.0.0.0/8"]},
            "10.0.0.1",
        ),
    ],
)
def test_c58_to_c64_the_address_is_the_nearest_that_is_not_a_trusted_proxy(
    check: str, peer: str, headers: list[tuple[str, str]], proxy: dict[str, Any], entity: str
) -> None:
    assert _entity(peer, headers, **proxy) == f"ip4:{entity}", check


@pytest.mark.parametrize(
    ("value", "entity"),
    [
        ('for="[2001:db8::1]:4711"', "ip6:2001:0db8:0000:0000-64"),
        ("for=_hidden", "ip4:10.0.0.1"),
        ("for=unknown", "ip4:10.0.0.1"),
        ('proto=https;For="1.1.1.1:80";by=x, for=10.0.0.3', "ip4:1.1.1.1"),
        ('for="unclosed', "ip4:10.0.0.1"),
        ('for=6.6.6.6;x=", for=1.1.1.1', "ip4:1.1.1.1"),
    ],
)
def test_c63_the_forwarded_header_is_read_as_rfc_7239_says(value: str, entity: str) -> None:
    found = _entity("10.0.0.1", [("forwarded", value)], source="forwarded", trusted_proxies=["10.0.0.0/8"])
    assert found == entity


def test_c65_one_network_is_one_caller_and_a_mapped_address_is_its_own() -> None:
    assert _entity("2001:db8::1", []) == _entity("2001:db8::ffff", []) == _entity("2001:db8::1%eth0", [])
    assert _entity("2001:db8:0:1::1", []) != _entity("2001:db8::1", [])
    assert _entity("::ffff:203.0.113.7", []) == _entity("203.0.113.7", []) == _entity("64:ff9b::203.0.113.7", [])


@pytest.mark.parametrize(
    ("peer", "entity"), [(None, "anon:unknown"), ("", "anon:unknown"), ("testclient", "host:testclient")]
)
def test_c66_and_c67_a_caller_without_an_address_is_limited_too(peer: str | None, entity: str) -> None:
    assert _entity(peer, []) == entity


@given(st.lists(st.text(max_size=400), min_size=2, max_size=2, unique=True))
def test_c68_different_texts_are_different_and_valid_identifiers(texts: list[str]) -> None:
    first, second = (encode("user", text) for text in texts)
    assert first != second
    assert check_identifier(first) == first
    assert check_resource(resource_name(texts[0]))


@pytest.mark.parametrize(
    ("raw", "identifier"),
    [
        ("42", "user:42"),
        ("alice+x@example.com", "user.b64:YWxpY2UreEBleGFtcGxlLmNvbQ"),
        ("user-1\n", "user.b64:dXNlci0xCg"),
        ("auth0|abc", "user.b64:YXV0aDB8YWJj"),
        ("alice@example.com", "user:alice@example.com"),
    ],
)
def test_c68_identifiers_are_those_of_the_conventions(raw: str, identifier: str) -> None:
    assert encode("user", raw) == identifier


@given(st.binary(max_size=300), st.sampled_from(["xff", "forwarded", "x-real-ip"]))
def test_hostile_headers_get_an_address_and_never_an_error(value: bytes, source: str) -> None:
    name = {"xff": "x-forwarded-for"}.get(source, source)
    found = _entity("10.0.0.1", [(name, value.decode("latin-1"))], source=source, trusted_proxies_count=1)
    assert check_identifier(found) == found


def test_a_header_of_64_kilobytes_is_read_from_its_trusted_end() -> None:
    text = ", ".join(["6.6.6.6"] * 8_000 + ["1.1.1.1", "10.0.0.2"])
    assert _entity("10.0.0.1", _xff(text), trusted_proxies=["10.0.0.0/8"]) == "ip4:1.1.1.1"


@pytest.mark.parametrize("text", ["01.2.3.4", "1.2.3", "", " ", "\0", "1.2.3.4.5", "x" * 200])
def test_what_is_no_address_is_none(text: str) -> None:
    assert parsed(text) is None


async def test_c69_a_key_is_nowhere_and_each_has_its_own_bucket(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    rule = {"key": "header:X-API-Key", "limits": "2/minute", "validated": lambda key: key.startswith("sk-")}
    world.serve(rules=[rule])
    answers = [await world.get(x_api_key=key) for key in ("sk-one", "sk-one", "sk-one", "sk-two")]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 200]
    assert "sk-one" not in caplog.text + "".join(f"{answer.headers}{answer.text}" for answer in answers)
    assert re.fullmatch("key:[0-9a-f]{32}", keyed("sk-one", "secret"))
    assert keyed("sk-one", "secret") != keyed("sk-one", None)


async def test_c70_random_keys_from_one_address_share_its_quota(world: World) -> None:
    world.serve(rules=[{"key": "header:X-API-Key", "limits": "10/minute"}])
    answers = [await world.get(x_api_key=f"random-{number}") for number in range(200)]
    assert sum(answer.status_code == 200 for answer in answers) == 10


class _SignedIn:
    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        name = dict(scope["headers"]).get(b"x-name", b"").decode()
        if name:
            scope["user"], scope["auth"] = SimpleUser(name), AuthCredentials()
        await self.app(scope, receive, send)


async def test_c71_a_user_has_one_bucket_and_a_stranger_the_addresss(world: World) -> None:
    world.serve(rules=[{"key": "user", "limits": "1/minute"}], wrap=_SignedIn)
    answers = [await world.get(x_name=name) for name in ("", "alice", "bob", "alice", "")]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]


async def test_c73_a_key_function_passes_on_or_exempts() -> None:
    callers = Callers(Addresses(Proxies()))
    request = HttpRequest("GET", "/", (), "203.0.113.9")

    async def nobody(_: Any) -> None:
        return None

    assert await callers.entities([nobody, "ip"], request) == ("ip4:203.0.113.9",)
    assert await callers.entities(lambda _: EXEMPT, request) == ()
    assert await callers.entities(lambda _: ("tenant", "user"), request) != await callers.entities(
        lambda _: "tenant", request
    )


async def test_parts_of_a_key_cannot_pass_for_one_another() -> None:
    callers = Callers(Addresses(Proxies()))
    request = HttpRequest("GET", "/", (), "203.0.113.9")
    first = await callers.entities(lambda _: ("a\x1fb", "c"), request)
    assert first != await callers.entities(lambda _: ("a", "b\x1fc"), request)
    assert await callers.entities(lambda _: 42, request) == ("custom:42",)
