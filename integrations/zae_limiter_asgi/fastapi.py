"""The limiter in FastAPI: the middleware, rules as dependencies, and what an OpenAPI document says of refusals."""

from typing import Any, Final

from zae_limiter_asgi.dependency import rate_limit
from zae_limiter_asgi.handlers import install_exception_handlers, limiter_lifespan
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

__all__ = [
    "EXEMPT",
    "RATE_LIMITED_RESPONSES",
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

_RETRY_AFTER: Final = {
    "description": "Seconds until the request may be repeated; absent where it can never be granted.",
    "schema": {"type": "integer", "minimum": 1},
}


def _problem(title: str, **members: Any) -> dict[str, Any]:
    properties = {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string", "const": title},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "retry_after": {"type": "integer", "minimum": 1},
        **members,
    }
    required = ["type", "title", "status", "detail"]
    # Written out: FastAPI registers no component for a reference in this place.
    schema = {"type": "object", "required": required, "properties": properties}
    return {"application/problem+json": {"schema": schema}}


RATE_LIMITED_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    429: {
        "description": "Too Many Requests: a quota is exceeded.",
        "content": _problem(
            "Quota Exceeded",
            **{"violated-policies": {"type": "array", "items": {"type": "string"}}, "retryable": {"type": "boolean"}},
        ),
        "headers": {
            "Retry-After": _RETRY_AFTER,
            "RateLimit": {"description": "What is left of the violated quotas.", "schema": {"type": "string"}},
            "RateLimit-Policy": {"description": "The quotas.", "schema": {"type": "string"}},
        },
    },
    503: {
        "description": "Service Unavailable: quotas cannot be counted now.",
        "content": _problem("Service Unavailable"),
        "headers": {"Retry-After": _RETRY_AFTER},
    },
}
"""For `responses=` of an application, a router or a route: what the limiter may answer."""
