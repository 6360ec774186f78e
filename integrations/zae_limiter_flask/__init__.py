"""The limiter of Flask applications."""

from zae_limiter.exceptions import MissingExtraError

try:
    import flask as _  # noqa: F401 - asked for here, so that who has none is told what to install
except ModuleNotFoundError as error:
    raise MissingExtraError("flask", "zae_limiter_flask") from error

from zae_limiter.sync_lease import SyncLease
from zae_limiter_flask.decorators import ViewLimit
from zae_limiter_flask.errors import RequestRefused, RequestUnavailable
from zae_limiter_flask.extension import ZaeLimiter, current_lease
from zae_limiter_http import EXEMPT, RateLimiterUnavailable, RateLimitExceeded, Rule, SettingsError, SyncPassed

__all__ = [
    "EXEMPT",
    "RateLimitExceeded",
    "RateLimiterUnavailable",
    "RequestRefused",
    "RequestUnavailable",
    "Rule",
    "SettingsError",
    "SyncLease",
    "SyncPassed",
    "ViewLimit",
    "ZaeLimiter",
    "current_lease",
]
