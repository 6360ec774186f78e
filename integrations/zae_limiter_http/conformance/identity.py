"""Checks C57 to C73: who is calling, as the framework's requests tell it."""

import logging
from typing import Any

import pytest

from zae_limiter.naming import check_identifier
from zae_limiter_http.callers import EXEMPT
from zae_limiter_http.conformance.asking import Ask
from zae_limiter_http.conformance.site import Answer, Call, Route
from zae_limiter_http.conformance.world import World

Lines = list[tuple[str, str]]
# {"alg":"none"} and {"iss":"https://one.test","sub":"7"}, signed by nobody
TOKEN = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL29uZS50ZXN0Iiwic3ViIjoiNyJ9."
NAMES = ["42", "a+b", "a|b", "a b", "a\n", "a\0", "ü", "x" * 300, "x" * 301]
TRUSTED: dict[str, Any] = {"trusted_proxies": ["10.0.0.0/8"]}


def xff(*lines: str) -> Lines:
    """X-Forwarded-For, each line for itself."""
    return [("x-forwarded-for", line) for line in lines]


ADDRESSES: list[tuple[str, str, Lines, dict[str, Any], str]] = [
    ("C58", "10.0.0.1", xff("6.6.6.6, 1.1.1.1, 10.0.0.2"), TRUSTED, "ip4:1.1.1.1"),
    ("C59", "9.9.9.9", xff("6.6.6.6, 1.1.1.1, 10.0.0.2"), TRUSTED, "ip4:9.9.9.9"),
    ("C60", "10.0.0.1", xff("9.9.9.9, 1.1.1.1, 2.2.2.2"), {"trusted_proxies_count": 2}, "ip4:1.1.1.1"),
    ("C61", "10.0.0.1", xff("9.9.9.9"), {"trusted_proxies_count": 2}, "ip4:10.0.0.1"),
    ("C62", "10.0.0.1", xff("6.6.6.6", "1.1.1.1, 10.0.0.2"), TRUSTED, "ip4:1.1.1.1"),
    ("no address", "10.0.0.1", xff("6.6.6.6, nonsense, 10.0.0.2"), TRUSTED, "ip4:10.0.0.2"),
    (
        "C63",
        "10.0.0.1",
        [("forwarded", 'for="[2001:db8::1]:4711"')],
        {"source": "forwarded", **TRUSTED},
        "ip6:2001:0db8:0000:0000-64",
    ),
    (
        "C63 hidden",
        "10.0.0.1",
        [("forwarded", "for=1.1.1.1, for=_hidden, for=10.0.0.3")],
        {"source": "forwarded", **TRUSTED},
        "ip4:10.0.0.3",
    ),
    ("C64", "10.0.0.1", [("cf-connecting-ip", "1.1.1.1")], TRUSTED, "ip4:10.0.0.1"),
    (
        "C64 twice",
        "10.0.0.1",
        [("cf-connecting-ip", "1.1.1.1"), ("cf-connecting-ip", "2.2.2.2")],
        {"source": "cf-connecting-ip", **TRUSTED},
        "ip4:10.0.0.1",
    ),
]


