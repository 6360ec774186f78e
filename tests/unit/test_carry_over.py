"""A bucket whose rate changes: the tokens stay, nothing is minted however two rates alternate."""

from collections.abc import Sequence
from fractions import Fraction

from hypothesis import example, given
from hypothesis import strategies as st

from zae_limiter import bucket, decision
from zae_limiter.models import Balance, Debit, Granted, Image, Limit, Refused

SECOND = bucket.NS_PER_SECOND
START = 1_800_000_000 * SECOND


def debit(limits: Sequence[Limit], **amounts: int) -> Debit:
    return Debit("someone", "api", tuple(limits), amounts)


def taken(image: Image, now_ns: int, limits: Sequence[Limit], **amounts: int) -> tuple[Image, bool]:
    """The bucket after a try, and whether it was granted."""
    judged = decision.decide([debit(limits, **amounts)], [image], now_ns)
    return judged.images[0], isinstance(judged, Granted)


def test_ten_and_twenty_a_minute_in_turn_admit_no_more_than_the_larger_burst_and_rate() -> None:
    slow, fast = Limit.per_minute("rpm", 10), Limit.per_minute("rpm", 20)
    image: Image = {}
    granted = 0
    for step in range(10_000):
        image, fits = taken(image, START + step * 1_000_000, [(slow, fast)[step % 2]], rpm=1)
        granted += fits
    assert granted <= 20 + 20 * 10 / 60 + 1


def test_two_clocks_a_second_apart_mint_nothing_by_changing_the_rate_to_and_fro() -> None:
    ahead, behind = Limit.per_minute("rpm", 10, 100), Limit.per_minute("rpm", 20, 100)
    image: Image = {}
    granted = 0
    for step in range(4_000):
        limit, now = (ahead, START + SECOND) if step % 2 else (behind, START)
        image, fits = taken(image, now, [limit], rpm=1)
        granted += fits
    assert granted <= 101


rates = st.builds(bucket.lowest_terms, st.integers(1, 10**6), st.sampled_from([1, 60, 3_600]).map(SECOND.__mul__))


@given(rates, rates, st.integers(-(10**12), 10**12))
@example((1, 6 * SECOND), (1, 3 * SECOND), 6 * SECOND + 1)
def test_a_carry_over_keeps_the_tokens_as_an_exact_ratio_rounded_up(
    old: bucket.Rate, new: bucket.Rate, ahead: int
) -> None:
    after = bucket.carried_over(START + ahead, START, old, new)
    used = Fraction(max(0, ahead) * old[0], old[1])
    if old == new:
        assert after == START + ahead
    else:
        assert 0 <= Fraction((after - START) * new[0], new[1]) - used < Fraction(new[0], new[1])


def test_the_time_of_a_carry_over_never_steps_back() -> None:
    slow, fast = Limit.per_minute("rpm", 10), Limit.per_minute("rpm", 20)
    image, _ = taken({}, START, [slow], rpm=1)
    image, _ = taken(image, START + 5 * SECOND, [fast], rpm=1)
    assert image["rpm"].carried_at == START + 5 * SECOND
    image, _ = taken(image, START, [slow], rpm=1)
    assert image["rpm"].carried_at == START + 5 * SECOND
    assert image["rpm"].rate == slow.rate


def test_a_limit_that_callers_drop_in_turn_does_not_come_back_full() -> None:
    both = [Limit.per_minute("rpm", 100), Limit.per_day("rpd", 3)]
    image: Image = {}
    granted = 0
    for step in range(20):
        if step % 2:
            image, _ = taken(image, START, both[:1], rpm=1)
        else:
            image, fits = taken(image, START, both, rpm=1, rpd=1)
            granted += fits
    assert granted == 3


def test_a_limit_added_to_a_live_bucket_starts_full() -> None:
    rpm, rpd = Limit.per_minute("rpm", 2), Limit.per_day("rpd", 2)
    image, _ = taken({}, START, [rpm], rpm=2)
    image, fits = taken(image, START, [rpm, rpd], rpd=2)
    assert fits
    assert bucket.available(image["rpd"].full_at, START, 2, rpd.rate) == 0


def test_tokens_above_a_new_burst_come_back_at_the_faster_rate() -> None:
    old, new = Limit.per_minute("rpm", 60), Limit.per_minute("rpm", 6)
    image, _ = taken({}, START, [old], rpm=60)
    (status,) = decision.statuses([debit([new], rpm=1)], [image], START)
    assert status.exceeded
    # 55 tokens at one a second: then 5 of the new burst of 6 are used, and one more fits.
    assert status.wait_ns == 55 * SECOND
    _, fits = taken(image, START + status.wait_ns - 1, [new], rpm=1)
    assert not fits
    _, fits = taken(image, START + status.wait_ns, [new], rpm=1)
    assert fits


def test_a_charge_of_another_limit_does_not_slow_that_down() -> None:
    requests = Limit.per_minute("rpm", 100)
    old, new = Limit.per_minute("tpm", 600), Limit.per_day("tpm", 6)
    image, _ = taken({}, START, [requests, old], tpm=600)
    image, fits = taken(image, START, [requests, new], rpm=1)
    assert fits
    # 594 tokens at ten a second: then all of the new burst are used, and the rest comes back at the new rate.
    (_, status) = decision.statuses([debit([requests, new], tpm=0)], [image], START)
    assert status.wait_ns == 594 * SECOND // 10
    image, fits = taken(image, START + status.wait_ns, [requests, new], rpm=1)
    assert fits
    assert image["tpm"].rate == new.rate


def test_a_refusal_writes_the_carry_over_only_into_a_faster_rate() -> None:
    slow, fast = Limit.per_minute("rpm", 6), Limit.per_minute("rpm", 60, 60)
    image = {"rpm": Balance(START + 600 * SECOND, slow.rate)}
    assert decision.relaxed(debit([fast], rpm=50), image, START)["rpm"].rate == fast.rate
    image = {"rpm": Balance(START + 600 * SECOND, fast.rate)}
    assert decision.relaxed(debit([slow], rpm=1), image, START) == {}


def test_a_plan_change_hands_out_no_tokens() -> None:
    small, large = Limit.per_minute("rpm", 10), Limit.per_minute("rpm", 100)
    image, _ = taken({}, START, [small], rpm=10)
    image, fits = taken(image, START, [large], rpm=91)
    assert not fits
    image, fits = taken(image, START, [large], rpm=90)
    assert fits
    judged = decision.decide([debit([large], rpm=1)], [image], START)
    assert isinstance(judged, Refused)
