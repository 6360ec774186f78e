"""The limiter in Quart: decorators at views, and answers to refusals that a view causes.

`app.asgi_app = ZaeLimiterMiddleware(app.asgi_app, ...)` puts it in front.
"""

from typing import Any

from zae_limiter.exceptions import MissingExtraError
from zae_limiter_asgi.marks import rate_limit, rate_limit_exempt
from zae_limiter_asgi.middleware import ZaeLimiterMiddleware, refusal_of
from zae_limiter_http import (
    EXEMPT,
    Lease,
    Passed,
    RateLimiterUnavailable,
    RateLimitExceeded,
    Rule,
    SettingsError,
    current_lease,
)

try:
    from quart import Quart, Response, request
except ImportError as error:
    raise MissingExtraError("quart", "zae_limiter_asgi.quart") from error

__all__ = [
    "EXEMPT",
    "Lease",
    "Passed",
    "RateLimitExceeded",
    "RateLimiterUnavailable",
    "Rule",
    "SettingsError",
    "ZaeLimiterMiddleware",
    "answer_refusals",
    "current_lease",
    "rate_limit",
    "rate_limit_exempt",
]


def answer_refusals(app: Quart) -> None:
    """Let an application answer the refusals that its views cause as the middleware answers its own.

    The middleware does this when it is put around an application; an error handler of the application's own for
    `RateLimitExceeded` stands.
    """
    handlers = app.error_handler_spec[None][None]
    for kind in (RateLimitExceeded, RateLimiterUnavailable):
        if kind not in handlers:
            app.register_error_handler(kind, _answered)


async def _answered(error: Any) -> Response:
    refusal = refusal_of(error, request.scope)  # type: ignore[arg-type]
    if refusal is None:
        raise error
    return Response(refusal.body, refusal.status, dict(refusal.headers))
