"""Views of Quart, found by the application's URL map; looks at applications without importing the framework."""

import inspect
import sys
from collections.abc import MutableMapping
from typing import Any, Final

from zae_limiter_asgi.marks import rules_of
from zae_limiter_http import Rule

_ENDS: Final = frozenset({"receive", "send", "accept", "close"})
Scope = MutableMapping[str, Any]


def is_quart(app: Any) -> bool:
    """Whether this is an application of Quart."""
    quart = sys.modules.get("quart.app")
    return quart is not None and isinstance(app, quart.Quart)


def found(app: Any, scope: Scope) -> tuple[str | None, str | None, tuple[Rule, ...]]:
    """Template, name and rules of the view."""
    exceptions: Any = sys.modules["werkzeug.exceptions"]
    routing: Any = sys.modules["werkzeug.routing"]
    method = str(scope.get("method", "GET"))
    try:
        path = _path(scope["path"], scope.get("root_path", ""))
        rule, _ = _urls(app, scope).match(path, method, return_rule=True, websocket=scope["type"] == "websocket")
    except (exceptions.HTTPException, routing.RoutingException):  # no such path, or not with this method
        return None, None, ()
    view = app.view_functions.get(rule.endpoint)
    return rule.rule, rule.endpoint, rules_of(view, method)


def _urls(app: Any, scope: Scope) -> Any:
    if app.subdomain_matching or app.url_map.host_matching:
        return app.create_url_adapter(native(app, scope))
    # No host stands before its paths: so it takes a quarter of the time.
    return app.url_map.bind("localhost", url_scheme=scope.get("scheme", "http"))


def native(app: Any, scope: Scope) -> Any:
    """The request as views get it, without its body or messages: they are still on their way."""
    datastructures: Any = sys.modules["werkzeug.datastructures"]
    headers = datastructures.Headers()
    for name, value in scope["headers"]:
        headers.add(name.decode("latin-1"), value.decode("latin-1"))
    client = scope.get("client")
    headers["Remote-Addr"] = str(client[0]) if client else "<local>"
    root = scope.get("root_path", "")
    words = _path(scope["path"], root), scope.get("query_string", b""), headers, root, scope.get("http_version", "1.1")
    if scope["type"] == "websocket":
        return _websocket(app, scope, *words)
    return _request(app, scope, *words)


def _path(path: str, root: str) -> str:
    # As Quart has it: outside of the prefix there is nothing, and its text for that is no path.
    if not root:
        return path
    return path.removeprefix(root) if path != root and path.startswith(root) else " "


def _request(app: Any, scope: Scope, path: str, query: bytes, headers: Any, root: str, version: str) -> Any:
    async def no_push(path: str, headers: Any) -> None:
        """A push belongs to the response."""

    scheme = scope.get("scheme", "http")
    return app.request_class(
        scope["method"], scheme, path, query, headers, root, version, send_push_promise=no_push, scope=scope
    )


def _websocket(app: Any, scope: Scope, path: str, query: bytes, headers: Any, root: str, version: str) -> Any:
    async def too_early(*_: Any, **__: Any) -> None:
        raise RuntimeError("the handshake of this websocket is not answered yet")

    scheme, protocols = scope.get("scheme", "ws"), list(scope.get("subprotocols", []))
    # Quart 0.23 has no `receive` any more.
    wrappers: Any = sys.modules["quart.wrappers"]
    ends = dict.fromkeys(_ENDS & inspect.signature(wrappers.Websocket).parameters.keys(), too_early)
    return app.websocket_class(path, query, scheme, headers, root, version, protocols, **ends, scope=scope)
