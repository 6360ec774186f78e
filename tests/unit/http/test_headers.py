"""The fields of grants and refusals, to the letter: every example of the conventions, in each dialect and style."""

import math
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.http.statuses import BURST, RPD, RPM, TPM, member
from zae_limiter import Limit
from zae_limiter_http.conformance.world import parsed
from zae_limiter_http.headers import Style, granted_fields, plain_fields, refused_fields, retry_after
from zae_limiter_http.members import MOST, Member

NOW_NS = 1_800_000_000_250_000_000  # a quarter of a second past a whole one
PACED = Limit.custom("rpm", 10, 100, 60)
HOURLY = Limit.per_hour("rph", 5)


def granted(*found: Member, is_public: bool = False, **words: Any) -> dict[str, str]:
    return _once(granted_fields(found, Style(**words), now_ns=NOW_NS, is_public=is_public))


def refused(*found: Member, wait: float | None, **words: Any) -> dict[str, str]:
    wait_ns = None if wait is None else round(wait * 1e9)
    return _once(refused_fields(found, Style(**words), wait_ns=wait_ns, now_ns=NOW_NS))


def _once(fields: list[tuple[str, str]]) -> dict[str, str]:
    names = [name.lower() for name, _ in fields]
    assert len(names) == len(set(names)), f"a field is there twice: {names}"
    for name, value in fields:
        if name in ("RateLimit", "RateLimit-Policy"):
            parsed(value)
    return dict(fields)


@pytest.mark.parametrize(
    ("limit", "available", "policy", "state"),
    [
        (RPM, 99, '"rpm";q=100;w=60', '"rpm";r=99;t=60'),
        (BURST, 199, '"rpm";q=100;w=60;zae-burst=200', '"rpm";r=199;t=120'),
        (BURST, 50, '"rpm";q=100;w=60;zae-burst=200', '"rpm";r=50;t=30'),
        (BURST, 1, '"rpm";q=100;w=60;zae-burst=200', '"rpm";r=1;t=1'),
        (BURST, 0, '"rpm";q=100;w=60;zae-burst=200', '"rpm";r=0;t=1'),
        (BURST, -5, '"rpm";q=100;w=60;zae-burst=200', '"rpm";r=0;t=4'),
        (PACED, 9, '"rpm";q=100;w=60;zae-burst=10', '"rpm";r=9;t=6'),
        (TPM, -15_000, '"tpm";q=90000;qu="tokens";w=60', '"tpm";r=0;t=11'),
    ],
)
def test_a_grant_tells_policy_and_state(limit: Limit, available: int, policy: str, state: str) -> None:
    assert granted(member(limit, available)) == {"RateLimit-Policy": policy, "RateLimit": state}


def test_three_limits_are_one_list_in_their_order() -> None:
    assert granted(member(RPM, 42), member(TPM, 88_500), member(RPD, 812)) == {
        "RateLimit-Policy": '"rpm";q=100;w=60, "tpm";q=90000;qu="tokens";w=60, "rpd";q=1000;w=86400',
        "RateLimit": '"rpm";r=42;t=26, "tpm";r=88500;t=59, "rpd";r=812;t=70157',
    }


def test_the_tightest_alone_where_that_is_wanted() -> None:
    found = granted(member(RPM, 42), member(TPM, 88_500), member(RPD, 412), members="tightest")
    assert found == {"RateLimit-Policy": '"rpd";q=1000;w=86400', "RateLimit": '"rpd";r=412;t=35597'}


@pytest.mark.parametrize(
    ("limit", "available", "wait", "after", "state"),
    [
        (BURST, 0, 0.6, "1", '"rpm";r=0;t=1'),
        (BURST, 3, 1.2, "2", '"rpm";r=3;t=2'),
        (HOURLY, 0, 700.2, "701", '"rph";r=0;t=701'),
    ],
)
def test_a_refusal_tells_when_to_come_back(limit: Limit, available: int, wait: float, after: str, state: str) -> None:
    found = refused(member(limit, available, wait=wait), wait=wait)
    assert (found["Retry-After"], found["RateLimit"]) == (after, state)


def test_a_refusal_lists_all_policies_and_the_state_of_those_that_were_violated() -> None:
    one = refused(member(RPM, 42), member(TPM, -800, wait=11.4), member(RPD, 812), wait=11.4)
    assert one == {
        "Retry-After": "12",
        "RateLimit-Policy": '"rpm";q=100;w=60, "tpm";q=90000;qu="tokens";w=60, "rpd";q=1000;w=86400',
        "RateLimit": '"tpm";r=0;t=12',
    }
    two = refused(member(RPM, 0, wait=0.6), member(TPM, -800, wait=11.4), member(RPD, 812), wait=11.4)
    assert (two["Retry-After"], two["RateLimit"]) == ("12", '"rpm";r=0;t=1, "tpm";r=0;t=12')


