"""The circuit breaker: who may open it, and who is let through."""

from zae_limiter.breaker import Breaker

SECOND = 1_000_000_000
ONE, TWO = ("one", "api"), ("two", "api")


def test_five_failures_of_two_buckets_open_it() -> None:
    breaker = Breaker()
    for bucket in (ONE, ONE, ONE, ONE):
        breaker.failed(bucket, 0)
    assert breaker.lets_through(0)
    breaker.failed(TWO, 0)
    assert breaker.is_open
    assert not breaker.lets_through(SECOND - 1)


def test_the_failures_of_one_bucket_do_not_open_it_at_once() -> None:
    breaker = Breaker()
    for step in range(100):
        breaker.failed(ONE, step * SECOND // 50)
    assert not breaker.is_open


def test_the_only_bucket_in_use_opens_it_after_two_seconds() -> None:
    breaker = Breaker()
    for step in range(5):
        breaker.failed(ONE, step * SECOND)
    assert breaker.is_open


def test_a_success_between_counts_from_the_start() -> None:
    breaker = Breaker()
    for bucket in (ONE, TWO, ONE, TWO):
        breaker.failed(bucket, 0)
    breaker.succeeded()
    breaker.failed(ONE, 0)
    assert not breaker.is_open


def test_one_probe_a_second_is_let_through_and_its_success_closes_it() -> None:
    breaker = Breaker()
    for bucket in (ONE, TWO, ONE, TWO, ONE):
        breaker.failed(bucket, 0)
    assert breaker.lets_through(SECOND)
    assert not breaker.lets_through(SECOND + 1)
    breaker.failed(ONE, SECOND + 2)
    assert not breaker.lets_through(2 * SECOND - 1)
    assert breaker.lets_through(2 * SECOND)
    breaker.succeeded()
    assert breaker.lets_through(2 * SECOND + 1)
    assert not breaker.is_open
