"""A response's headers with ours among them: what an inner limiter, a gateway or the application set stays."""

import pytest

from zae_limiter_http.headers import Fields, Style
from zae_limiter_http.merging import MERGED, has_fields, is_public, merged

OURS = [("RateLimit-Policy", '"rpm";q=100;w=60'), ("RateLimit", '"rpm";r=9;t=6')]


def of(existing: Fields, *, status: int = 200, style: Style | None = None) -> Fields:
    return merged(existing, OURS, status=status, style=style or Style())


def test_what_is_there_stays_with_its_duplicates_and_order() -> None:
    existing = [("set-cookie", "a=1"), ("x-own", "1"), ("set-cookie", "b=2")]
    assert of(existing) == [*existing, *OURS]


@pytest.mark.parametrize("status", [100, 103, 301, 302, 304, 307])
def test_an_interim_answer_and_a_redirection_get_nothing(status: int) -> None:
    assert not has_fields(status)
    assert of([("location", "/x")], status=status) == [("location", "/x")]


@pytest.mark.parametrize(
    ("theirs", "state"),
    [
        (['"inner";r=1;t=1'], '"inner";r=1;t=1, "rpm";r=9;t=6'),
        (['"inner";r=1;t=1', '"outer";r=2;t=2'], '"inner";r=1;t=1, "outer";r=2;t=2, "rpm";r=9;t=6'),
        (['"rpm";r=3;t=2'], '"rpm";r=3;t=2'),
        (['"rpm";r=30;t=20'], '"rpm";r=9;t=6'),
        (['"rpm"; r=30; t=20, "day"; r=4'], '"rpm";r=9;t=6, "day"; r=4'),
        (['"a,b";r=1'], '"a,b";r=1, "rpm";r=9;t=6'),
        (['"a\\",b";r=1'], '"a\\",b";r=1, "rpm";r=9;t=6'),
        (['"rpm";a=3;w=2'], '"rpm";a=3;w=2'),
        ([""], '"rpm";r=9;t=6'),
        (['"unclosed'], '"unclosed, "rpm";r=9;t=6'),
    ],
)
def test_members_of_another_limiter_stay_and_of_one_name_the_lower_one(theirs: list[str], state: str) -> None:
    found = of([("ratelimit", each) for each in theirs])
    assert [value for name, value in found if name.lower() == "ratelimit"] == [state]


def test_of_two_policies_of_one_name_the_inner_one_stays() -> None:
    found = of([("ratelimit-policy", '"rpm";q=5;w=1')])
    assert [value for name, value in found if name.lower() == "ratelimit-policy"] == ['"rpm";q=5;w=1']


@pytest.mark.parametrize(
    ("value", "public"),
    [
        ("public", True),
        ("Public, max-age=60", True),
        ("s-maxage=5", True),
        ("private, max-age=60", False),
        ("no-store", False),
        ('private="x-public"', False),
    ],
)
def test_what_others_may_replay_is_known(value: str, public: bool) -> None:
    assert is_public([("cache-control", "max-age=1"), ("Cache-Control", value)]) is public


@pytest.mark.parametrize(
    ("exposed", "expected"),
    [
        ([], "Retry-After, RateLimit-Policy, RateLimit"),
        (["X-Own, ratelimit"], "X-Own, ratelimit, Retry-After, RateLimit-Policy"),
        (["X-Own", "X-Two"], "X-Own, X-Two, Retry-After, RateLimit-Policy, RateLimit"),
    ],
)
def test_scripts_of_other_origins_may_read_ours_where_they_may_read_anything(exposed: list[str], expected: str) -> None:
    style = Style(cors_expose=True)
    existing = [("access-control-expose-headers", each) for each in exposed]
    assert of(existing, style=style) == [*existing, *OURS]
    found = of([("access-control-allow-origin", "*"), *existing], style=style)
    assert [value for name, value in found if name.lower() == "access-control-expose-headers"] == [expected]


def _older(limit: str, remaining: str, prefix: str = "X-RateLimit", suffix: str = "") -> Fields:
    parts = {"Limit": limit, "Remaining": remaining, "Reset": "9"}
    return [(f"{prefix}-{part}{suffix}", value) for part, value in parts.items()]


@pytest.mark.parametrize(("prefix", "suffix"), [("X-RateLimit", ""), ("RateLimit", ""), ("x-ratelimit", "-tokens")])
@pytest.mark.parametrize(("remaining", "is_theirs"), [("3", True), ("7", False), ("8", False), ("none", False)])
def test_fields_of_one_limit_are_told_once_by_whoever_has_less_left(
    prefix: str, suffix: str, remaining: str, is_theirs: bool
) -> None:
    theirs = [(name.lower(), value) for name, value in _older("5", remaining, prefix, suffix)]
    ours = _older("9", "7", prefix, suffix)
    found = merged([("x-own", "1"), *theirs], ours, status=200, style=Style())
    assert found == [("x-own", "1"), *(theirs if is_theirs else ours)]
    assert {name for name, _ in theirs} <= MERGED


def test_fields_of_other_limits_stay_beside_each_other() -> None:
    theirs = _older("5", "3", "x-ratelimit", "-tokens")
    ours = _older("9", "7", "x-ratelimit", "-requests") + _older("9", "7", "RateLimit")
    assert merged(theirs, ours, status=200, style=Style()) == theirs + ours
