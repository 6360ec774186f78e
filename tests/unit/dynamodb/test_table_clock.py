"""The clock that follows the table, by the dates of its answers."""

import random
from email.utils import formatdate

import pytest

from zae_limiter.dynamodb.table_clock import TableClock

SECOND = 1_000_000_000
START = 1_800_000_000 * SECOND


def answer(clock: TableClock, table_ns: int, ahead_ns: int, journey_ns: int = 2_000_000) -> None:
    """The table answers at its time, half a journey after it was asked; this machine is ahead by so much."""
    date = formatdate(table_ns // SECOND, usegmt=True)
    clock.heard(date, table_ns + ahead_ns - journey_ns // 2, table_ns + ahead_ns + journey_ns // 2)


def followed(ahead_ns: int, answers: int = 300, journey_ns: int = 2_000_000) -> TableClock:
    clock, draw = TableClock(), random.Random(7)
    for number in range(answers):
        answer(clock, START + number * 10 * SECOND + draw.randrange(SECOND), ahead_ns, journey_ns)
    return clock


@pytest.mark.parametrize("ahead", [-90.0, -1.0, 1.0, 3.7, 3_600.0])
def test_a_clock_that_is_off_follows_the_table(ahead: float) -> None:
    clock = followed(int(ahead * SECOND))
    assert abs(clock.offset_ns + ahead * SECOND) < 20_000_000


@pytest.mark.parametrize("ahead", [0.0, 0.001])
def test_a_clock_that_agrees_with_all_answers_is_left_alone(ahead: float) -> None:
    assert followed(int(ahead * SECOND)).offset_ns == 0


def test_an_interval_that_is_wide_corrects_nothing() -> None:
    clock = TableClock()
    answer(clock, START + SECOND // 2, 5 * SECOND)
    assert clock.offset_ns == 0


def test_answers_that_took_long_tell_little() -> None:
    assert followed(5 * SECOND, journey_ns=SECOND).offset_ns == 0


def test_a_clock_that_was_set_is_measured_anew() -> None:
    clock, draw = followed(5 * SECOND), random.Random(8)
    for number in range(300):
        answer(clock, START + 10_000 * SECOND + number * SECOND + draw.randrange(SECOND), -2 * SECOND)
    assert abs(clock.offset_ns - 2 * SECOND) < 20_000_000


def test_an_answer_during_which_the_clock_was_set_back_tells_nothing() -> None:
    clock = followed(0)
    # It came five seconds before it was asked for, by this machine.
    clock.heard(formatdate(START // SECOND, usegmt=True), START, START - 5 * SECOND)
    assert clock.offset_ns == 0


def test_a_correction_above_a_second_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    followed(90 * SECOND)
    assert caplog.text.count("the clock of this machine is") == 1
    assert "90.0 s off" in caplog.text
    caplog.clear()
    followed(SECOND // 2)
    assert caplog.text == ""


@pytest.mark.parametrize("date", ["", "yesterday", "Fri, 99 Foo 2027 00:00:00 GMT"])
def test_what_is_no_date_says_nothing(date: str) -> None:
    clock = TableClock()
    clock.heard(date, START, START)
    assert clock.offset_ns == 0
