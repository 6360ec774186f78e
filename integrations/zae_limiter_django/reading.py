"""Reads the Django project of DJANGO_SETTINGS_MODULE for the doctor."""

import os
from collections.abc import Iterator, Sequence
from typing import Any, Final

import django
from django.apps import apps
from django.conf import settings as django_settings
from django.core.handlers.base import BaseHandler
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils.module_loading import import_string

from zae_limiter_django.throttled import is_added, methods_of, throttled
from zae_limiter_http import Rule, SettingsError
from zae_limiter_http.doctor import FoundRoute, Subject

# A function view answers any method; these two stand for those that read and those that write.
_OF_FUNCTIONS: Final = ("GET", "POST")


def read(application: Any) -> Subject | None:
    """What is found of the project, for no application or a handler of Django; None for another kind."""
    if application is None and not (django_settings.configured or os.environ.get("DJANGO_SETTINGS_MODULE")):
        return None
    if application is not None and not isinstance(application, BaseHandler):
        return None
    if not apps.ready:
        django.setup()
    return _read()


def _read() -> Subject:
    from zae_limiter_django import conf  # needs the applications to be loaded

    places = [_place(path) for path in django_settings.MIDDLEWARE]
    ours = next((index for index, (_, is_ours) in enumerate(places) if is_ours), None)
    if ours is None:
        return Subject("Django", is_debugged=django_settings.DEBUG)
    try:
        settings = conf.read()
        routes = tuple(_routes(get_resolver(), "", (), settings.rules))
    except SettingsError as error:
        return Subject("Django", mistakes=tuple(error.mistakes), is_debugged=django_settings.DEBUG)
    names = [name for name, _ in places]
    outside, inside = tuple(names[:ours]), tuple(names[ours + 1 :])
    return Subject(
        "Django",
        settings,
        routes=routes,
        outside=outside,
        inside=inside,
        is_debugged=django_settings.DEBUG,
    )


def _place(path: str) -> tuple[str, bool]:
    from zae_limiter_django.middleware import ZaeLimiterMiddleware

    found = import_string(path)
    return path.rpartition(".")[2], isinstance(found, type) and issubclass(found, ZaeLimiterMiddleware)


def _routes(
    resolver: URLResolver, prefix: str, namespaces: tuple[str, ...], configured: Sequence[Rule]
) -> Iterator[FoundRoute]:
    from zae_limiter_django.facts import template
    from zae_limiter_django.views import rules_of

    for each in resolver.url_patterns:
        path = prefix + str(each.pattern)
        if isinstance(each, URLResolver):
            inner = (*namespaces, each.namespace) if each.namespace else namespaces
            yield from _routes(each, path, inner, configured)
        elif isinstance(each, URLPattern):
            name = ":".join((*namespaces, each.name or each.lookup_str))
            view = each.callback
            scope, rules = throttled(view, configured)
            yield FoundRoute(
                template(path),
                _methods(view),
                name,
                (*rules_of(view), *rules),
                is_own=not is_added(view),
                throttle_scope=scope,
            )


def _methods(view: Any) -> tuple[str, ...]:
    told = methods_of(view)
    if told is not None:
        return told
    kind = getattr(view, "view_class", None) or getattr(view, "cls", None)
    if kind is None:
        return _OF_FUNCTIONS
    return tuple(name.upper() for name in kind.http_method_names if hasattr(kind, name) and name != "options")
