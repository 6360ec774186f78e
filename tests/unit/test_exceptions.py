"""Errors: their facts survive pickle and copy, and a refusal tells its wait in every form."""

import copy
import json
import math
import pickle

import pytest

from zae_limiter import Limit, LimitStatus, exceptions
from zae_limiter.exceptions import RateLimitExceeded, ZAELimiterError

SECOND = 1_000_000_000
LIMIT = Limit.per_minute("rpm", 10)


def status(entity_id: str = "someone", *, wait_ns: int | None = 0, exceeded: bool = True) -> LimitStatus:
    seconds = math.inf if wait_ns is None else wait_ns / SECOND
    return LimitStatus(entity_id, "api", "rpm", LIMIT, 0, 11 if wait_ns is None else 1, exceeded, seconds, wait_ns or 0)


EXAMPLES: list[ZAELimiterError] = [
    ZAELimiterError("root"),
    exceptions.RateLimitError("r"),
    RateLimitExceeded([status(wait_ns=5), status("parent", exceeded=False)]),
    exceptions.InfrastructureError("i"),
    exceptions.RateLimiterUnavailable("down", ValueError("why"), stack_name="s", entity_id="e", resource="r"),
    exceptions.InfrastructureNotFoundError("file"),
    exceptions.InfrastructureAccessError("file", "is no database"),
    exceptions.LocalStoreError("port 8000 is taken"),
    exceptions.NamespaceNotFoundError("tenant"),
    exceptions.StackCreationError("s", "failed", [{"resource": "Table", "reason": "denied"}]),
    exceptions.StackAlreadyExistsError("s", "is there"),
    exceptions.EntityError("e"),
    exceptions.EntityExistsError("someone"),
    exceptions.EntityNotFoundError("someone"),
    exceptions.VersionError("v"),
    exceptions.IncompatibleSchemaError("1", "2", "too new", "https://example.org"),
    exceptions.VersionMismatchError("1", "2", "3", "too old", True),
    exceptions.MissingExtraError("fastapi", "FastAPI"),
    exceptions.ValidationError("field", "v" * 60, "reason"),
    exceptions.InvalidIdentifierError("entity_id", "a#b", "reason"),
    exceptions.InvalidNameError("resource", "a#b", "reason"),
]


def test_every_error_of_the_library_is_among_the_examples() -> None:
    named = {each for each in vars(exceptions).values() if isinstance(each, type) and issubclass(each, ZAELimiterError)}
    assert {type(error) for error in EXAMPLES} == named


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_survives_pickle_and_copy(error: ZAELimiterError) -> None:
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert {key: repr(value) for key, value in vars(twin).items()} == {
            key: repr(value) for key, value in vars(error).items()
        }


def test_mistakes_of_callers_are_value_errors() -> None:
    assert all(isinstance(error, ValueError) for error in EXAMPLES[-3:])
    assert isinstance(exceptions.MissingExtraError("a", "b"), ImportError)


def test_the_longest_wait_is_the_one_that_is_told() -> None:
    """W18: violations are those that do not fit, the others have passed."""
    refused = RateLimitExceeded([status(wait_ns=SECOND), status("p", wait_ns=5 * SECOND), status("q", exceeded=False)])
    assert refused.primary_violation.entity_id == "p"
    assert [each.entity_id for each in refused.violations] == ["someone", "p"]
    assert [each.entity_id for each in refused.passed] == ["q"]
    assert refused.retry_after_seconds == 5.0
    assert refused.wait_ns == 5 * SECOND


@pytest.mark.parametrize(
    ("wait_ns", "header"), [(1, "1"), (SECOND, "1"), (SECOND + 1, "2"), (60 * SECOND, "60"), (None, None)]
)
def test_the_header_is_the_exact_wait_rounded_up(wait_ns: int | None, header: str | None) -> None:
    """W27: a wait of exactly one second is told as 1."""
    assert RateLimitExceeded([status(wait_ns=wait_ns)]).retry_after_header == header


def test_one_limit_that_never_fits_makes_the_whole_not_retryable() -> None:
    refused = RateLimitExceeded([status(wait_ns=SECOND), status(wait_ns=None)])
    assert not refused.retryable
    assert refused.wait_ns is None
    assert "burst" in str(refused)


def test_a_refusal_as_plain_data() -> None:
    told = RateLimitExceeded([status(wait_ns=1_500_000_000), status("p", exceeded=False)]).as_dict()
    assert set(told) == {"error", "message", "retryable", "retry_after_seconds", "retry_after_ms", "limits"}
    assert (told["error"], told["retry_after_seconds"], told["retry_after_ms"]) == ("rate_limit_exceeded", 1.5, 1500)
    assert told["limits"][0] == {
        "entity_id": "someone",
        "resource": "api",
        "limit_name": "rpm",
        "capacity": 10,
        "burst": 10,
        "available": 0,
        "requested": 1,
        "exceeded": True,
        "retry_after_seconds": 1.5,
    }


def test_what_never_fits_is_null_in_plain_data() -> None:
    told = RateLimitExceeded([status(wait_ns=None)]).as_dict()
    assert told["retry_after_seconds"] is None
    assert told["retry_after_ms"] is None
    json.dumps(told, allow_nan=False)


def test_a_refusal_without_a_violation_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="exceeded"):
        RateLimitExceeded([status(exceeded=False)])
