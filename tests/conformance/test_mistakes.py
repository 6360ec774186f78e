"""What callers may get wrong, on every store and both faces: each mistake has its error, and nothing is written."""

import math
from typing import Any, Final

import pytest

from tests.conformance.conftest import Aggregated
from zae_limiter import (
    Charge,
    InvalidIdentifierError,
    InvalidNameError,
    Limit,
    RateLimitExceeded,
    ValidationError,
)
from zae_limiter.testing import TurnableClock

RPM, TPM = Limit.per_minute("rpm", 10), Limit.per_minute("tpm", 1_000, unit="tokens")
STORED: Final = [RPM, TPM]

Mistake = tuple[dict[str, Any], type[Exception], str]

MISTAKES: Final[dict[str, Mistake]] = {
    "an unknown limit": ({"consume": {"rpm": 1, "rmp": 1}}, ValidationError, "no such limit here; in force are rpm"),
    "an unknown limit by a number": ({"consume": {1: 1}}, ValidationError, "no such limit"),
    "an unknown limit with 0": ({"consume": {"rmp": 0}}, ValidationError, "no such limit"),
    "a negative amount": ({"consume": -1}, ValidationError, "must not be negative"),
    "a negative amount of one": ({"consume": {"rpm": 1, "tpm": -1}}, ValidationError, "must not be negative"),
    "a bool": ({"consume": True}, ValidationError, "must be an int"),
    "a bool of one": ({"consume": {"rpm": False}}, ValidationError, "must be an int"),
    "a fraction": ({"consume": {"rpm": 1.0}}, ValidationError, "must be an int"),
    "no amount": ({"consume": None}, ValidationError, "must be an int"),
    "a list of amounts": ({"consume": [("rpm", 1)]}, ValidationError, "must be an int"),
    "duplicate limits": ({"limits": [RPM, RPM]}, ValidationError, "two limits have this name"),
    "31 limits": ({"limits": [Limit.per_day(f"x{i}", 1) for i in range(31)]}, ValidationError, "at most 30"),
    "limits that are none": ({"limits": [RPM, "10/minute"]}, ValidationError, "must hold Limits"),
    "one limit without a list": ({"limits": RPM}, ValidationError, "a list of Limits"),
    "limits that can be read once": ({"limits": iter([RPM])}, ValidationError, "a list of Limits"),
    "limits that are 0": ({"limits": 0}, ValidationError, "a list of Limits"),
    "limits that are False": ({"limits": False}, ValidationError, "a list of Limits"),
    "limits that are an empty mapping": ({"limits": {}}, ValidationError, "a list of Limits"),
    "limits that are no text": ({"limits": "ten a minute"}, ValidationError, "100/minute"),
    "an empty text": ({"limits": ""}, ValidationError, "100/minute"),
    "a month": ({"limits": "10/month"}, ValidationError, "30 days"),
    "a newline in an entity": ({"entity_id": "someone\n"}, InvalidIdentifierError, "allowed"),
    "a # in an entity": ({"entity_id": "some#one"}, InvalidIdentifierError, "must not contain '#'"),
    "a control character in an entity": ({"entity_id": "some\x1bone"}, InvalidIdentifierError, "allowed"),
    "a long entity": ({"entity_id": "x" * 257}, InvalidIdentifierError, "257 characters"),
    "no entity": ({"entity_id": ""}, InvalidIdentifierError, "must not be empty"),
    "an entity that is a list": ({"entity_id": ["someone"]}, InvalidIdentifierError, "must be a str, got list"),
    "a newline in a resource": ({"resource": "api\n"}, InvalidNameError, "allowed"),
    "a resource that is a dict": ({"resource": {}}, InvalidNameError, "must be a str, got dict"),
    "a time of 0": ({"timeout": 0}, ValidationError, "timeout"),
    "a time that is none": ({"timeout": math.nan}, ValidationError, "timeout"),
    "an endless wait": ({"max_wait": math.inf}, ValidationError, "max_wait"),
    "a word for outages": ({"on_unavailable": "pass"}, ValidationError, "'allow' or 'block'"),
    "a word for exceptions": ({"on_exception": "ignore"}, ValidationError, "'roll_back' or 'keep'"),
}


def begin(limiter: Any, **options: Any) -> Any:
    asked = {"entity_id": "someone", "resource": "api", "consume": {"rpm": 1}} | options
    return limiter.acquire(asked.pop("entity_id"), asked.pop("resource"), asked.pop("consume"), **asked)


async def nothing_is_written(limiter: Any) -> None:
    assert await limiter.repository.get_buckets("someone") == []
    assert await limiter.available("someone", "api", STORED) == {"rpm": 10, "tpm": 1_000}


async def test_each_mistake_is_told_and_nothing_is_written(limiter: Any) -> None:
    await limiter.set_system_defaults(STORED)
    for options, error, told in MISTAKES.values():
        with pytest.raises(error, match=told):
            await begin(limiter, **options).__aenter__()
    await nothing_is_written(limiter)


async def test_each_mistake_in_one_of_several_charges_leaves_the_others_unwritten(limiter: Any) -> None:
    fields: dict[str, Any] = {"entity_id": "someone", "resource": "api", "consume": {"rpm": 1}, "limits": None}
    await limiter.set_system_defaults(STORED)
    for asked, error, told in MISTAKES.values():
        wrong = Charge(**{field: asked.get(field, value) for field, value in fields.items()})
        options = {name: value for name, value in asked.items() if name not in fields}
        with pytest.raises(error, match=told):
            await limiter.acquire_all([Charge("someone", "mail", 1), wrong], **options).__aenter__()
    await nothing_is_written(limiter)


