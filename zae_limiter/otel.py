"""OpenTelemetry instruments that hang on the observer port; needs the extra `otel`.

Labels are the resource, the limit and the kind of failure; never an entity, of which there may be millions.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from zae_limiter.exceptions import MissingExtraError

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider

    from zae_limiter.models import LimitStatus


class OpenTelemetryObserver:
    """Feeds what a limiter does into metrics; pass it as `RateLimiter(..., observers=[...])`.

    Instruments: the counters `zae_limiter.charges` (label `outcome`: granted, refused, degraded, unavailable),
    `zae_limiter.violations` and `zae_limiter.settle_failures`, and the histogram `zae_limiter.store.duration`
    in seconds. `meter_provider` is the global one if not given.
    """

    def __init__(self, meter_provider: "MeterProvider | None" = None) -> None:
        try:
            from opentelemetry import metrics
        except ImportError as error:
            raise MissingExtraError("otel", "OpenTelemetryObserver") from error
        meter = metrics.get_meter("zae_limiter", meter_provider=meter_provider)
        self._charges = meter.create_counter("zae_limiter.charges", "{charge}", "Charges by outcome")
        self._violations = meter.create_counter("zae_limiter.violations", "{violation}", "Limits that refused a charge")
        self._lost = meter.create_counter("zae_limiter.settle_failures", "{settle}", "Settles that were lost")
        self._duration = meter.create_histogram("zae_limiter.store.duration", "s", "Time of calls to the store")

    def granted(self, resource: str) -> None:
        """Count a grant."""
        self._charges.add(1, {"resource": resource, "outcome": "granted"})

    def refused(self, resource: str, violations: Sequence["LimitStatus"]) -> None:
        """Count a refusal, and each limit that it is due to."""
        self._charges.add(1, {"resource": resource, "outcome": "refused"})
        for status in violations:
            self._violations.add(1, {"resource": resource, "limit": status.limit_name})

    def degraded(self, resource: str, cause: Exception) -> None:
        """Count a charge that passed without a store."""
        self._charges.add(1, {"resource": resource, "outcome": "degraded", "error.type": type(cause).__name__})

    def unavailable(self, resource: str, cause: Exception) -> None:
        """Count a charge that failed for want of a store."""
        self._charges.add(1, {"resource": resource, "outcome": "unavailable", "error.type": type(cause).__name__})

    def settle_failed(self, resource: str, cause: Exception) -> None:
        """Count a settle that was lost."""
        self._lost.add(1, {"resource": resource, "error.type": type(cause).__name__})

    def store_called(self, operation: str, seconds: float, *, failed: bool) -> None:
        """Note how long the store took."""
        self._duration.record(seconds, {"operation": operation, "failed": failed})
