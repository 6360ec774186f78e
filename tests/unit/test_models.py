"""The values of the public API: what a limit accepts, and what is derived."""

from typing import Any

import pytest

from zae_limiter import AuditEvent, BucketState, Entity, Limit, ValidationError
from zae_limiter.capacity import capacity_of
from zae_limiter.models import check_limits

GOOD: dict[str, Any] = {
    "name": "rpm",
    "capacity": 10,
    "burst": 12,
    "refill_amount": 10,
    "refill_period_seconds": 60,
}


def test_each_factory_has_its_period() -> None:
    periods = [make("x", 5).refill_period_seconds for make in (Limit.per_second, Limit.per_minute, Limit.per_hour)]
    assert periods == [1, 60, 3_600]
    assert Limit.per_day("x", 5, 9) == Limit("x", 5, 9, 5, 86_400)
    assert Limit.custom("x", 5, 2, 7).burst == 5
    assert Limit.per_minute("x", 30).refill_rate == 0.5


@pytest.mark.parametrize("field", ["capacity", "burst", "refill_amount", "refill_period_seconds"])
@pytest.mark.parametrize("wrong", [0, -1, 1.5, "5", None, True])
def test_a_number_that_is_none_is_refused_by_its_name(field: str, wrong: object) -> None:
    with pytest.raises(ValidationError) as raised:
        Limit(**{**GOOD, field: wrong})
    assert raised.value.field == field


def test_burst_below_capacity_and_rates_out_of_range_are_refused() -> None:
    with pytest.raises(ValidationError, match="capacity"):
        Limit(**{**GOOD, "burst": 9})
    with pytest.raises(ValidationError, match="1e9"):
        Limit.per_second("x", 10**9 + 1)
    assert Limit.per_second("x", 10**9).fill_ns == 10**9
    with pytest.raises(ValidationError, match="100 years"):
        Limit.custom("x", 36_501, 1, 86_400)


@pytest.mark.parametrize("name", ["", "a\n", "a#", "a\0b", "1a", "a" * 65])
def test_a_wrong_name_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        Limit.per_minute(name, 1)


def test_a_limit_as_plain_data_reads_back() -> None:
    limit = Limit("tpm", 10, 12, 10, 60, "tokens", "tokens")
    assert Limit.from_dict(limit.to_dict()) == limit
    assert Limit(**GOOD).to_dict() == GOOD
    with pytest.raises(ValidationError, match="missing"):
        Limit.from_dict({"name": "rpm"})
    with pytest.raises(ValidationError, match="unknown"):
        Limit.from_dict({**GOOD, "bursts": 5})


def test_limits_of_one_bucket_are_checked() -> None:
    with pytest.raises(ValidationError, match="two limits"):
        check_limits([Limit.per_minute("a", 1), Limit.per_hour("a", 1)])
    with pytest.raises(ValidationError, match="at most 30"):
        check_limits(Limit.per_minute(f"l{number}", 1) for number in range(31))
    with pytest.raises(ValidationError, match="must hold Limits"):
        check_limits(["100/minute"])  # type: ignore[list-item]


def test_one_limit_is_expected_of_one_text() -> None:
    assert Limit.from_text("tpm=5/hour", unit="tokens").unit == "tokens"
    with pytest.raises(ValidationError, match="holds 2"):
        Limit.from_text("5/hour; 5/minute")


def test_a_state_tells_whole_tokens_and_its_limit() -> None:
    limit = Limit(**GOOD)
    state = BucketState.from_limit("someone", "api", limit, 5)
    assert (state.tokens, state.capacity, state.burst) == (12, 10, 12)
    assert Limit.from_bucket_state(state) == limit


def test_an_entity_is_a_child_or_a_parent() -> None:
    assert Entity("a").is_parent
    assert Entity("a", parent_id="b").is_child


def test_an_audit_event_as_plain_data_reads_back_without_what_is_empty() -> None:
    event = AuditEvent("1", "2026-01-01T00:00:00Z", "limits_set", "someone", principal="admin")
    assert AuditEvent.from_dict(event.to_dict()) == event
    assert "resource" not in event.to_dict()


def test_capacity_is_added_up() -> None:
    limit = Limit.per_minute("rpm", 10)
    states = [BucketState.from_limit(name, "api", limit, 0) for name in ("a", "b")]
    found = capacity_of("api", "rpm", states)
    assert (found.total_capacity, found.total_available, found.utilization_pct) == (20, 20, 0.0)
    assert capacity_of("api", "rpm", []).utilization_pct == 0.0
