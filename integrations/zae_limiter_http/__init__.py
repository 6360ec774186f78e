"""What the frameworks share: requests to charges, decisions to headers and refusals."""

from zae_limiter.exceptions import RateLimiterUnavailable, RateLimitExceeded, ValidationError
from zae_limiter.lease import Lease, current_lease
from zae_limiter_http.callers import EXEMPT
from zae_limiter_http.events import Event
from zae_limiter_http.facts import HttpRequest
from zae_limiter_http.gate import Gate
from zae_limiter_http.passed import Passed
from zae_limiter_http.refusal import Refusal, Refused
from zae_limiter_http.responses import HttpResponse
from zae_limiter_http.rule import Rule, SettingsError, placed
from zae_limiter_http.settings import Settings
from zae_limiter_http.sources import read_settings
from zae_limiter_http.store import limiter_of, sync_limiter_of
from zae_limiter_http.sync_gate import SyncGate, SyncPassed
from zae_limiter_http.texts import Texts

__all__ = [
    "EXEMPT",
    "Event",
    "Gate",
    "HttpRequest",
    "HttpResponse",
    "Lease",
    "Passed",
    "RateLimitExceeded",
    "RateLimiterUnavailable",
    "Refusal",
    "Refused",
    "Rule",
    "Settings",
    "SettingsError",
    "SyncGate",
    "SyncPassed",
    "Texts",
    "ValidationError",
    "current_lease",
    "limiter_of",
    "placed",
    "read_settings",
    "sync_limiter_of",
]
