"""What a rule may know of a request: a view of it that no framework shows through.

Names of headers are lower-cased; duplicates and their order are kept.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class HttpRequest:
    """One request.

    `peer` is the address of the other end of the connection, `route` the template that it matched, `view` the
    name of its handler; each is None where nobody knows it. `user_of` tells the identity of the authenticated
    user of `native`, the framework's own request.
    """

    method: str
    path: str
    headers: Sequence[tuple[str, str]] = ()
    peer: str | None = None
    route: str | None = None
    view: str | None = None
    native: Any = None
    user_of: Callable[[Any], Any] | None = field(default=None, repr=False)

    def lines(self, name: str) -> list[str]:
        """Every line of a header, in order."""
        return [value for key, value in self.headers if key == name]

    def header(self, name: str) -> str | None:
        """All lines of a header as one list (RFC 9110, 5.3), or None."""
        found = self.lines(name)
        return ", ".join(found) if found else None

    def ask(self, function: Callable[[Any], Any], argument: Any) -> Any:
        """Call what a user has written; an adapter whose framework has its own way for that overrides this."""
        return function(argument)
