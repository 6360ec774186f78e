"""The bucket's arithmetic against a token bucket in exact rationals, and the worked values of admission."""

from fractions import Fraction

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from zae_limiter import bucket
from zae_limiter.bucket import Rate

SECOND = bucket.NS_PER_SECOND
START = 1_800_000_000 * SECOND

rates = st.builds(
    bucket.lowest_terms,
    st.integers(1, 10**9),
    st.sampled_from([1, 7, 60, 3_600, 86_400]).map(lambda seconds: seconds * SECOND),
)
bursts = st.one_of(st.integers(1, 20), st.integers(1, 10**6))


def per_minute(tokens: int) -> Rate:
    return bucket.lowest_terms(tokens, 60 * SECOND)


class ReferenceBucket:
    """Tokens that come back continuously, exact, up to the burst."""

    def __init__(self, burst: int, rate: Rate) -> None:
        self.burst = burst
        self.a_nanosecond = Fraction(rate[0], rate[1])
        self.tokens = Fraction(burst)
        self.now = START

    def refill(self, now: int) -> None:
        self.tokens = min(Fraction(self.burst), self.tokens + (now - self.now) * self.a_nanosecond)
        self.now = now


steps = st.lists(st.tuples(st.integers(0, 5 * SECOND), st.integers(1, 25)), min_size=1, max_size=60)


@given(rates, bursts, steps)
@example(bucket.lowest_terms(60, SECOND), 2, [(0, 1), (0, 1), (0, 1)])
@settings(max_examples=300)
def test_the_same_takes_are_granted_as_by_exact_tokens_away_from_a_nanosecond_edge(
    rate: Rate, burst: int, takes: list[tuple[int, int]]
) -> None:
    reference = ReferenceBucket(burst, rate)
    full_at, now = 0, START
    for number, (pause, tokens) in enumerate(takes, start=1):
        now += pause
        reference.refill(now)
        is_granted = bucket.fits(full_at, now, tokens, burst, rate)
        edge = (number + 1) * reference.a_nanosecond
        if abs(reference.tokens - tokens) > edge:
            assert is_granted == (reference.tokens >= tokens)
        if is_granted:
            full_at = bucket.debited(full_at, now, tokens, rate)
            reference.tokens -= tokens


moves = st.lists(
    st.tuples(
        st.integers(0, 3 * SECOND),
        st.sampled_from(["debit", "debit", "debit", "adjust", "credit"]),
        st.integers(1, 12),
        st.integers(-SECOND, SECOND),
    ),
    min_size=1,
    max_size=40,
)


@given(rates, st.integers(1, 30), moves)
@settings(max_examples=300)
def test_no_window_admits_more_than_burst_and_rate_by_clocks_that_differ(
    rate: Rate, burst: int, schedule: list[tuple[int, str, int, int]]
) -> None:
    full_at, true_now, open_tokens = 0, START, 0
    taken: list[tuple[int, int]] = []
    for pause, action, tokens, skew in schedule:
        true_now += pause
        now = true_now + skew
        if action == "debit" and bucket.fits(full_at, now, tokens, burst, rate):
            full_at = bucket.debited(full_at, now, tokens, rate)
            taken.append((true_now, tokens))
            open_tokens += tokens
        elif action == "adjust":
            full_at = bucket.debited(full_at, now, tokens, rate)
        elif action == "credit" and 0 < tokens <= open_tokens:
            full_at -= bucket.credited_span(tokens, tokens, rate)
            taken.append((true_now, -tokens))
            open_tokens -= tokens
    a_nanosecond = Fraction(rate[0], rate[1])
    for first in range(len(taken)):
        net = 0
        for end, tokens in taken[first:]:
            net += tokens
            length = end - taken[first][0] + 2 * SECOND
            assert net <= burst + a_nanosecond * (length + len(taken))


@given(rates, bursts, st.integers(-(10**12), 10**12))
@example(bucket.lowest_terms(60, SECOND), 2, 0)
@example(bucket.lowest_terms(60, SECOND), 2, 1)
def test_available_is_exactly_the_most_that_is_granted(rate: Rate, burst: int, ahead: int) -> None:
    full_at = START + ahead
    left = bucket.available(full_at, START, burst, rate)
    assert left <= burst
    if left >= 0:
        assert bucket.fits(full_at, START, left, burst, rate)
    if left < burst:
        assert not bucket.fits(full_at, START, left + 1, burst, rate)
    assert (left < 0) == (not bucket.fits(full_at, START, 0, burst, rate))


def test_a_full_bucket_of_burst_2_at_60_a_second_has_2() -> None:
    assert bucket.available(START, START, 2, bucket.lowest_terms(60, SECOND)) == 2