def test_what_can_never_be_granted_promises_nothing() -> None:
    found = refused(member(RPM, 100, wait=math.inf), wait=None)
    assert found == {"RateLimit-Policy": '"rpm";q=100;w=60', "RateLimit": '"rpm";r=100'}


@pytest.mark.parametrize(
    ("wait", "after"),
    [
        (0.0001, "1"),
        (0.36, "1"),
        (1.0, "1"),
        (1.0000001, "2"),
        (1.001, "2"),
        (3.0000000000000004, "3"),
        (59.2, "60"),
        (60.0, "60"),
    ],
)
def test_retry_after_is_whole_seconds_rounded_up(wait: float, after: str) -> None:
    assert retry_after(round(wait * 1e9), Style(), NOW_NS) == after


def test_retry_after_as_a_date_is_never_early() -> None:
    told = retry_after(1_500_000_000, Style(retry_after_format="http-date"), NOW_NS)
    assert told == "Fri, 15 Jan 2027 08:00:03 GMT"
    assert parsedate_to_datetime(told).timestamp() >= (NOW_NS + 1_500_000_000) / 1e9


def test_jitter_only_ever_adds() -> None:
    found = {int(retry_after(2_000_000_000, Style(jitter_seconds=3), NOW_NS)) for _ in range(200)}
    assert found == {2, 3, 4, 5}


@pytest.mark.parametrize(
    ("dialect", "state", "violated"),
    [
        ("draft11", '"rpm";r=50;t=30', '"rpm";r=0;t=2'),
        ("editors", '"rpm";a=50;w=30', '"rpm";a=0;w=2'),
        ("both", '"rpm";r=50;t=30;a=50;w=30', '"rpm";r=0;t=2;a=0;w=2'),
    ],
)
def test_each_dialect_has_its_parameters(dialect: str, state: str, violated: str) -> None:
    assert granted(member(RPM, 50), dialect=dialect)["RateLimit"] == state
    assert refused(member(RPM, 0, wait=1.2), wait=1.2, dialect=dialect)["RateLimit"] == violated


def test_the_partition_key_is_the_resource_or_tells_nothing() -> None:
    by_resource = granted(member(RPM, 99, resource="openai/gpt-4"), partition_key="resource")
    assert by_resource == {
        "RateLimit-Policy": '"rpm";q=100;w=60;pk=:b3BlbmFpL2dwdC00:',
        "RateLimit": '"rpm";r=99;t=60;pk=:b3BlbmFpL2dwdC00:',
    }
    opaque = granted(member(RPM, 99), partition_key="opaque", secret="example-secret")
    assert opaque == {
        "RateLimit-Policy": '"rpm";q=100;w=60;pk=:F+SGpwGpAGDlGX/N:',
        "RateLimit": '"rpm";r=99;t=60;pk=:F+SGpwGpAGDlGX/N:',
    }
    others = [
        granted(member(RPM, 99), partition_key="opaque", secret="another"),
        granted(member(RPM, 99, entity="ip4:203.0.113.8"), partition_key="opaque", secret="example-secret"),
        granted(member(RPM, 99, resource="other"), partition_key="opaque", secret="example-secret"),
    ]
    assert opaque["RateLimit"] not in [other["RateLimit"] for other in others]


def test_a_policys_text_that_is_remembered_is_that_of_its_own_limit() -> None:
    # The same name, and in the end the same place in memory, with other numbers.
    for amount in (10, 20, 30):
        assert granted(member(Limit.per_minute("rpm", amount), 1))["RateLimit-Policy"] == f'"rpm";q={amount};w=60'
    qualified = member(RPM, 9)._replace(name="chat.rpm")
    assert granted(qualified)["RateLimit-Policy"] == '"chat.rpm";q=100;w=60'
    assert granted(member(RPM, 9))["RateLimit-Policy"] == '"rpm";q=100;w=60'


def test_numbers_have_at_most_the_digits_that_the_field_may_have() -> None:
    found = granted(member(Limit.custom("big", 10**16, 10**9, 1), 10**16 - 1))
    assert found["RateLimit-Policy"] == f'"big";q=1000000000;w=1;zae-burst={MOST}'
    assert found["RateLimit"].startswith(f'"big";r={MOST};')


def test_what_others_may_replay_has_a_policy_and_no_state() -> None:
    found = granted(member(RPM, 9), is_public=True, styles=("draft", "x", "ietf06", "openai"))
    assert found == {"RateLimit-Policy": '"rpm";q=100;w=60'}


