"""Views of Litestar: found by its router, or told by the scope where the middleware stands behind it.

Looks at applications without importing the framework.
"""

import sys
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any, Final

from zae_limiter_asgi.marks import EXEMPTION, rules_of
from zae_limiter_http import Rule

Scope = MutableMapping[str, Any]

_MADE: Final = "zae_limiter.middleware"


def is_application(app: Any) -> bool:
    """Whether this is an application of Litestar."""
    litestar = sys.modules.get("litestar.app")
    return litestar is not None and isinstance(app, litestar.Litestar)


def is_litestar(app: Any, scope: Scope) -> bool:
    """Whether Litestar answers this request."""
    return "litestar_app" in scope or is_application(app)


def normalized(app: Any, path: str) -> str:
    """A path as Litestar's routes see it: with single slashes, and none at its end; that of others as it is."""
    if not is_application(app):
        return path
    found: str = sys.modules["litestar.utils"].normalize_path(path)
    return found


def found(app: Any, scope: Scope) -> tuple[str | None, str | None, tuple[Rule, ...]]:
    """Template, name and rules of the handler."""
    handler = scope.get("route_handler")
    template = scope.get("path_template")
    if handler is None:
        handler, template = _routed(app, scope)
    if handler is None:
        return None, None, ()
    method = str(scope.get("method", "GET"))
    return template, _name(handler), (*_opted(handler), *rules_of(getattr(handler, "fn", None), method))


def _routed(app: Any, scope: Scope) -> tuple[Any, Any]:
    exceptions = sys.modules["litestar.exceptions"]
    utils = sys.modules["litestar.utils"]
    path = str(scope["path"])
    root = str(scope.get("root_path", ""))
    if root:
        path = path.split(root, maxsplit=1)[-1]
    try:
        _, handler, _, _, template = app.asgi_router.handle_routing(
            path=utils.normalize_path(path), method=scope.get("method")
        )
    except exceptions.LitestarException:  # no such path, or not with this method
        return None, None
    return handler, template


def _opted(handler: Any) -> tuple[Rule, ...]:
    option = handler.opt.get("zae_limiter")
    if option is None:
        return ()
    if option is False:
        return (EXEMPTION,)
    rules = tuple(option) if isinstance(option, Sequence) else (option,)
    if not all(isinstance(rule, Rule) for rule in rules):
        raise TypeError(f"opt['zae_limiter'] of {_name(handler)} must be rate_limit(...), a list of them, or False")
    return rules


def _name(handler: Any) -> str:
    return str(getattr(handler, "handler_name", handler))


def native(app: Any, scope: Scope) -> Any:
    """The request as handlers get it."""
    application = scope.get("litestar_app", app)
    kind = application.websocket_class if scope["type"] == "websocket" else application.request_class
    return kind(scope)


def first_of_its_words(middleware: Any, words: Mapping[str, Any], scope: Scope) -> Any:
    """Of the middleware that `DefineMiddleware` makes anew for each route the first one; itself anywhere else."""
    app = scope.get("litestar_app")
    if app is None:
        return middleware
    # By the objects themselves, which the middleware keeps: two that are only written alike stay two.
    signature = tuple(sorted((name, id(word)) for name, word in words.items()))
    made: dict[Any, Any] = app.state.setdefault(_MADE, {})
    return made.setdefault(signature, middleware)