async def test_what_is_no_list_of_charges_is_told(limiter: Any) -> None:
    for charges in ("ab", [("someone", "api", 1)], Charge("someone", "api", 1), [None], None, 5):
        with pytest.raises(ValidationError, match="must hold Charges"):
            limiter.acquire_all(charges)


async def test_no_limits_at_any_level_are_told(limiter: Any) -> None:
    with pytest.raises(ValidationError, match="zae-limiter resource set-defaults") as caught:
        await begin(limiter).__aenter__()
    assert caught.value.field == "limits"
    await nothing_is_written(limiter)


async def test_more_than_the_burst_is_refused_for_good_and_nothing_is_written(limiter: Any) -> None:
    await limiter.set_system_defaults(STORED)
    with pytest.raises(RateLimitExceeded) as caught:
        await begin(limiter, consume={"rpm": 1, "tpm": 1_001}).__aenter__()
    assert not caught.value.retryable
    assert caught.value.retry_after_seconds == math.inf
    await nothing_is_written(limiter)


async def test_an_amount_without_end_is_refused_for_good(limiter: Any) -> None:
    await limiter.set_system_defaults(STORED)
    with pytest.raises(RateLimitExceeded) as caught:
        await begin(limiter, consume={"rpm": 10**40}).__aenter__()
    assert not caught.value.retryable
    await nothing_is_written(limiter)


async def test_a_release_that_cannot_be_is_told_and_changes_nothing(limiter: Any) -> None:
    mistakes: list[tuple[dict[str, Any], str]] = [
        ({"tpm": 101}, "holds 100"),
        ({"tpm": -1}, "must not be negative"),
        ({"tpm": True}, "must be an int"),
        ({"tpm": 1.5}, "must be an int"),
        ({"rmp": 1}, "no such limit"),
        ({"rpm": 1, "tpm": 101}, "holds 100"),
    ]
    async with begin(limiter, consume={"rpm": 1, "tpm": 100}, limits=STORED) as lease:
        for amounts, told in mistakes:
            with pytest.raises(ValidationError, match=told):
                await lease.release(**amounts)
            assert lease.consumed == {"rpm": 1, "tpm": 100}
    assert await limiter.available("someone", "api", STORED) == {"rpm": 9, "tpm": 900}


async def test_a_further_charge_that_cannot_be_is_told_and_changes_nothing(limiter: Any) -> None:
    mistakes: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"rpm": -1}, ValidationError, "must not be negative"),
        ({"rpm": True}, ValidationError, "must be an int"),
        ({"rmp": 1}, ValidationError, "no such limit"),
        ({"rpm": 1, "tpm": -1}, ValidationError, "must not be negative"),
        ({"tpm": 1_001}, RateLimitExceeded, "more than the burst of 1000 can ever grant"),
    ]
    async with begin(limiter, consume={"rpm": 1, "tpm": 100}, limits=STORED) as lease:
        for amounts, error, told in mistakes:
            with pytest.raises(error, match=told):
                await lease.consume(**amounts)
            assert lease.consumed == {"rpm": 1, "tpm": 100}
    assert await limiter.available("someone", "api", STORED) == {"rpm": 9, "tpm": 900}


async def test_what_cannot_be_waited_for_is_told(limiter: Any) -> None:
    wrong: list[Any] = [5, None, {"rpm": 1.0}, {"rpm": -1}, {"rmp": 1}, "rpm"]
    for needed in wrong:
        with pytest.raises(ValidationError):
            await limiter.time_until_available("someone", "api", needed, STORED)


async def test_the_capacity_of_what_is_no_limit_is_refused(limiter: Any) -> None:
    wrong: list[Any] = [None, "", "a b", 7]
    for name in wrong:
        with pytest.raises(InvalidNameError):
            await limiter.get_resource_capacity("api", name)


async def test_one_acquisition_is_for_one_block_at_a_time(limiter: Any) -> None:
    once = begin(limiter, limits=STORED)
    async with once:
        with pytest.raises(RuntimeError, match=r"call acquire\(\) for each block"):
            await once.__aenter__()
    async with once:  # after its end it may begin again, as a decorator's does
        pass
    assert (await limiter.available("someone", "api", STORED))["rpm"] == 8


async def test_an_acquisition_that_was_refused_may_be_tried_again(limiter: Any, clock: TurnableClock) -> None:
    await begin(limiter, consume={"rpm": 10}, limits=STORED).__aenter__()
    again = begin(limiter, limits=STORED)
    with pytest.raises(RateLimitExceeded):
        await again.__aenter__()
    clock.turn(6)
    async with again:
        pass


async def test_debts_that_meet_in_one_bucket_stay_a_debt(limiter: Any, aggregated: Aggregated) -> None:
    """Several of almost a hundred years are more nanoseconds than 64 bits hold."""
    limits = [Limit.per_day("x", 1), RPM]
    for _ in range(5):
        async with begin(limiter, limits=limits) as lease:
            await lease.adjust(x=99 * 365)
    left = await limiter.available("someone", "api", limits)
    assert left["x"] < -100 * 365
    assert left["rpm"] == 5
    with pytest.raises(RateLimitExceeded):
        await begin(limiter, consume={"x": 0}, limits=limits).__aenter__()
