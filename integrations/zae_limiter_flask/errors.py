"""A refusal as the HTTP error that Flask's own error handlers know, and still the limiter's error with its facts."""

from flask import Response
from werkzeug.exceptions import HTTPException, ServiceUnavailable, TooManyRequests, default_exceptions

from zae_limiter_http import RateLimiterUnavailable, RateLimitExceeded, Refusal


class RequestRefused(TooManyRequests, RateLimitExceeded):
    """The 429 of a request: handlers for 429, `HTTPException` and `RateLimitExceeded` see it, in Flask's order.

    `description` names no entity; `retry_after` is in whole seconds, None when waiting does not help.
    """

    def __init__(self, refusal: Refusal, error: RateLimitExceeded) -> None:
        _fill(self, refusal, error)


class RequestUnavailable(ServiceUnavailable, RateLimiterUnavailable):
    """The 503 of a request while the store cannot be used, for handlers of 503 and `RateLimiterUnavailable`."""

    def __init__(self, refusal: Refusal, error: RateLimiterUnavailable | None = None) -> None:
        _fill(self, refusal, error if error is not None else RateLimiterUnavailable(refusal.detail))


def _fill(made: RequestRefused | RequestUnavailable, refusal: Refusal, error: Exception) -> None:
    # The constructors of both parents want arguments of their own, and werkzeug's calls the other one without any.
    made.__dict__.update(error.__dict__)
    made.description, made.response, made.retry_after = refusal.detail, response_of(refusal), refusal.wait_seconds


def http_error(refusal: Refusal) -> HTTPException:
    """The error to raise, so that Flask answers with the refusal unless the application has a handler for it."""
    error = refusal.error
    if isinstance(error, RateLimitExceeded):
        return RequestRefused(refusal, error)
    if error is not None or refusal.status == ServiceUnavailable.code:
        return RequestUnavailable(refusal, error)
    return default_exceptions[refusal.status](refusal.detail, response_of(refusal))


def response_of(refusal: Refusal) -> Response:
    """The refusal as it is sent."""
    # In a list: of octets alone Flask would count the length anew, and an answer to HEAD has none to count.
    return Response([refusal.body], refusal.status, refusal.headers)
