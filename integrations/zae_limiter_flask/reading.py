"""Reads applications of Flask for the doctor, without serving a request."""

from collections.abc import Iterator
from typing import Any

from flask import Flask

from zae_limiter_flask.serving import EXTENSION, Served
from zae_limiter_http import SettingsError
from zae_limiter_http.doctor import FoundRoute, Subject


def read(application: Any) -> Subject | None:
    """What is found of an application, or None for one of another kind."""
    layers = list(_layers(application))
    inner = layers.pop() if layers else None
    if not isinstance(inner, Flask):
        return None
    outside = tuple(type(layer).__name__ for layer in (*layers, *list(_layers(inner.wsgi_app))[:-1]))
    served = inner.extensions.get(EXTENSION)
    if not isinstance(served, Served):
        return Subject("Flask", is_debugged=inner.debug)
    try:
        routes = tuple(_routes(inner, served))
    except SettingsError as error:
        return Subject("Flask", mistakes=tuple(error.mistakes), is_debugged=inner.debug)
    return Subject("Flask", served.settings, routes=routes, outside=outside, is_debugged=inner.debug)


def _layers(application: Any) -> Iterator[Any]:
    """WSGI middleware from the outside, by the names under which it keeps what it wraps; the application last."""
    layer = application
    while layer is not None:
        bound = getattr(layer, "__self__", None)
        yield layer if bound is None else bound
        if bound is not None or isinstance(layer, Flask):
            return
        layer = getattr(layer, "app", None) or getattr(layer, "wsgi_app", None) or getattr(layer, "application", None)


def _routes(app: Flask, served: Served) -> Iterator[FoundRoute]:
    for rule in app.url_map.iter_rules():
        for method in sorted((rule.methods or {"GET"}) - {"HEAD", "OPTIONS"}):
            is_own = rule.endpoint.rpartition(".")[2] != "static"
            rules = served.rules_of(rule.endpoint, method)
            yield FoundRoute(rule.rule, (method,), rule.endpoint, rules, is_own=is_own)
