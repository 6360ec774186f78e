"""What the limiter tells an application; receivers cannot break the response."""

from typing import Final

from django.dispatch import Signal

#: Sent with `request`, `exc` (the `RateLimitExceeded`) and `rule` when a request is refused.
request_limited: Final = Signal()

#: Sent with the same when a rule with `shadow` would have refused a request.
request_shadowed: Final = Signal()

#: Sent with `request`, `exc` (the `RateLimiterUnavailable`, or None where the request passed) and `rule` when the
#: store could not be used.
limiter_unavailable: Final = Signal()

BY_KIND: Final = {
    "limited": request_limited,
    "shadowed": request_shadowed,
    "unavailable": limiter_unavailable,
    "degraded": limiter_unavailable,
}
