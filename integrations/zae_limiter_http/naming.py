"""Texts from requests as identifiers: whatever comes in, a valid one comes out, and never the same for two.

An identifier has a kind and a value: `user:42`, `ip4:203.0.113.7`, `key:…`.
"""

import base64
import hashlib
import hmac
import re
from typing import Final

_PLAIN: Final = re.compile(r"[A-Za-z0-9_.:@-]+")
_LONGEST_ENTITY: Final = 256
_LONGEST_RESOURCE: Final = 64
_TEMPLATE: Final = re.compile(r"\{([A-Za-z_]\w*)(?::[^{}]*)?\}|<(?:[^<>:]*:)?([A-Za-z_]\w*)>")


def encode(kind: str, raw: str) -> str:
    """An entity's identifier: the text itself where it is plain, else an encoding of it, else its digest."""
    if _PLAIN.fullmatch(raw) and len(kind) + 1 + len(raw) <= _LONGEST_ENTITY:
        return f"{kind}:{raw}"
    try:
        octets = raw.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        # No text that a server decodes has such characters; the mark keeps their digest apart from all others.
        return f"{kind}.sha256:{hashlib.sha256(b'?' + raw.encode('utf-8', 'surrogatepass')).hexdigest()[:63]}0"
    encoded = base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
    if len(kind) + 5 + len(encoded) <= _LONGEST_ENTITY:
        return f"{kind}.b64:{encoded}"
    return f"{kind}.sha256:{hashlib.sha256(octets).hexdigest()}"


def keyed(value: str, secret: str | None) -> str:
    """The identifier of an API key: its digest under a secret, so that neither store nor log has the key."""
    octets = value.encode("utf-8", "surrogatepass")
    if secret is None:
        return f"key:{hashlib.sha256(octets).hexdigest()[:32]}"
    return f"key:{hmac.new(secret.encode(), octets, hashlib.sha256).hexdigest()[:32]}"


def mixed(parts: tuple[str, ...]) -> str:
    """The identifier of several parts together."""
    # Each part's length stands before it, so that no part can pass for the border of two.
    told = "".join(f"{len(part)}\x1f{part}\x1f" for part in parts)
    return f"mix:{hashlib.sha256(told.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def resource_name(text: str) -> str:
    """A resource from the template of a route or the name of a view; never from a concrete path."""
    name = _TEMPLATE.sub(lambda match: f"_{match[1] or match[2]}_", text.removeprefix("/"))
    name = re.sub(r"[^A-Za-z0-9_./-]", "-", name.replace(":", "/")) or "root"
    if not name[0].isascii() or not name[0].isalpha():
        name = f"r-{name}"
    if len(name) > _LONGEST_RESOURCE:
        name = f"{name[:51]}-{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"
    return name
