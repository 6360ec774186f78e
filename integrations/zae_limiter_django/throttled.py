"""Which throttles of ours stand at a view of Django REST framework or Django Ninja, as the doctor is told."""

import copy
import functools
import inspect
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final

from zae_limiter_http import Rule

# What these add by themselves: pages of an API about itself.
_ADDED: Final = ("django.", "ninja.openapi.", "rest_framework.routers", "rest_framework.schemas")
_ANYBODY: Final = ("user", "anon")


def is_added(view: Any) -> bool:
    """Whether a framework has brought this view along."""
    function = view.func if isinstance(view, functools.partial) else view
    return str(function.__module__).startswith(_ADDED)


def methods_of(view: Any) -> tuple[str, ...] | None:
    """The methods that a view of these frameworks answers; None for a view of another kind."""
    actions = getattr(view, "actions", None)
    if isinstance(actions, dict):
        return tuple(name.upper() for name in actions if name != "options")
    operations = _operations(view)
    return tuple(dict.fromkeys(method for each in operations for method in each.methods)) or None


def throttled(view: Any, configured: Sequence[Rule]) -> tuple[str | None, tuple[Rule, ...]]:
    """The scope under which a throttle looks for its rules among those configured, and the rules that it brings."""
    # A project that has a throttle of ours at a view has imported it.
    throttling = sys.modules.get("zae_limiter_django.throttling")
    kind = getattr(view, "cls", None)
    if throttling is None or kind is None:
        return None, tuple(_of_operations(view))
    given = {"throttle_classes": getattr(kind, "throttle_classes", ()), **(getattr(view, "initkwargs", None) or {})}
    if not any(
        isinstance(each, type) and issubclass(each, throttling.ZaeThrottle) for each in given["throttle_classes"]
    ):
        return None, ()
    scope = str(given.get("throttle_scope") or throttling.scope_of(kind))
    if throttling.rules_about(configured, scope):
        return scope, ()
    names = _ANYBODY if throttling.usual_rules(scope) is None else (scope,)
    return scope, tuple(rule for name in names for rule in throttling.usual_rules(name) or ())


def inside(view: Any, configured: Sequence[Rule]) -> list[Rule]:
    """The rules that the throttles of a view charge, whatever the path."""
    scope, brought = throttled(view, configured)
    if scope is None:
        return list(brought)
    throttling = sys.modules["zae_limiter_django.throttling"]
    return [*brought, *(throttling.for_all(rule) for rule in throttling.rules_about(configured, scope))]


def _of_operations(view: Any) -> Iterator[Rule]:
    for operation in _operations(view):
        for throttle in operation.throttle_objects:
            for rule in getattr(throttle, "_rules", ()):
                here = copy.copy(rule)
                here.methods = here.methods or frozenset(operation.methods)
                yield here


def _operations(view: Any) -> Sequence[Any]:
    """The operations of a path of Ninja, which its view keeps to itself."""
    if "ninja" not in sys.modules or not inspect.isfunction(view):
        return ()
    path = inspect.getclosurevars(view).nonlocals.get("self")
    return getattr(path, "operations", ())
