"""The clock that follows the table: what the dates of answers tell of this machine's clock. Pure.

Processes whose clocks differ by more than the time in which a limit fills would not share it otherwise.
"""

import logging
from email.utils import parsedate_to_datetime
from typing import Final

_SECOND: Final = 1_000_000_000
_NARROW_ENOUGH: Final = 100_000_000

logger = logging.getLogger("zae_limiter.clock")


class TableClock:
    """Intersects what answers say: the table's time less this machine's is in `[date - received, date + 1 s - sent]`.

    `offset_ns` is what to add to this machine's time; 0 while the interval is 100 ms or wider, and as long
    as the machine's own time agrees with all answers.
    """

    __slots__ = ("_interval", "_is_told", "_parsed", "offset_ns")

    def __init__(self) -> None:
        self.offset_ns = 0
        self._is_told = False
        # Each is replaced as a whole: threads hear answers at the same time.
        self._parsed = ("", 0)
        self._interval = (-(2**63), 2**63)

    def heard(self, date: str, sent_ns: int, received_ns: int) -> None:
        """Take the date of one answer, with this machine's time when it was asked for and when it came."""
        known, date_ns = self._parsed
        if date != known:
            try:
                date_ns = int(parsedate_to_datetime(date).timestamp()) * _SECOND
            except (TypeError, ValueError):
                return
            self._parsed = (date, date_ns)
        own = lowest, highest = date_ns - received_ns, date_ns + _SECOND - sent_ns
        if lowest > highest:
            # The machine's clock was set back while the answer was on its way.
            return
        before = self._interval
        if lowest <= before[0] and highest >= before[1]:
            return
        found = max(lowest, before[0]), min(highest, before[1])
        # Where nothing is left, the machine's clock was set meanwhile, or has drifted.
        self._interval = found = found if found[0] <= found[1] else own
        if found[1] - found[0] < _NARROW_ENOUGH:
            self._correct(*found)

    def _correct(self, lowest: int, highest: int) -> None:
        self.offset_ns = 0 if lowest <= 0 <= highest else (lowest + highest) // 2
        is_far = abs(self.offset_ns) > _SECOND
        if is_far and not self._is_told:
            logger.warning(
                "the clock of this machine is %.1f s off that of the table; charges follow the table",
                -self.offset_ns / _SECOND,
            )
        self._is_told = is_far
