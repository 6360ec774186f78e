"""The view that will answer a request, found before the application runs; nothing where nobody knows.

Frameworks are looked for by what is loaded already: an application of theirs cannot be there otherwise.
"""

import sys
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from zae_limiter_asgi import litestar_views, quart_views
from zae_limiter_asgi.marks import labels_of, rules_of
from zae_limiter_http import Rule

Scope = MutableMapping[str, Any]


@dataclass(frozen=True, slots=True)
class View:
    """Template of the route, name of the view, the rules that stand there, and those that it charges by itself."""

    template: str | None = None
    name: str | None = None
    rules: tuple[Rule, ...] = ()
    own: tuple[Rule, ...] = ()


NOWHERE: Final = View()


def matched(app: Any, scope: Scope) -> View:
    """The view of the route that fits in full."""
    inner = application_in(app)
    if litestar_views.is_litestar(inner, scope):
        return View(*litestar_views.found(inner, scope))
    if quart_views.is_quart(inner):
        return View(*quart_views.found(inner, scope))
    if inner is None or "starlette.routing" not in sys.modules:
        return NOWHERE
    found = next(_matches(inner, scope), None)
    if found is None:
        return NOWHERE
    template, route = found
    endpoint = getattr(route, "endpoint", None)
    own = rules_of_dependencies(route)
    return View(template, _name(endpoint), rules_of(endpoint, str(scope.get("method", "GET"))), own)


def rules_of_dependencies(route: Any) -> tuple[Rule, ...]:
    """The rules that the dependencies of a route of FastAPI charge, in the order in which they are asked."""
    return tuple(_of_dependencies(getattr(route, "dependant", None)))


def _of_dependencies(dependant: Any) -> Iterator[Rule]:
    for each in getattr(dependant, "dependencies", ()):
        yield from _of_dependencies(each)
        yield from labels_of(each.call)


def native(app: Any, scope: Scope) -> Any:
    """The framework's own request for callables of the user; the scope itself where there is none."""
    inner = application_in(app)
    if litestar_views.is_litestar(inner, scope):
        return litestar_views.native(inner, scope)
    if quart_views.is_quart(inner):
        return quart_views.native(inner, scope)
    requests = sys.modules.get("starlette.requests")
    if requests is None:
        return scope
    return requests.Request(scope) if scope["type"] == "http" else requests.HTTPConnection(scope)


def prepare(app: Any) -> None:
    """Let an application answer the limiter's errors where its framework keeps them from the middleware."""
    inner = application_in(app)
    # Their modules need the framework, which is there.
    if quart_views.is_quart(inner):
        from zae_limiter_asgi import quart

        quart.answer_refusals(inner)
    elif litestar_views.is_application(inner):
        from zae_limiter_asgi import litestar

        litestar.answer_refusals(inner.exception_handlers)


def application_in(app: Any) -> Any:
    """The application of a framework inside of the middleware around it, or None."""
    for _ in range(32):
        if litestar_views.is_application(app) or quart_views.is_quart(app) or hasattr(app, "routes"):
            return app
        # Quart is wrapped at `app.asgi_app`, which is a method of the application.
        inner = getattr(app, "app", None) or getattr(app, "__self__", None)
        if inner is None:
            return None
        app = inner
    return None


def _matches(router: Any, scope: Scope, prefix: str = "") -> Iterator[tuple[str, Any]]:
    full = sys.modules["starlette.routing"].Match.FULL
    walk = getattr(sys.modules.get("fastapi.routing"), "iter_route_contexts", None)
    # FastAPI keeps included routers as a tree, whose routes know only a part of their path.
    for route in router.routes if walk is None else walk(router.routes):
        path = getattr(route, "path", None)
        if path is None:
            # A host stands before the paths of its routes: another one may have the same.
            path = getattr(getattr(route, "original_route", route), "host", None)
        matches: Any = getattr(route, "matches", None)
        if not isinstance(path, str) or matches is None:
            continue
        fit, child = matches(dict(scope))
        if fit is not full:
            continue
        mounted = _mounted(route)
        if mounted is None:
            yield prefix + path, route
        else:
            yield from _matches(mounted, {**scope, **child}, prefix + path)


def _mounted(route: Any) -> Any:
    """What is mounted at a route and has routes of its own, or None."""
    original = getattr(route, "original_route", route)
    return original if getattr(original, "routes", None) else None


def _name(endpoint: Any) -> str | None:
    name = getattr(endpoint, "__qualname__", None)
    return f"{endpoint.__module__}.{name}" if isinstance(name, str) else None
