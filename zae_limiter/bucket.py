"""The bucket's arithmetic: integers and pure functions, nothing else.

A bucket's level is one number a limit, `full_at`: the time in nanoseconds at which it will be full again.
A rate is a pair `(amount, period_ns)` in lowest terms; a span is the time in which tokens come back.
"""

from math import gcd
from typing import Final

Rate = tuple[int, int]

NS_PER_SECOND: Final = 1_000_000_000
LONGEST_FILL_NS: Final = 100 * 365 * 86_400 * NS_PER_SECOND
MOST_FILLS: Final = 1_000_000_000
"""The largest `bucket_ttl_multiplier`: more fills of a bucket than this are for ever."""


def lowest_terms(amount: int, period_ns: int) -> Rate:
    """The rate of so many tokens in a period, so that equal rates are equal pairs."""
    divisor = gcd(amount, period_ns)
    return amount // divisor, period_ns // divisor


def span(tokens: int, rate: Rate) -> int:
    """The time in which so many tokens come back, rounded down: single takes never cost more than one of all."""
    return tokens * rate[1] // rate[0]


def debited(full_at: int, now: int, tokens: int, rate: Rate) -> int:
    """Where a debit of so many tokens would move `full_at`."""
    return (max(now, full_at)) + tokens * rate[1] // rate[0]


def credited_span(tokens: int, debits: int, rate: Rate) -> int:
    """What a credit gives back for tokens that were taken by several debits.

    Spans round down, so the span of a sum may exceed the sum of spans by 1 ns for each debit beyond the first.
    """
    return max(0, span(tokens, rate) - (debits - 1))


def available(full_at: int, now: int, burst: int, rate: Rate) -> int:
    """Exactly the most that would be granted now; negative in debt, never above burst."""
    amount, period = rate
    used = full_at - now if full_at > now else 0
    return ((span(burst, rate) - used + 1) * amount - 1) // period


def tokens_milli(full_at: int, now: int, burst: int, rate: Rate) -> int:
    """The level in thousandths of a token, at most that of a full bucket."""
    amount, period = rate
    used = full_at - now if full_at > now else 0
    return min(burst * 1000, ((span(burst, rate) - used + 1) * amount * 1000 - 1) // period)


def fits(full_at: int, now: int, tokens: int, burst: int, rate: Rate) -> bool:
    """Whether a debit of so many tokens is granted; of 0 tokens: whether there is no debt."""
    return tokens <= burst and debited(full_at, now, tokens, rate) <= now + span(burst, rate)


def wait(full_at: int, now: int, tokens: int, burst: int, rate: Rate) -> int:
    """Nanoseconds until a debit of at most `burst` tokens fits; 0 when it does now."""
    return max(0, debited(full_at, now, tokens, rate) - span(burst, rate) - now)


def carried_over(full_at: int, at: int, old: Rate, new: Rate) -> int:
    """`full_at` measured in another rate at the time `at`: the same tokens, as an exact ratio, rounded up.

    Whole tokens instead would let two rates that alternate on one bucket mint the difference.
    """
    if old == new:
        return full_at
    return at - (-max(0, full_at - at) * old[0] * new[1] // (old[1] * new[0]))


def wait_in_old_rate(full_at: int, at: int, tokens: int, burst: int, old: Rate, new: Rate) -> int:
    """The wait from `at` on for a debit in a new rate, while the level comes back in the old one."""
    room = span(burst, new) - span(tokens, new)
    return max(0, full_at - at - room * old[1] * new[0] // (old[0] * new[1]))


def is_faster(first: Rate, second: Rate) -> bool:
    """Whether the first rate brings tokens back faster than the second."""
    return first[0] * second[1] > second[0] * first[1]


def retry_after_seconds(wait_ns: int) -> float:
    """A wait as seconds for `sleep`: whole milliseconds, rounded up, 0.0 for no wait.

    One millisecond more within a microsecond of the edge: float arithmetic on the caller's clock
    loses up to 0.2 microseconds, and a promise kept too early is a broken one.
    """
    if wait_ns <= 0:
        return 0.0
    return ((wait_ns + 1_000) // 1_000_000 + 1) / 1000


def whole_seconds(wait_ns: int) -> int:
    """A wait as whole seconds, rounded up."""
    return -(-wait_ns // NS_PER_SECOND)
