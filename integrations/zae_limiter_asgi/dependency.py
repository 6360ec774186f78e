"""`Depends(rate_limit(...))`: a rule at a route of FastAPI, besides those of the middleware.

The dependency charges; the middleware around it writes the headers and ends the lease.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

from zae_limiter.exceptions import MissingExtraError
from zae_limiter.lease import Lease
from zae_limiter_asgi.facts import AsgiRequest
from zae_limiter_asgi.marks import NoField, label, take
from zae_limiter_asgi.middleware import KEY, REFUSAL
from zae_limiter_asgi.routes import rules_of_dependencies
from zae_limiter_http import HttpRequest, Passed, Refusal, Refused, placed

try:
    from starlette.requests import HTTPConnection
except ImportError as error:
    raise MissingExtraError("fastapi", "rate_limit") from error

_IS_NO_DECORATOR: Final = (
    "this rate_limit is a dependency: write dependencies=[Depends(rate_limit(...))];"
    " as a decorator it is in zae_limiter_asgi.starlette"
)
_NEEDS_A_CALL: Final = NoField("write Depends(rate_limit(...)), such as Depends(rate_limit('5/minute'))")


def rate_limit(
    limits: Annotated[Any, _NEEDS_A_CALL] = None, **words: Any
) -> Callable[[HTTPConnection], Awaitable[Lease]]:
    """A dependency that charges a rule once a request and gives the lease; takes the words of `Rule` but `match`.

    The resource is the route unless one is named. `ZaeLimiterMiddleware` must stand around the application.
    Raises `SettingsError` with all mistakes.
    """
    rule = placed(limits, words)
    take(limits, words)

    async def charged(connection: HTTPConnection) -> Lease:
        inside = connection.scope.get(KEY)
        if not isinstance(inside, Passed) or inside.gate is None:
            raise RuntimeError("rate_limit needs ZaeLimiterMiddleware: app.add_middleware(ZaeLimiterMiddleware, ...)")
        scope = connection.scope
        request = AsgiRequest(scope)
        request.route = _whole_template(inside.request, scope)
        request.view = inside.request.view
        request.native = connection
        entered = await inside.gate.enter(
            request, passed=inside, only=(rule,), own=rules_of_dependencies(_place(scope))
        )
        if isinstance(entered, Refusal):
            scope[REFUSAL] = entered
            raise entered.error or Refused(entered)
        # No generator with an end of its own: the stack that FastAPI keeps for each costs more than the charge.
        if inside.lent is not None:
            inside.lent.go_on_with(entered.lease)
        return inside.gate.lease_of(entered, rule)

    return label(_Dependency(charged), rule)


class _Dependency:
    """A coroutine function to FastAPI, which looks at `__call__` of the object; who calls it as a decorator is told.

    FastAPI would run a plain function in a thread, and a coroutine function can refuse nothing before it is awaited.
    """

    def __init__(self, charged: Callable[[HTTPConnection], Awaitable[Lease]]) -> None:
        self.charged = charged
        setattr(self, "__call__", charged)  # noqa: B010 - what Python calls is that of the class

    def __call__(self, connection: HTTPConnection) -> Awaitable[Lease]:
        if not isinstance(connection, HTTPConnection):  # as a decorator it would leave the route without its limit
            raise TypeError(_IS_NO_DECORATOR)
        return self.charged(connection)


def _whole_template(outer: HttpRequest, scope: Any) -> str | None:
    """The template with everything before it; below a mount only a look at all routes tells what that is."""
    if isinstance(outer, AsgiRequest) and outer.is_above(scope):
        return outer.template() or _template(scope)
    return _template(scope)


def _template(scope: Any) -> str | None:
    path = getattr(_place(scope), "path", None)
    return path if isinstance(path, str) else None


def _place(scope: Any) -> Any:
    """The route as it stands in the application, whichever routers have brought it there."""
    found = scope.get("fastapi")
    context = found.get("effective_route_context") if isinstance(found, dict) else None
    return scope.get("route") if getattr(context, "path", None) is None else context
