"""The address of a caller, by every rule of the conventions' 2.1: one identity for one caller, whatever is sent."""

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zae_limiter.naming import check_identifier
from zae_limiter_http.addresses import Addresses, Proxies, parsed
from zae_limiter_http.facts import HttpRequest
from zae_limiter_http.settings import ProxySettings

TRUSTED: dict[str, Any] = {"trusted_proxies": ["10.0.0.0/8", "fd00::/8"]}
CHAIN = "9.9.9.9, 1.1.1.1, 2.2.2.2"


def entity(peer: str | None, *lines: str, name: str = "x-forwarded-for", prefix: int = 64, **proxy: Any) -> str:
    proxies = ProxySettings(**proxy).proxies() if proxy else Proxies()
    headers = [(name, line) for line in lines]
    return Addresses(proxies, ipv6_prefix=prefix).entity(HttpRequest("GET", "/", headers, peer))


@pytest.mark.parametrize(
    ("peer", "found"),
    [
        ("203.0.113.7", "ip4:203.0.113.7"),
        ("2001:db8::1", "ip6:2001:0db8:0000:0000-64"),
        ("::ffff:203.0.113.7", "ip4:203.0.113.7"),
        ("64:ff9b::203.0.113.7", "ip4:203.0.113.7"),
        ("fe80::1%eth0", "ip6:fe80:0000:0000:0000-64"),
        ("testclient", "host:testclient"),
        ("/run/app.sock", "host.b64:L3J1bi9hcHAuc29jaw"),
        ("", "anon:unknown"),
        (None, "anon:unknown"),
    ],
)
def test_the_peer_is_the_caller(peer: str | None, found: str) -> None:
    assert entity(peer) == found


@pytest.mark.parametrize(
    ("prefix", "found"),
    [(32, "ip6:2001:0db8-32"), (48, "ip6:2001:0db8:0001-48"), (56, "ip6:2001:0db8:0001:0200-56")],
)
def test_the_network_of_an_address_is_as_wide_as_told(prefix: int, found: str) -> None:
    assert entity("2001:db8:1:2ff::1", prefix=prefix) == found


@pytest.mark.parametrize(
    ("peer", "lines", "found"),
    [
        ("10.0.0.1", ["6.6.6.6, 1.1.1.1, 10.0.0.2"], "ip4:1.1.1.1"),
        ("9.9.9.9", ["6.6.6.6, 1.1.1.1, 10.0.0.2"], "ip4:9.9.9.9"),
        ("10.0.0.1", ["10.0.0.9, 10.0.0.2"], "ip4:10.0.0.9"),
        ("10.0.0.1", ["6.6.6.6", "1.1.1.1", "10.0.0.2"], "ip4:1.1.1.1"),
        ("10.0.0.1", ["1.1.1.1, nonsense"], "ip4:10.0.0.1"),
        ("10.0.0.1", ["1.1.1.1, , ,10.0.0.2,"], "ip4:1.1.1.1"),
        ("10.0.0.1", [""], "ip4:10.0.0.1"),
        ("10.0.0.1", [], "ip4:10.0.0.1"),
        ("fd00::1", ["2001:db8::1"], "ip6:2001:0db8:0000:0000-64"),
        ("::ffff:10.0.0.1", ["1.1.1.1"], "ip4:1.1.1.1"),
    ],
)
def test_by_networks_the_nearest_hop_that_is_no_proxy_is_the_caller(peer: str, lines: list[str], found: str) -> None:
    assert entity(peer, *lines, **TRUSTED) == found


def test_a_network_of_ipv4_may_be_written_as_one_of_ipv6() -> None:
    trusted: dict[str, Any] = {"trusted_proxies": ["::ffff:10.0.0.0/104"]}
    assert entity("10.0.0.1", CHAIN, **trusted) == "ip4:2.2.2.2"
    assert entity("11.0.0.1", CHAIN, **trusted) == "ip4:11.0.0.1"


@pytest.mark.parametrize(("count", "found"), [(1, "2.2.2.2"), (2, "1.1.1.1"), (3, "9.9.9.9"), (4, "10.0.0.1")])
def test_by_number_the_caller_is_so_far_from_the_right(count: int, found: str) -> None:
    assert entity("10.0.0.1", CHAIN, trusted_proxies_count=count) == f"ip4:{found}"


@pytest.mark.parametrize("source", ["x-real-ip", "cf-connecting-ip", "true-client-ip", "x-edge-address"])
@pytest.mark.parametrize(
    ("peer", "lines", "found"),
    [
        ("10.0.0.1", ["1.1.1.1"], "1.1.1.1"),
        ("10.0.0.1", [" 1.1.1.1:80 "], "1.1.1.1"),
        ("9.9.9.9", ["1.1.1.1"], "9.9.9.9"),
        ("10.0.0.1", ["1.1.1.1", "2.2.2.2"], "10.0.0.1"),
        ("10.0.0.1", ["1.1.1.1, 2.2.2.2"], "10.0.0.1"),
        ("10.0.0.1", ["nonsense"], "10.0.0.1"),
    ],
)
def test_a_header_of_one_address_counts_from_a_proxy_alone(
    source: str, peer: str, lines: list[str], found: str
) -> None:
    assert entity(peer, *lines, name=source, source=source, **TRUSTED) == f"ip4:{found}"


