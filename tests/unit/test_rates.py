"""Limits as text: every word that is understood, every text that is not, and the way back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zae_limiter import Limit, ValidationError
from zae_limiter.models import limits_from_text
from zae_limiter.rates import ParsedRate, joined, parse_rates


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("100/minute", ParsedRate("rpm", 100, 60, None)),
        ("100 / m", ParsedRate("rpm", 100, 60, None)),
        ("5/s", ParsedRate("rps", 5, 1, None)),
        ("5/sec+9", ParsedRate("rps", 5, 1, 9)),
        ("7 per 10 seconds burst 20", ParsedRate("rps", 7, 10, 20)),
        ("7 every 2 hours", ParsedRate("rph", 7, 7_200, None)),
        ("1000/30 days", ParsedRate("rpd", 1_000, 30 * 86_400, None)),
        ("tpm=90000/minute+120000", ParsedRate("tpm", 90_000, 60, 120_000)),
        ("TPM = 1/D", ParsedRate("TPM", 1, 86_400, None)),
    ],
)
def test_a_text_is_read(text: str, parsed: ParsedRate) -> None:
    assert parse_rates(text) == [parsed]


def test_several_stand_between_semicolons_in_their_order() -> None:
    assert [each.name for each in parse_rates("10/second; 100/minute ;tpm=5/hour;")] == ["rps", "rpm", "tpm"]


@pytest.mark.parametrize(
    "text",
    ["", ";", "100", "/minute", "-1/minute", "1/0 minutes", "1.5/minute", "1/fortnight", "1/minute+", "1/minute\n2"],
)
def test_what_cannot_be_read_is_told(text: str) -> None:
    with pytest.raises(ValidationError) as raised:
        parse_rates(text)
    assert raised.value.field == "limits"


@pytest.mark.parametrize("period", ["month", "year", "week"])
def test_a_period_of_no_fixed_length_is_refused_with_a_hint(period: str) -> None:
    with pytest.raises(ValidationError, match="write days"):
        parse_rates(f"100/{period}")


def test_a_long_text_and_what_is_no_text_are_refused() -> None:
    with pytest.raises(ValidationError, match="2000"):
        parse_rates("1/s;" * 501)
    with pytest.raises(ValidationError, match="int"):
        parse_rates(5)  # type: ignore[arg-type]


def test_two_limits_of_one_name_are_refused() -> None:
    with pytest.raises(ValidationError, match="two limits"):
        limits_from_text("10/minute; 20/minute")


limits = st.builds(
    lambda name, amount, period, extra: Limit.custom(name, amount, amount, period, amount + extra),
    st.from_regex(r"[a-zA-Z][a-zA-Z0-9_.\-]{0,20}", fullmatch=True),
    st.integers(1, 10**6),
    st.sampled_from([1, 10, 60, 90, 3_600, 86_400, 604_800]),
    st.integers(0, 100),
)


@given(st.lists(limits, min_size=1, max_size=5, unique_by=lambda limit: limit.name))
def test_a_limit_as_text_reads_back_as_it_was(chosen: list[Limit]) -> None:
    texts = [limit.as_text() for limit in chosen]
    assert list(limits_from_text(joined([text for text in texts if text]))) == chosen


def test_a_capacity_of_its_own_has_no_text() -> None:
    assert Limit.custom("rpm", 10, 5, 60).as_text() is None