@pytest.mark.parametrize(
    ("reset_format", "reset"),
    [("epoch", "1800000091"), ("delta", "90"), ("http-date", "Fri, 15 Jan 2027 08:01:31 GMT")],
)
def test_the_style_x_tells_the_tightest_limit(reset_format: str, reset: str) -> None:
    found = granted(member(RPD, 900), member(BURST, 50), styles=("x",), reset_format=reset_format)
    assert found == {"X-RateLimit-Limit": "200", "X-RateLimit-Remaining": "50", "X-RateLimit-Reset": reset}


def test_of_limits_that_are_equally_tight_the_first_is_told() -> None:
    found = granted(member(RPD, 500), member(RPM, 50), styles=("x",))
    assert found["X-RateLimit-Limit"] == "1000"


def test_a_refusal_of_the_older_styles_tells_the_longest_wait() -> None:
    waits = member(RPM, 0, wait=0.6), member(TPM, -800, wait=11.4)
    found = refused(*waits, member(RPD, 1), wait=11.4, styles=("x", "ietf06"), reset_format="delta")
    assert found == {
        "Retry-After": "12",
        "X-RateLimit-Limit": "90000",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": "61",
        "RateLimit-Limit": "90000",
        "RateLimit-Remaining": "0",
        "RateLimit-Reset": "61",
    }


def test_the_sixth_draft_stands_beside_the_present_one() -> None:
    found = granted(member(RPM, 40), styles=("draft", "ietf06"))
    assert found == {
        "RateLimit-Policy": '"rpm";q=100;w=60',
        "RateLimit": '"rpm";r=40;t=24',
        "RateLimit-Limit": "100",
        "RateLimit-Remaining": "40",
        "RateLimit-Reset": "36",
    }


def test_the_openai_style_has_a_set_for_each_suffix() -> None:
    hourly = Limit("tph", 7_200, 7_200, 7_200, 3_600, "tokens", "hourly-tokens")
    found = granted(member(RPM, 99), member(TPM, 89_000), member(hourly, -7_322), styles=("openai",))
    assert found == {
        "x-ratelimit-limit-requests": "100",
        "x-ratelimit-remaining-requests": "99",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "90000",
        "x-ratelimit-remaining-tokens": "89000",
        "x-ratelimit-reset-tokens": "1s",
        "x-ratelimit-limit-hourly-tokens": "7200",
        "x-ratelimit-remaining-hourly-tokens": "0",
        "x-ratelimit-reset-hourly-tokens": "2h1m1s",
    }


def test_two_limits_with_one_suffix_are_told_by_the_tighter() -> None:
    found = granted(member(RPM, 90), member(RPD, 100), styles=("openai",))
    assert found["x-ratelimit-limit-requests"] == "1000"
    assert (
        refused(member(RPM, 0, wait=0.6), member(RPD, 100), wait=0.6, styles=("openai",))["x-ratelimit-limit-requests"]
        == "100"
    )


def test_the_openai_style_of_a_refusal_has_milliseconds_that_are_never_early() -> None:
    found = refused(member(RPM, 0, wait=0.3601), wait=0.3601, styles=("openai",))
    assert (found["Retry-After"], found["retry-after-ms"]) == ("1", "361")
    assert refused(member(RPM, 100, wait=math.inf), wait=None, styles=("openai",))["x-should-retry"] == "false"


@given(
    limit=st.sampled_from([RPM, BURST, TPM, RPD, PACED, HOURLY, Limit.custom("big", 10**16, 10**9, 1)]),
    available=st.integers(-(10**17), 10**17),
)
def test_the_plain_style_is_told_alike_with_and_without_members(limit: Limit, available: int) -> None:
    assert Style(reset_format="delta", cors_expose=True, jitter_seconds=3).is_plain
    assert dict(plain_fields([(limit, available), (RPM, 7)])) == granted(member(limit, available), member(RPM, 7))
    assert plain_fields([]) == []


@pytest.mark.parametrize(
    "style",
    [
        Style(styles=("x",)),
        Style(styles=()),
        Style(dialect="both"),
        Style(members="tightest"),
        Style(expose_parent=True),
        Style(partition_key="resource"),
    ],
)
def test_no_other_style_is_plain(style: Style) -> None:
    assert not style.is_plain


def test_without_a_style_nothing_is_told_but_when_to_come_back() -> None:
    assert granted(member(RPM, 9), styles=()) == {}
    assert refused(member(RPM, 0, wait=0.6), wait=0.6, styles=()) == {"Retry-After": "1"}
    assert granted() == {}
