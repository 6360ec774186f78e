"""The facts of an ASGI connection: read from its scope when a rule asks."""

from collections.abc import Iterable, MutableMapping, Sequence
from typing import Any

from zae_limiter_asgi import litestar_views, routes
from zae_limiter_http import HttpRequest

Scope = MutableMapping[str, Any]

_UNASKED: Any = object()


class AsgiRequest(HttpRequest):
    """One HTTP request or websocket handshake."""

    __slots__ = ("_app", "_native", "_root_path", "scope")

    def __init__(self, scope: Scope, view: routes.View = routes.NOWHERE, app: Any = None) -> None:
        client = scope.get("client")
        self.scope = scope
        # Servers should write it so, but need not, and Quart takes any case.
        self.method = scope.get("method", "GET").upper()
        self.path = litestar_views.normalized(app, _own_path(scope))
        self.headers = ()
        self.peer = client[0] if client else None
        self.route = view.template
        self.view = view.name
        self.user_of = _user
        self._app = app
        self._native = _UNASKED
        self._root_path = scope.get("root_path", "")

    def let_go(self) -> None:
        """Forget the connection, which holds this request in turn: else only the garbage collector would free both."""
        self.scope = {}
        self._native = None

    def is_above(self, scope: Scope) -> bool:
        """Whether a mount lies between this request and a scope inside of it."""
        return bool(scope.get("root_path", "") != self._root_path)

    def template(self) -> str | None:
        """The whole template of the route, asked from within it: mounts have changed the scope meanwhile."""
        if self.route is None and self._app is not None:
            self.route = routes.matched(self._app, {**self.scope, "root_path": self._root_path}).template
        return self.route

    @property
    def native(self) -> Any:
        """The framework's own request for callables of the user; the scope itself where there is none."""
        if self._native is _UNASKED:
            self._native = routes.native(self._app, self.scope)
        return self._native

    @native.setter
    def native(self, value: Any) -> None:
        self._native = value

    def lines(self, name: str) -> list[str]:
        """Every line of a header, in order; servers should lower-case the names, but need not."""
        wanted = name.encode("latin-1")
        return [bytes(value).decode("latin-1") for key, value in self.scope.get("headers", ()) if key.lower() == wanted]


def _own_path(scope: Scope) -> str:
    """The path as the application's routes see it: without the prefix that a server or a mount stands for."""
    # Starlette's routes end with `$`, which lets a line feed pass: `/login%0A` is answered by `/login`.
    path: str = scope.get("path", "/").removesuffix("\n")
    root: str = scope.get("root_path", "")
    if root and (path == root or path.startswith(root + "/")):
        return path[len(root) :] or "/"
    return path


def texts(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """Headers of ASGI as text."""
    return [(bytes(name).decode("latin-1").lower(), bytes(value).decode("latin-1")) for name, value in headers]


def octets(headers: Sequence[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Headers as ASGI wants them: names in lower case."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def _user(native: Any) -> Any:
    """The stable identifier of the user that an authentication middleware has put into the scope, or None."""
    scope = getattr(native, "scope", native)
    user = scope.get("user") if isinstance(scope, MutableMapping) else None
    if user is None or not getattr(user, "is_authenticated", False):
        return None
    for name in ("identity", "pk", "id"):
        try:
            found = getattr(user, name, None)
        except NotImplementedError:
            continue
        if found not in (None, ""):
            return found
    return None
