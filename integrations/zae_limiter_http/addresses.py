"""The address of a client: the peer's, or what trusted proxies say of it; normalised, so that it is one identity.

Exactly one source is believed; there is no falling back from one header to another.
"""

import functools
import ipaddress
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from zae_limiter_http.facts import HttpRequest
from zae_limiter_http.naming import encode

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

UNKNOWN: Final = "anon:unknown"
LISTS: Final = {"xff": "x-forwarded-for", "forwarded": "forwarded"}
SINGLES: Final = {
    "x-real-ip": "x-real-ip",
    "cf-connecting-ip": "cf-connecting-ip",
    "true-client-ip": "true-client-ip",
}
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_LONGEST: Final = 8_192
_MOST_NAMES: Final = 10_000
_PAIR: Final = re.compile(r"""([\w!#$%&'*+.^`|~-]+)=([^\s;,"\\]+|"(?:[^"\\]|\\.)*")""", re.ASCII)
_ELEMENT: Final = re.compile(rf"[ \t]*(?:{_PAIR.pattern})?(?:[ \t]*;[ \t]*(?:{_PAIR.pattern})?)*[ \t]*", re.ASCII)

logger = logging.getLogger("zae_limiter.http")


@dataclass(frozen=True, slots=True)
class Proxies:
    """Whom to believe: the source of addresses, and the networks or the number of trusted proxies."""

    source: str | None = None
    trusted: tuple[Network, ...] = ()
    count: int = 0


class Addresses:
    """Tells the identity of an address."""

    def __init__(self, proxies: Proxies, *, ipv6_prefix: int = 64) -> None:
        self._proxies = proxies
        self._ipv6_prefix = ipv6_prefix
        self._told: set[str] = set()
        self._names: dict[Address, str] = {}

    def entity(self, request: HttpRequest) -> str:
        """`ip4:…`, `ip6:…-64`, `host:…`, or the one identity that all callers without an address share."""
        if not request.peer:
            self._tell_once("peer", "a request came without an address; all such callers share one bucket")
            return UNKNOWN
        peer = parsed(request.peer)
        if peer is None:
            return encode("host", request.peer)
        address = self._client(peer, request)
        name = self._names.get(address)
        if name is None:
            if len(self._names) >= _MOST_NAMES:
                self._names.clear()
            name = self._names[address] = self._named(address)
        return name

    def _client(self, peer: Address, request: HttpRequest) -> Address:
        proxies = self._proxies
        if proxies.source is None:
            if "xff" not in self._told and request.lines("x-forwarded-for"):
                self._tell_once("xff", "X-Forwarded-For came, but no proxy is trusted; set proxy= to use it")
            return peer
        if proxies.source in LISTS:
            hops = _hops(proxies.source, request)
            return _by_count(peer, hops, proxies.count) if proxies.count else self._by_network(peer, hops)
        lines = request.lines(SINGLES.get(proxies.source, proxies.source))
        if len(lines) != 1 or not (proxies.count or self._is_trusted(peer)):
            return peer
        return parsed(lines[0]) or peer

    def _by_network(self, peer: Address, hops: Sequence[Address | None]) -> Address:
        if not self._is_trusted(peer):
            return peer
        client = peer
        for hop in reversed(hops):
            if hop is None:
                return client
            client = hop
            if not self._is_trusted(hop):
                return hop
        return client

    def _is_trusted(self, address: Address) -> bool:
        return any(address.version == network.version and address in network for network in self._proxies.trusted)

    def _named(self, address: Address) -> str:
        if isinstance(address, ipaddress.IPv4Address):
            return f"ip4:{address}"
        network = ipaddress.IPv6Network((int(address), self._ipv6_prefix), strict=False)
        groups = -(-self._ipv6_prefix // 16)
        return f"ip6:{':'.join(network.network_address.exploded.split(':')[:groups])}-{self._ipv6_prefix}"

    def _tell_once(self, key: str, message: str) -> None:
        if key not in self._told:
            self._told.add(key)
            logger.warning(message)


@functools.lru_cache(maxsize=4096)
def parsed(text: str) -> Address | None:
    """An address as a header or a server writes it, with or without a port; None for anything else."""
    if len(text) > 100:
        return None
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _hops(source: str, request: HttpRequest) -> list[Address | None]:
    text = request.header(LISTS[source]) or ""
    if len(text) > _LONGEST:
        # Its right end is the trusted one, so that is what is kept of a header that is too long.
        text = text[-_LONGEST:].partition(",")[2]
    read = parsed if source == "xff" else _forwarded_for
    return [read(element) for element in text.split(",") if element.strip()]


def _forwarded_for(element: str) -> Address | None:
    """The address of an element of RFC 7239, 4; None unless all of it is well formed.

    Elements are cut at every comma, quoted or not: a client that leaves a quote open would otherwise swallow
    what the proxy adds, and be believed. A comma that really was quoted leaves broken pieces, which are no address.
    """
    if not _ELEMENT.fullmatch(element):
        return None
    found = [value for name, value in _PAIR.findall(element) if name.lower() == "for"]
    if len(found) != 1:
        return None
    value = found[0]
    return parsed(re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value)


def _by_count(peer: Address, hops: Sequence[Address | None], count: int) -> Address:
    return (hops[-count] or peer) if len(hops) >= count else peer
