"""What a stack may be made with, the names that come of it, and how limiters are told."""

import dataclasses
from typing import Any

import pytest

from zae_limiter.exceptions import ValidationError
from zae_limiter.models import LimiterInfo, StackOptions


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("snapshot_windows", value) for value in ("", "weekly", "hourly,hourly", "hourly, daily", None)],
        *[("usage_retention_days", value) for value in (0, -1, 3_651, "90", True, None)],
        *[("audit_retention_days", value) for value in (0, 3_651)],
        *[("pitr_recovery_days", value) for value in (0, 36)],
        *[("log_retention_days", value) for value in (0, 2, 91)],
        *[("lambda_timeout", value) for value in (0, 901)],
        *[("lambda_memory", value) for value in (127, 3_009)],
        *[("lambda_duration_threshold_pct", value) for value in (0, 101)],
        *[("audit_archive_glacier_days", value) for value in (0, 3_651)],
        *[("role_name_format", value) for value in ("none", "{}{}", "{} space", "x" * 55 + "{}", "{0}", "a{}b}")],
        *[("policy_name_format", value) for value in ("none", "x" * 119 + "{}")],
        *[
            ("aggregator_role_arn", value)
            for value in (
                "role",
                "arn:aws:iam::12:role/x",
                "arn:aws:iam::123456789012:role/",
                "arn:aws:iam::123456789012:user/x",
                "arn:aws:iam:eu:123456789012:role/x",
                "arn:other:iam::123456789012:role/x",
                "arn:aws:iam::123456789012:role/x\n",
            )
        ],
        ("alarm_sns_topic", "alarms"),
        ("kms_key_arn", "alias/key"),
        ("permission_boundary", "a b"),
        ("lambda_architecture", "riscv"),
        ("enable_alarms", "yes"),
        ("create_iam", 1),
        *[
            ("tags", value)
            for value in ({"aws:x": "1"}, {"": "1"}, {"x" * 129: "1"}, {"x": "y" * 257}, {"x": 1}, "x=y")
        ],
        ("tags", {str(number): "" for number in range(46)}),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_the_name_of_its_field(field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as failure:
        StackOptions(**{field: value})
    assert failure.value.field == field


def test_roles_need_what_makes_them() -> None:
    with pytest.raises(ValidationError, match="create_iam_roles: needs create_iam=True"):
        StackOptions(create_iam=False, create_iam_roles=True)


def test_options_are_values_without_a_warning() -> None:
    options = StackOptions(pitr_recovery_days=35, tags={"a": "b"})

    assert dataclasses.replace(options, pitr_recovery_days=None) == StackOptions(tags={"a": "b"})


def test_names_are_made_by_the_formats() -> None:
    options = StackOptions(role_name_format="team-{}-role", policy_name_format="{}")

    assert options.get_role_name("limits", "app") == "team-limits-app-role"
    assert options.get_policy_name("limits", "ns-acq") == "limits-ns-acq"
    assert StackOptions().get_role_name("limits", "app") is None
    assert StackOptions().get_policy_name("limits", "acq") is None


def test_a_name_that_becomes_too_long_is_refused() -> None:
    options = StackOptions(role_name_format="x" * 40 + "{}", policy_name_format="x" * 100 + "{}")

    with pytest.raises(ValidationError, match=r"role_name_format: makes a name of 66 characters"):
        options.get_role_name("y" * 20, "admin")
    with pytest.raises(ValidationError, match=r"policy_name_format"):
        options.get_policy_name("y" * 55, "acq")


def test_parameters_are_text() -> None:
    parameters = StackOptions(lambda_timeout=10, pitr_recovery_days=3, enable_tracing=True).to_parameters()

    assert parameters["lambda_duration_threshold"] == "8000"
    assert parameters["pitr_recovery_days"] == "3"
    assert parameters["enable_tracing"] == "true"
    assert parameters["enable_iam_roles"] == "false"
    assert "app_role_name" not in parameters
    assert StackOptions(role_name_format="{}-x").to_parameters("limits")["app_role_name"] == "limits-app-x"


@pytest.mark.parametrize(
    ("status", "healthy", "in_progress", "failed"),
    [
        ("CREATE_COMPLETE", True, False, False),
        ("UPDATE_COMPLETE", True, False, False),
        ("UPDATE_IN_PROGRESS", False, True, False),
        ("ROLLBACK_IN_PROGRESS", False, True, True),
        ("UPDATE_ROLLBACK_COMPLETE", False, False, True),
        ("DELETE_FAILED", False, False, True),
    ],
)
def test_a_limiter_says_how_it_stands(status: str, healthy: bool, in_progress: bool, failed: bool) -> None:
    info = LimiterInfo("limits", "limits", "eu-central-1", status, "2026-01-01T00:00:00+00:00")

    assert (info.is_healthy, info.is_in_progress, info.is_failed) == (healthy, in_progress, failed)
