"""For applications of Starlette and FastAPI: exception handlers for refusals, and a lifespan with a limiter in it."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

from zae_limiter.exceptions import MissingExtraError
from zae_limiter.limiter import RateLimiter
from zae_limiter_asgi.middleware import refusal_of
from zae_limiter_http import RateLimiterUnavailable, RateLimitExceeded

try:
    from starlette.applications import Starlette
    from starlette.requests import HTTPConnection
    from starlette.responses import Response
except ImportError as error:
    raise MissingExtraError("starlette", "install_exception_handlers") from error

AnyLifespan: TypeAlias = Callable[[Any], AbstractAsyncContextManager[Any]]


def install_exception_handlers(app: Starlette) -> None:
    """Let an application answer `RateLimitExceeded` and `RateLimiterUnavailable` itself, as the middleware would.

    The middleware does so without it; with it the answer passes through what stands between the two, and a handler
    of the application's own that is added before stands.
    """
    for kind in (RateLimitExceeded, RateLimiterUnavailable):
        if kind not in app.exception_handlers:
            app.add_exception_handler(kind, _answered)


async def _answered(connection: HTTPConnection, error: Exception) -> Response:
    refusal = refusal_of(error, connection.scope)
    if refusal is None or connection.scope["type"] == "websocket":
        # The middleware knows whether the server can send a handshake the whole answer.
        raise error
    response = Response(refusal.body, refusal.status)
    response.raw_headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in refusal.headers]
    return response


def limiter_lifespan(limiter: RateLimiter, own: AnyLifespan | None = None) -> AnyLifespan:
    """A lifespan that keeps a limiter open around the application's own, for `FastAPI(lifespan=...)`.

    `ZaeLimiterMiddleware` opens and closes its limiter by itself; this is for a limiter that is used without it, or
    before it: by a mounted application, a background task, a start-up that stores limits.
    """

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncGenerator[Any, None]:
        async with limiter:
            if own is None:
                yield None
                return
            async with own(app) as state:
                yield state

    return lifespan