@pytest.mark.parametrize("tokens", [1, 3, 7, 9, 11, 13, 59])
def test_a_burst_of_n_at_n_a_minute_admits_exactly_n_at_one_instant(tokens: int) -> None:
    full_at, granted = 0, 0
    while bucket.fits(full_at, START, 1, tokens, per_minute(tokens)):
        full_at = bucket.debited(full_at, START, 1, per_minute(tokens))
        granted += 1
    assert granted == tokens
    assert bucket.available(full_at, START, tokens, per_minute(tokens)) == 0


@given(rates, st.lists(st.integers(1, 1000), min_size=1, max_size=20))
def test_single_takes_never_cost_more_than_one_of_all(rate: Rate, takes: list[int]) -> None:
    assert sum(bucket.span(tokens, rate) for tokens in takes) <= bucket.span(sum(takes), rate)


@given(rates, st.lists(st.integers(1, 1000), min_size=1, max_size=20))
@example(per_minute(7), [1, 1, 1, 1, 1, 1, 1])
def test_a_credit_of_several_debits_gives_back_no_more_than_they_took(rate: Rate, takes: list[int]) -> None:
    given_back = bucket.credited_span(sum(takes), len(takes), rate)
    charged = sum(bucket.span(tokens, rate) for tokens in takes)
    assert 0 <= given_back <= charged
    assert charged - given_back <= len(takes) - 1


@given(rates, bursts, st.integers(0, 10**12), st.integers(1, 10**6))
def test_after_the_wait_that_is_told_the_same_charge_is_granted(
    rate: Rate, burst: int, ahead: int, tokens: int
) -> None:
    assume(tokens <= burst)
    full_at = START + ahead
    wait = bucket.wait(full_at, START, tokens, burst, rate)
    assert bucket.fits(full_at, START + wait, tokens, burst, rate)
    assert wait == 0 or not bucket.fits(full_at, START + wait - 1, tokens, burst, rate)
    slept = START + int(bucket.retry_after_seconds(wait) * SECOND)
    assert bucket.fits(full_at, slept, tokens, burst, rate)


@given(rates, st.integers(1, 1000), st.integers(1, 1000))
def test_a_debt_is_repaid_at_the_rate(rate: Rate, burst: int, owed: int) -> None:
    full_at = bucket.debited(START, START, burst + owed, rate)
    assert bucket.available(full_at, START, burst, rate) <= 0
    until_full = full_at - START
    assert abs(until_full - bucket.span(burst, rate) - bucket.span(owed, rate)) <= 1
    assert bucket.available(full_at, full_at, burst, rate) == burst


@given(rates, bursts, st.lists(st.tuples(st.integers(-10 * SECOND, 0), st.integers(1, 10)), max_size=40))
def test_a_clock_that_steps_back_grants_nothing_extra(rate: Rate, burst: int, takes: list[tuple[int, int]]) -> None:
    full_at, granted = 0, 0
    for behind, tokens in [(0, 1), *takes]:
        if bucket.fits(full_at, START + behind, tokens, burst, rate):
            full_at = bucket.debited(full_at, START + behind, tokens, rate)
            granted += tokens
    at_most = burst + Fraction(rate[0], rate[1]) * (len(takes) + 1)
    assert granted <= at_most


@pytest.mark.parametrize(
    ("wait_ns", "seconds"),
    [
        (-5, 0.0),
        (0, 0.0),
        (1, 0.001),
        (998_999, 0.001),
        (999_000, 0.002),
        (1_000_000, 0.002),
        (1_500_000, 0.002),
        (1_999_500, 0.003),
        (1_000_000_000, 1.001),
        (6_000_000_000, 6.001),
    ],
)
def test_a_wait_is_told_in_whole_milliseconds_rounded_up(wait_ns: int, seconds: float) -> None:
    assert bucket.retry_after_seconds(wait_ns) == seconds


@pytest.mark.parametrize(("wait_ns", "seconds"), [(0, 0), (1, 1), (SECOND, 1), (SECOND + 1, 2)])
def test_a_header_has_the_exact_wait_rounded_up(wait_ns: int, seconds: int) -> None:
    assert bucket.whole_seconds(wait_ns) == seconds


@given(rates, bursts, st.integers(-(10**12), 10**12))
def test_thousandths_agree_with_whole_tokens(rate: Rate, burst: int, ahead: int) -> None:
    milli = bucket.tokens_milli(START + ahead, START, burst, rate)
    assert milli <= burst * 1000
    # 1 ns of refill is what the formulas differ by.
    assert abs(milli // 1000 - bucket.available(START + ahead, START, burst, rate)) <= 1 + rate[0] // rate[1]


def test_rates_in_lowest_terms_are_equal_when_they_are() -> None:
    assert bucket.lowest_terms(10, 60) == bucket.lowest_terms(20, 120) == (1, 6)
    assert bucket.is_faster((1, 3), (1, 6))
    assert not bucket.is_faster((1, 6), (1, 6))
