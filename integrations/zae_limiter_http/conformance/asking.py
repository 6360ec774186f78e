"""One request to an application in process, and its reply: the same for ASGI and WSGI."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

PEER = "203.0.113.9"


@dataclass(frozen=True, slots=True)
class Ask:
    """A request.

    `leaves_after` is the number of body parts after which the client is gone, `without` the keys that the server's
    scope has not.
    """

    path: str = "/"
    method: str = "GET"
    headers: Sequence[tuple[str, str]] = ()
    peer: str | None = PEER
    body: bytes = b""
    leaves_after: int | None = None
    spec_version: str = "2.3"
    without: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back; `is_complete` tells whether the body came to its end, `names` are the headers' as sent."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes
    is_complete: bool = True
    names: Sequence[str] = ()

    def lines(self, name: str) -> list[str]:
        """Every line of a header."""
        return [value for key, value in self.headers if key == name.lower()]

    def header(self, name: str) -> str | None:
        """All lines of a header as one list, or None."""
        found = self.lines(name)
        return ", ".join(found) if found else None

    def told(self, name: str) -> str:
        """The header, which must be there."""
        found = self.header(name)
        assert found is not None, f"{name} is missing among {self.headers}"
        return found

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)
