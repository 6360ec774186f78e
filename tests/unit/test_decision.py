"""What is granted over several limits and buckets, and what statuses tell of it."""

import math

from zae_limiter import bucket, decision
from zae_limiter.models import Balance, Debit, Granted, Image, Limit, Refused

SECOND = bucket.NS_PER_SECOND
START = 1_800_000_000 * SECOND
RPM, TPM = Limit.per_minute("rpm", 10), Limit.per_minute("tpm", 1_000)


def debit(entity_id: str = "child", **amounts: int) -> Debit:
    return Debit(entity_id, "api", (RPM, TPM), amounts)


def used(limit: Limit, tokens: int) -> Balance:
    return Balance(START + bucket.span(tokens, limit.rate), limit.rate)


def test_one_limit_that_does_not_fit_refuses_all() -> None:
    image = {"rpm": used(RPM, 10)}
    judged = decision.decide([debit(rpm=1, tpm=5)], [image], START)
    assert isinstance(judged, Refused)
    assert judged.images == [image]


def test_one_bucket_that_does_not_fit_refuses_all() -> None:
    images: list[Image] = [{}, {"rpm": used(RPM, 10)}]
    assert isinstance(decision.decide([debit(rpm=1), debit("parent", rpm=1)], images, START), Refused)


def test_a_limit_that_is_not_named_is_reported_and_not_checked() -> None:
    image = {"tpm": used(TPM, 5_000)}
    assert isinstance(decision.decide([debit(rpm=1)], [image], START), Granted)
    rpm, tpm = decision.statuses([debit(rpm=1)], [image], START)
    assert (rpm.exceeded, tpm.exceeded, tpm.available, tpm.requested) == (False, False, -4_000, 0)


def test_zero_tokens_ask_for_room_and_are_refused_in_debt() -> None:
    assert isinstance(decision.decide([debit(tpm=0)], [{"tpm": used(TPM, 1_000)}], START), Granted)
    assert isinstance(decision.decide([debit(tpm=0)], [{"tpm": used(TPM, 1_001)}], START), Refused)


def test_statuses_of_a_refusal_stand_before_it() -> None:
    """W18: a level that was granted is no violation, and shows what it had."""
    child, parent = [
        status
        for status in decision.statuses([debit(rpm=10), debit("parent", rpm=10)], [{}, {"rpm": used(RPM, 1)}], START)
        if status.limit_name == "rpm"
    ]
    assert (child.available, child.exceeded) == (10, False)
    assert (parent.available, parent.exceeded, parent.deficit, parent.wait_ns) == (9, True, 1, 6 * SECOND)
    assert parent.retry_after_seconds == 6.001


def test_more_than_the_burst_is_never_granted() -> None:
    """W27: no finite wait is promised that never comes true."""
    status = decision.statuses([debit(rpm=11)], [{}], START)[0]
    assert status.exceeded
    assert not status.retryable
    assert status.retry_after_seconds == math.inf


def test_a_slow_limit_comes_back_beside_a_fast_one() -> None:
    """W6: each limit has its own time."""
    slow, fast = Limit.per_day("slow", 10), Limit.per_second("fast", 1)
    both = Debit("someone", "api", (slow, fast), {"slow": 10})
    judged = decision.decide([both], [{}], START)
    image: Image = judged.images[0]
    for second in range(1, 8_641):
        each = both._replace(amounts={"fast": 1})
        judged = decision.decide([each], [image], START + second * SECOND)
        assert isinstance(judged, Granted)
        image = judged.images[0]
    assert bucket.available(image["slow"].full_at, START + 8_640 * SECOND, 10, slow.rate) == 1


def test_standing_shows_what_is_not_written_yet() -> None:
    image = {"rpm": used(RPM, 3), "tpm": used(TPM, 100)}
    rpm, tpm = decision.standing([debit(rpm=3, tpm=100)], [image], [{"rpm": -1, "tpm": 50}], START)
    assert (rpm.available, tpm.available) == (8, 850)
