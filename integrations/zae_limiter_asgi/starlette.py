"""The limiter in Starlette: the middleware, and decorators at endpoints, classes of endpoints and their methods.

The decorators work at the functions of FastAPI, too.
"""

from zae_limiter_asgi.handlers import install_exception_handlers, limiter_lifespan
from zae_limiter_asgi.marks import rate_limit, rate_limit_exempt
from zae_limiter_asgi.middleware import ZaeLimiterMiddleware
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

__all__ = [
    "EXEMPT",
    "Lease",
    "Passed",
    "RateLimitExceeded",
    "RateLimiterUnavailable",
    "Rule",
    "SettingsError",
    "ZaeLimiterMiddleware",
    "current_lease",
    "install_exception_handlers",
    "limiter_lifespan",
    "rate_limit",
    "rate_limit_exempt",
]
