"""The limiter in front of Django: middleware for plain and async stacks, decorators for views, one setting."""

from importlib.util import find_spec

from zae_limiter.exceptions import MissingExtraError

if find_spec("django") is None:
    raise MissingExtraError("django", "zae_limiter_django")

from zae_limiter_django.decorators import rate_limit, rate_limit_exempt
from zae_limiter_django.limits import AsyncLimitedRequest, LimitedRequest, RequestLimits, current_lease
from zae_limiter_django.middleware import ZaeLimiterHeaderMiddleware, ZaeLimiterMiddleware
from zae_limiter_django.signals import limiter_unavailable, request_limited, request_shadowed
from zae_limiter_http import EXEMPT, RateLimiterUnavailable, RateLimitExceeded, Rule, SettingsError

__all__ = [
    "AsyncLimitedRequest",
    "EXEMPT",
    "LimitedRequest",
    "RateLimitExceeded",
    "RateLimiterUnavailable",
    "RequestLimits",
    "Rule",
    "SettingsError",
    "ZaeLimiterHeaderMiddleware",
    "ZaeLimiterMiddleware",
    "current_lease",
    "limiter_unavailable",
    "rate_limit",
    "rate_limit_exempt",
    "request_limited",
    "request_shadowed",
]
