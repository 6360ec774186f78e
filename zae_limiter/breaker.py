"""The circuit breaker: answers at once while the store is known to be down, and probes every second.

It opens after five failures in a row over at least two buckets, or over two seconds from the only bucket
in use: a tenant whose own bucket fails must not switch limiting off for all.
"""

from typing import Final

_FAILURES: Final = 5
_ONLY_BUCKET_NS: Final = 2_000_000_000
_PROBE_NS: Final = 1_000_000_000


class Breaker:
    """Counts failures of the store in a row; times are readings of the monotonic clock."""

    __slots__ = ("_buckets", "_failures", "_first_ns", "_next_probe_ns", "is_open", "outages")

    def __init__(self) -> None:
        self.is_open = False
        self.outages = 0
        self._failures = 0
        self._first_ns = 0
        self._next_probe_ns = 0
        self._buckets: set[tuple[str, str]] = set()

    def lets_through(self, now_ns: int) -> bool:
        """Whether a call may go to the store: always while closed, one a second while open."""
        if not self.is_open:
            return True
        if now_ns < self._next_probe_ns:
            return False
        self._next_probe_ns = now_ns + _PROBE_NS
        return True

    def answered_a_read(self) -> None:
        """The store has told the limits of a charge: the charge itself may follow, and shows whether all is well."""
        self._next_probe_ns = 0

    def succeeded(self) -> None:
        """The store has answered."""
        if self._failures:
            self._failures = 0
            self._buckets.clear()
            self.is_open = False
            self.outages += 1

    def failed(self, bucket: tuple[str, str], now_ns: int) -> None:
        """A call for this bucket has failed."""
        if self._failures == 0:
            self._first_ns = now_ns
        self._failures += 1
        if len(self._buckets) < _FAILURES:
            self._buckets.add(bucket)
        lasted = now_ns - self._first_ns > _ONLY_BUCKET_NS
        if self._failures >= _FAILURES and (len(self._buckets) > 1 or lasted) and not self.is_open:
            self.is_open = True
            self._next_probe_ns = now_ns + _PROBE_NS
