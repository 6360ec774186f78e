"""What the frameworks share: requests to charges, decisions to headers and refusals."""

from zae_limiter.exceptions import RateLimiterUnavailable, RateLimitExceeded, ValidationError
from zae_limiter.lease import Lease, current_lease
from zae_limiter_http.callers import EXEMPT
from zae_limiter_http.facts import HttpRequest
from zae_limiter_http.gate import Gate, Passed
from zae_limiter_http.refusal import Refusal, Refused
from zae_limiter_http.rules import Rule, SettingsError
from zae_limiter_http.settings import Settings

__all__ = [
    "EXEMPT",
    "Gate",
    "HttpRequest",
    "Lease",
    "Passed",
    "RateLimitExceeded",
    "RateLimiterUnavailable",
    "Refusal",
    "Refused",
    "Rule",
    "Settings",
    "SettingsError",
    "ValidationError",
    "current_lease",
]
