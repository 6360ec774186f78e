"""The machine's own clock, the default wherever `clock=` is taken."""

import time


class SystemClock:
    """Reads the time of the machine."""

    __slots__ = ()

    now_ns = staticmethod(time.time_ns)
    monotonic_ns = staticmethod(time.monotonic_ns)
