"""The template of the route that a request will match, before the application runs; None where nobody knows.

Frameworks are looked for by what is loaded already: an application of theirs cannot be there otherwise.
"""

import sys
from collections.abc import Iterator, MutableMapping
from typing import Any


def matched(app: Any, scope: MutableMapping[str, Any]) -> tuple[str | None, str | None]:
    """Template and name of the view of the route that fits in full."""
    known = scope.get("path_template")
    if isinstance(known, str):
        return known, None
    inner = None if app is None else _router_of(app)
    if inner is None or "starlette.routing" not in sys.modules:
        return None, None
    found = next(_matches(inner, scope), None)
    return found if found is not None else (None, None)


def native(scope: MutableMapping[str, Any]) -> Any:
    """The framework's own request for callables of the user; the scope itself where there is none."""
    requests = sys.modules.get("starlette.requests")
    return scope if requests is None else requests.Request(scope)


def _router_of(app: Any) -> Any:
    for _ in range(32):
        if hasattr(app, "routes"):
            return app
        inner = getattr(app, "app", None)
        if inner is None:
            return None
        app = inner
    return None


def _matches(router: Any, scope: MutableMapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    full = sys.modules["starlette.routing"].Match.FULL
    fastapi = sys.modules.get("fastapi.routing")
    walk = getattr(fastapi, "iter_route_contexts", None)
    if walk is not None:
        for context in walk(router.routes):
            path = getattr(context, "path", None)
            if isinstance(path, str) and _fits(context, scope, full):
                yield path, _view(getattr(context, "endpoint", None))
    yield from _starlette_matches(router.routes, scope, full, "")


def _fits(context: Any, scope: MutableMapping[str, Any], full: Any) -> bool:
    matches: Any = getattr(context, "matches", None)
    return matches is not None and matches(dict(scope))[0] is full


def _starlette_matches(
    routes: Any, scope: MutableMapping[str, Any], full: Any, prefix: str
) -> Iterator[tuple[str, str | None]]:
    for route in routes:
        path = getattr(route, "path", None)
        if not isinstance(path, str):
            continue
        fit, child = route.matches(dict(scope))
        if fit is not full:
            continue
        inner = getattr(route, "routes", None)
        if inner:
            yield from _starlette_matches(inner, {**scope, **child}, full, prefix + path)
        else:
            yield prefix + path, _view(getattr(route, "endpoint", None))


def _view(endpoint: Any) -> str | None:
    name = getattr(endpoint, "__qualname__", None)
    return f"{endpoint.__module__}.{name}" if isinstance(name, str) else None