def test_there_is_no_falling_back_from_one_header_to_another() -> None:
    for name in ("x-real-ip", "cf-connecting-ip", "forwarded"):
        assert entity("10.0.0.1", "for=6.6.6.6" if name == "forwarded" else "6.6.6.6", name=name, **TRUSTED) == (
            "ip4:10.0.0.1"
        )


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("203.0.113.7:4711", "203.0.113.7"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:DB8:0::0001", "2001:db8::1"),
        ("[fe80::1%25eth0]:80", "fe80::1"),
        ("fe80::1%eth1", "fe80::1"),
        ("  203.0.113.7\t", "203.0.113.7"),
        ("::ffff:cb00:7107", "203.0.113.7"),
        ("203.000.113.007", None),
        ("0xcb007107", None),
        ("3405803783", None),
        ("203.0.113", None),
        ("203.0.113.7.9", None),
        ("unknown", None),
        ("_hidden", None),
        ("203.0.113.7, 1.1.1.1", None),
        ("203.0.113.7\0", None),
        ("٢٠٣.0.113.7", None),
        ("", None),
        (" ", None),
        ("[", None),
        ("%", None),
        (":" * 99, None),
        ("1" * 65_536, None),
    ],
)
def test_an_address_is_read_in_each_of_its_forms(text: str, address: str | None) -> None:
    found = parsed(text)
    assert (None if found is None else str(found)) == address


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("for=1.1.1.1", "ip4:1.1.1.1"),
        ('FOR="1.1.1.1:4711"', "ip4:1.1.1.1"),
        ('proto=https ; for="[2001:db8::1]:4711";by=_edge', "ip6:2001:0db8:0000:0000-64"),
        ('for="1.1.1.\\1"', "ip4:1.1.1.1"),
        ("for=6.6.6.6, for=1.1.1.1, for=10.0.0.2", "ip4:1.1.1.1"),
        ("for=1.1.1.1, by=10.0.0.2", "ip4:10.0.0.1"),
        ("for=1.1.1.1;for=2.2.2.2", "ip4:10.0.0.1"),
        ("for=_hidden", "ip4:10.0.0.1"),
        ("for=unknown", "ip4:10.0.0.1"),
        ('for=6.6.6.6;x=", for=1.1.1.1', "ip4:1.1.1.1"),
        ("for=[2001:db8::1]", "ip6:2001:0db8:0000:0000-64"),
        ("for=", "ip4:10.0.0.1"),
        ("for", "ip4:10.0.0.1"),
        ("=1.1.1.1", "ip4:10.0.0.1"),
        ('for="1.1.1.1', "ip4:10.0.0.1"),
        ("for=1.1.1.1 2.2.2.2", "ip4:10.0.0.1"),
        ('for="\0"', "ip4:10.0.0.1"),
        ("for=" + "9" * 60_000, "ip4:10.0.0.1"),
        (";" * 8_000, "ip4:10.0.0.1"),
        ('for="' + "\\" * 8_000, "ip4:10.0.0.1"),
    ],
)
def test_forwarded_is_read_as_rfc_7239_says_and_nothing_is_made_of_the_rest(value: str, found: str) -> None:
    assert entity("10.0.0.1", value, name="forwarded", source="forwarded", **TRUSTED) == found


def test_what_an_attacker_puts_to_the_left_of_the_proxys_word_changes_nothing() -> None:
    for junk in ("6.6.6.6", "for=6.6.6.6", '"', "\0", "\\", "x" * 65_536, "," * 9_000, ", ".join(["7.7.7.7"] * 8_000)):
        assert entity("10.0.0.1", f"{junk}, 1.1.1.1, 10.0.0.2", **TRUSTED) == "ip4:1.1.1.1", junk[:20]
        forwarded = f"{junk}, for=1.1.1.1, for=10.0.0.2"
        assert entity("10.0.0.1", forwarded, name="forwarded", source="forwarded", **TRUSTED) == "ip4:1.1.1.1", junk[
            :20
        ]


@given(st.binary(max_size=300), st.sampled_from(["xff", "forwarded", "x-real-ip"]))
def test_whatever_a_header_has_an_address_is_found_and_never_an_error(value: bytes, source: str) -> None:
    name = {"xff": "x-forwarded-for"}.get(source, source)
    found = entity("10.0.0.1", value.decode("latin-1"), name=name, source=source, trusted_proxies_count=1)
    assert check_identifier(found) == found


def test_each_warning_is_given_once(caplog: pytest.LogCaptureFixture) -> None:
    addresses = Addresses(Proxies())
    with caplog.at_level(logging.WARNING, "zae_limiter.http"):
        for number in range(3):
            addresses.entity(HttpRequest("GET", "/", [("x-forwarded-for", f"6.6.6.{number}")], "203.0.113.7"))
            addresses.entity(HttpRequest("GET", "/"))
    assert len(caplog.records) == 2
    assert "6.6.6" not in caplog.text
