"""Reads applications of Starlette, FastAPI, Litestar and Quart for the doctor, without starting them."""

import inspect
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from zae_limiter_asgi import litestar_views, quart_views
from zae_limiter_asgi.marks import rules_of, taken
from zae_limiter_asgi.middleware import ZaeLimiterMiddleware
from zae_limiter_asgi.routes import application_in
from zae_limiter_http import Rule, Settings, SettingsError, read_settings
from zae_limiter_http.doctor import FoundRoute, Subject


def read(application: Any) -> Subject | None:
    """What is found of an application, or None for one of another kind."""
    inner = application_in(application)
    read_routes = _routes_of(inner)
    if read_routes is None:
        return None
    layers = [*_around(application, inner), *_within(inner)]
    subject = Subject(_framework(inner), routes=tuple(read_routes(inner)), is_debugged=bool(inner.debug))
    place = next((index for index, layer in enumerate(layers) if _is_ours(layer)), None)
    if place is None:
        return subject
    names = [_name(layer) for layer in layers]
    try:
        settings = _settings(layers[place])
    except SettingsError as error:
        return replace(subject, mistakes=tuple(error.mistakes))
    named = taken(_views(inner), (rule for route in subject.routes for rule in route.rules))
    if named:
        told = "was taken for a callable of limits, and has no limit; write rate_limit(...) with parentheses"
        return replace(subject, mistakes=tuple(f"rate_limit: {name}() {told}" for name in named))
    return replace(subject, settings=settings, outside=tuple(names[:place]), inside=tuple(names[place + 1 :]))


def _routes_of(inner: Any) -> Any:
    if litestar_views.is_application(inner):
        return _of_litestar
    if quart_views.is_quart(inner):
        return _of_quart
    starlette = sys.modules.get("starlette.applications")
    is_starlette = starlette is not None and isinstance(inner, starlette.Starlette)
    return _of_starlette if is_starlette else None


def _views(inner: Any) -> Iterator[Any]:
    if quart_views.is_quart(inner):
        yield from inner.view_functions.values()
        return
    if litestar_views.is_application(inner):  # which takes no such object for a handler
        return
    walk = getattr(sys.modules.get("fastapi.routing"), "iter_route_contexts", None)
    for route in inner.routes if walk is None else walk(inner.routes):
        yield getattr(route, "endpoint", None)


def _framework(inner: Any) -> str:
    return next(kind.__name__ for kind in type(inner).__mro__ if kind.__module__.partition(".")[0] in _FRAMEWORKS)


_FRAMEWORKS = ("fastapi", "starlette", "litestar", "quart")


def _around(application: Any, inner: Any) -> Iterator[Any]:
    layer = application
    while layer is not inner and layer is not None:
        yield layer
        layer = getattr(layer, "app", None) or getattr(layer, "__self__", None)


def _within(inner: Any) -> Iterator[Any]:
    if litestar_views.is_application(inner):
        if inner.cors_config is not None:
            yield "CORSMiddleware"
        yield from inner.middleware
    elif quart_views.is_quart(inner):
        yield from (layer for layer in _around(inner.asgi_app, inner) if not inspect.ismethod(layer))
    else:
        yield from inner.user_middleware


def _made(layer: Any) -> tuple[Any, Mapping[str, Any]]:
    """The class of a layer that is still to be made, and the words that it is made of."""
    kind = getattr(layer, "cls", None) or getattr(layer, "middleware", None)
    return kind, getattr(layer, "kwargs", {})


def _instance(layer: Any) -> Any:
    # The plugin of Litestar hands over a method of the one middleware that all routes share.
    return getattr(layer, "__self__", layer)


def _is_ours(layer: Any) -> bool:
    return isinstance(_instance(layer), ZaeLimiterMiddleware) or _made(layer)[0] is ZaeLimiterMiddleware


def _settings(layer: Any) -> Settings:
    instance = _instance(layer)
    if isinstance(instance, ZaeLimiterMiddleware):
        return instance.settings
    words = _made(layer)[1]
    return read_settings({**words, "rules": words.get("rules") or None})


def _name(layer: Any) -> str:
    if isinstance(layer, str):
        return layer
    kind = _made(layer)[0] or (layer if inspect.isclass(layer) else type(_instance(layer)))
    return str(getattr(kind, "__name__", kind))


def _of_starlette(inner: Any) -> Iterator[FoundRoute]:
    walk = getattr(sys.modules.get("fastapi.routing"), "iter_route_contexts", None)
    seen: set[str] = set()
    for context in walk(inner.routes) if walk is not None else ():
        if isinstance(context.path, str) and context.endpoint is not None:
            seen.add(context.path)
            yield _found(context.path, context.methods, context.endpoint, _depended(context))
    yield from (route for route in _mounted(inner.routes, "") if route.template not in seen)


def _mounted(routes: Any, prefix: str) -> Iterator[FoundRoute]:
    for route in routes:
        path = getattr(route, "path", getattr(route, "host", None))
        endpoint = getattr(route, "endpoint", None)
        if isinstance(path, str) and endpoint is not None:
            yield _found(prefix + path, getattr(route, "methods", None), endpoint, _depended(route))
        elif isinstance(path, str):
            yield from _mounted(getattr(route, "routes", None) or (), prefix + path)


def _found(path: str, methods: Any, endpoint: Any, rules: tuple[Rule, ...]) -> FoundRoute:
    told = tuple(sorted(methods)) if methods else ("GET",)
    at_view = rules_of(endpoint, told[0])
    name = getattr(endpoint, "__qualname__", type(endpoint).__qualname__)
    is_own = endpoint.__module__.partition(".")[0] not in _FRAMEWORKS
    return FoundRoute(path, told, f"{endpoint.__module__}.{name}", (*at_view, *rules), is_own=is_own)


def _depended(route: Any) -> tuple[Rule, ...]:
    dependant = getattr(route, "dependant", None)
    return () if dependant is None else _rules_below(dependant)


def _rules_below(dependant: Any) -> tuple[Rule, ...]:
    found: list[Rule] = []
    for each in dependant.dependencies:
        found += [*_rules_below(each), *rules_of(each.call, "GET")]
    return tuple(found)


def _of_litestar(inner: Any) -> Iterator[FoundRoute]:
    for route in inner.routes:
        for handler in getattr(route, "route_handlers", None) or [route.route_handler]:
            methods = tuple(sorted(getattr(handler, "http_methods", ("GET",))))
            if methods == ("OPTIONS",):
                continue
            scope: dict[str, Any] = {
                "route_handler": handler,
                "path_template": route.path_format,
                "method": methods[0],
            }
            template, view, rules = litestar_views.found(inner, scope)
            module = str(getattr(handler.fn, "__module__", ""))
            is_own = module.partition(".")[0] not in _FRAMEWORKS
            yield FoundRoute(str(template), methods, view, rules, is_own=is_own)


def _of_quart(inner: Any) -> Iterator[FoundRoute]:
    for rule in inner.url_map.iter_rules():
        view = inner.view_functions.get(rule.endpoint)
        methods: tuple[str, ...] = tuple(sorted(rule.methods or ("GET",)))
        first = next((method for method in methods if method not in ("HEAD", "OPTIONS")), methods[0])
        is_own = rule.endpoint.rpartition(".")[2] != "static"
        yield FoundRoute(rule.rule, methods, rule.endpoint, rules_of(view, first), is_own=is_own)