class Identity:
    """Who is charged."""

    def test_c57_without_a_proxy_the_peer_is_the_key_and_one_warning_is_logged(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        world.serve()
        with caplog.at_level(logging.WARNING, "zae_limiter.http"):
            answers = [world.get(x_forwarded_for=f"6.6.6.{number}") for number in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 429]
        assert len([record for record in caplog.records if record.name == "zae_limiter.http"]) == 1

    @pytest.mark.parametrize(("check", "peer", "headers", "proxy", "entity"), ADDRESSES, ids=[a[0] for a in ADDRESSES])
    def test_c58_to_c64_the_address_is_the_nearest_that_is_not_a_trusted_proxy(
        self, world: World, check: str, peer: str, headers: Lines, proxy: dict[str, Any], entity: str
    ) -> None:
        world.serve(rules=[{"key": "ip", "limits": "2/minute"}], proxy=proxy)
        assert world.ask(Ask(headers=headers, peer=peer)).status == 200
        assert world.left(entity)["rpm"] == 1, check

    def test_c65_one_network_is_one_caller_and_a_mapped_address_is_its_own(self, world: World) -> None:
        world.serve()
        peers = [
            "2001:db8::1",
            "2001:db8::ffff",
            "2001:db8:0:1::1",
            "::ffff:203.0.113.7",
            "203.0.113.7",
            "::ffff:1.1.1.1",
        ]
        for peer in peers:
            world.ask(Ask(peer=peer))
        entities = ["ip6:2001:0db8:0000:0000-64", "ip6:2001:0db8:0000:0001-64", "ip4:203.0.113.7", "ip4:1.1.1.1"]
        assert [world.left(entity)["rpm"] for entity in entities] == [0, 1, 0, 1]

    @pytest.mark.parametrize(("peer", "entity"), [(None, "anon:unknown"), ("testclient", "host:testclient")])
    def test_c66_and_c67_a_caller_without_an_address_is_limited_too(
        self, world: World, peer: str | None, entity: str
    ) -> None:
        world.serve()
        assert [world.ask(Ask(peer=peer)).status for _ in range(3)] == [200, 200, 429]
        assert world.left(entity)["rpm"] == 0

    def test_c68_whatever_callers_are_called_each_has_one_valid_identifier(self, world: World) -> None:
        seen: list[str] = []

        async def handler(call: Call) -> Answer:
            seen.extend(status.entity_id for status in call.passed.statuses)
            return Answer()

        def named(request: Any) -> str:
            return NAMES[int(request.headers["x-number"])]

        world.serve(routes=[Route("/", handler)], rules=[{"key": named, "limits": "2/minute"}])
        for _ in range(2):
            assert [world.get(x_number=str(number)).status for number in range(len(NAMES))] == [200] * len(NAMES)
        assert seen == [check_identifier(found) for found in dict.fromkeys(seen)] * 2
        assert len(set(seen)) == len(NAMES)

    def test_c69_a_key_is_nowhere_and_each_has_its_own_bucket(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        rule = {"key": "header:X-API-Key", "limits": "2/minute", "validated": lambda key: key.startswith("sk-")}
        world.serve(rules=[rule])
        answers = [world.get(x_api_key=key) for key in ("sk-one", "sk-one", "sk-one", "sk-two")]
        assert [answer.status for answer in answers] == [200, 200, 429, 200]
        assert "sk-one" not in caplog.text + "".join(f"{answer.headers}{answer.text}" for answer in answers)

    def test_c70_random_keys_from_one_address_share_its_quota(self, world: World) -> None:
        world.serve(rules=[{"key": "header:X-API-Key", "limits": "10/minute"}])
        answers = [world.get(x_api_key=f"random-{number}") for number in range(1_000)]
        assert sum(answer.status == 200 for answer in answers) == 10

    def test_c71_a_user_has_one_bucket_and_a_stranger_the_addresss(self, world: World) -> None:
        world.serve(rules=[{"key": "user", "limits": "1/minute"}], signs_in=True)
        asks = [Ask(headers=[("x-name", name)] if name else []) for name in ("", "alice", "bob", "alice", "")]
        asks.append(Ask(headers=[("x-name", "bob")], peer="198.51.100.1"))
        assert [world.ask(ask).status for ask in asks] == [200, 200, 200, 429, 429, 429]

    def test_c72_a_subject_is_another_with_another_issuer(self, world: World) -> None:
        def verified(request: Any) -> Any:
            found = request.headers.get("x-issuer"), request.headers.get("x-subject")
            return found if all(found) else None

        world.serve(rules=[{"key": [verified, "ip"], "limits": "1/minute"}])
        claims = [
            ("https://one.test", "7"),
            ("https://two.test", "7"),
            ("https://one.test", "7"),
            ("https://one.", "test7"),
        ]
        replies = [world.get(x_issuer=issuer, x_subject=subject) for issuer, subject in claims]
        assert [reply.status for reply in replies] == [200, 200, 429, 200]

    @pytest.mark.parametrize("key", ["auto", "user"])
    def test_c72_a_token_that_nobody_has_verified_is_not_read(self, world: World, key: str) -> None:
        world.serve(rules=[{"key": key, "limits": "1/minute"}], signs_in=True)
        assert [world.get(authorization=f"Bearer {TOKEN}{number}").status for number in range(2)] == [200, 429]
        assert world.left("ip4:203.0.113.9", "1/minute") == {"rpm": 0}

    def test_c73_a_key_function_passes_on_or_exempts(self, world: World) -> None:
        def staff(request: Any) -> Any:
            return EXEMPT if request.headers.get("x-staff") else None

        world.serve(rules=[{"key": [staff, "ip"], "limits": "1/minute"}])
        replies = [world.get(x_staff="yes") for _ in range(3)]
        assert {(reply.status, reply.header("ratelimit")) for reply in replies} == {(200, None)}
        assert [world.get().status for _ in range(2)] == [200, 429]

    def test_c73_a_key_function_may_be_awaited(self, world: World) -> None:
        async def tenant(request: Any) -> Any:
            return request.headers.get("x-tenant")

        world.serve(rules=[{"key": tenant, "limits": "1/minute"}])
        assert [world.get(x_tenant=name).status for name in ("a", "b", "a")] == [200, 200, 429]
