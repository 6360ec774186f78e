"""`Depends(rate_limit(...))`: a rule at a route of FastAPI, besides those of the middleware.

The dependency charges; the middleware around it writes the headers and ends the lease.
"""

from collections.abc import AsyncIterator, Callable
from typing import Any

from zae_limiter.exceptions import MissingExtraError
from zae_limiter.lease import Lease, lend_as_current
from zae_limiter_asgi.middleware import KEY, facts
from zae_limiter_http import Passed, Refusal, Refused, Rule, SettingsError

try:
    from starlette.requests import HTTPConnection
except ImportError as error:
    raise MissingExtraError("fastapi", "rate_limit") from error


def rate_limit(limits: Any = None, **words: Any) -> Callable[[HTTPConnection], AsyncIterator[Lease | None]]:
    """A dependency that charges a rule once a request and gives the lease; takes the words of `Rule` but `match`.

    The resource is the route unless one is named. `ZaeLimiterMiddleware` must stand around the application.
    Raises `SettingsError` with all mistakes.
    """
    chosen: dict[str, Any] = {"resource": words.get("name") or "route", **words}
    rule = Rule(limits=limits, **chosen)
    if rule.mistakes:
        raise SettingsError([f"rate_limit.{mistake}" for mistake in rule.mistakes])

    async def charged(connection: HTTPConnection) -> AsyncIterator[Lease | None]:
        inside = connection.scope.get(KEY)
        if not isinstance(inside, Passed) or inside.gate is None:
            raise RuntimeError("rate_limit needs ZaeLimiterMiddleware: app.add_middleware(ZaeLimiterMiddleware, ...)")
        request = facts(connection.scope)
        request.route = request.route or _template(connection.scope)
        request.native = connection
        entered = await inside.gate.enter(request, passed=inside, only=(rule,))
        if isinstance(entered, Refusal):
            raise Refused(entered)
        with lend_as_current(entered.lease):
            yield entered.lease

    return charged


def _template(scope: Any) -> str | None:
    context = (
        scope.get("fastapi", {}).get("effective_route_context") if isinstance(scope.get("fastapi"), dict) else None
    )
    path = getattr(context, "path", None) or getattr(scope.get("route"), "path", None)
    return path if isinstance(path, str) else None
