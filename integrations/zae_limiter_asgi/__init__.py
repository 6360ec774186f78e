"""The limiter in front of Starlette, FastAPI and any ASGI application."""

from typing import TYPE_CHECKING, Any

from zae_limiter_asgi.marks import rate_limit_exempt
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

if TYPE_CHECKING:
    from zae_limiter_asgi.dependency import rate_limit

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
    "rate_limit",
    "rate_limit_exempt",
]


def __getattr__(name: str) -> Any:
    # Only `rate_limit` needs a framework, so only it loads one.
    if name != "rate_limit":
        raise AttributeError(f"module 'zae_limiter_asgi' has no attribute {name!r}")
    from zae_limiter_asgi.dependency import rate_limit

    return rate_limit


def __dir__() -> list[str]:
    return __all__
