"""What a stack is made with, valid once made; names of roles and policies; parameters of the template."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from zae_limiter.exceptions import ValidationError
from zae_limiter.windows import WINDOWS

_LOG_RETENTION: Final = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545),
    *(731, 1096, 1827, 2192, 2557, 2922, 3288, 3653),
)
_RANGES: Final = {
    "usage_retention_days": (1, 3_650),
    "audit_retention_days": (1, 3_650),
    "pitr_recovery_days": (1, 35),
    "lambda_timeout": (1, 900),
    "lambda_memory": (128, 3_008),
    "lambda_duration_threshold_pct": (1, 100),
    "audit_archive_glacier_days": (1, 3_650),
}
_PATTERNS: Final = {
    "alarm_sns_topic": (
        r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:\S+",
        "must be the ARN of a topic, arn:aws:sns:region:account:name",
    ),
    "aggregator_role_arn": (
        r"arn:(aws|aws-cn|aws-us-gov):iam::\d{12}:role/\S+",
        "must be the ARN of a role, arn:aws:iam::account:role/name",
    ),
    "kms_key_arn": (
        r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]+",
        "must be the ARN of a key, arn:aws:kms:region:account:key/id",
    ),
    "permission_boundary": (r"[\w+=,.@:/-]{1,2048}", "must be the name or the ARN of a policy"),
}
_FLAGS: Final = (
    *("enable_aggregator", "enable_alarms", "enable_audit_archival", "enable_tracing"),
    *("create_iam_roles", "create_iam", "enable_deletion_protection"),
)
_ARCHITECTURES: Final = ("x86_64", "arm64")
_LONGEST_ROLE_NAME: Final = 64
_LONGEST_POLICY_NAME: Final = 128
_MOST_TAGS: Final = 45

ROLES: Final = {
    "aggregator_role_name": "aggr",
    "app_role_name": "app",
    "admin_role_name": "admin",
    "readonly_role_name": "read",
}
"""The parameters that name roles, and the component that each names."""

POLICIES: Final = {
    "acquire_only_policy_name": "acq",
    "full_access_policy_name": "full",
    "readonly_policy_name": "read",
    "namespace_acquire_policy_name": "ns-acq",
    "namespace_full_access_policy_name": "ns-full",
    "namespace_readonly_policy_name": "ns-read",
}
"""The parameters that name policies, and the component that each names."""


@dataclass(frozen=True, slots=True)
class StackOptions:
    """What a stack is made with. Days are days of 24 hours, `lambda_timeout` seconds, `lambda_memory` megabytes.

    `snapshot_windows` are some of hourly, daily and monthly. An alarm on the function's duration goes off at
    `lambda_duration_threshold_pct` of its timeout. A name format holds `{}` once, for the stack's name and the part:
    `team-{}-role`. With `create_iam=False` no policy or role is made, and the function needs `aggregator_role_arn`.
    `tags` are those of the stack and all that is in it. Raises `ValidationError`.
    """

    snapshot_windows: str = "hourly,daily"
    usage_retention_days: int = 90
    audit_retention_days: int = 90
    enable_aggregator: bool = True
    pitr_recovery_days: int | None = None
    log_retention_days: int = 30
    lambda_timeout: int = 60
    lambda_memory: int = 256
    enable_alarms: bool = True
    alarm_sns_topic: str | None = None
    lambda_duration_threshold_pct: int = 80
    permission_boundary: str | None = None
    role_name_format: str | None = None
    policy_name_format: str | None = None
    enable_audit_archival: bool = True
    audit_archive_glacier_days: int = 90
    enable_tracing: bool = False
    create_iam_roles: bool = False
    create_iam: bool = True
    aggregator_role_arn: str | None = None
    enable_deletion_protection: bool = False
    tags: dict[str, str] | None = None
    kms_key_arn: str | None = None
    lambda_architecture: str = "x86_64"

    def __post_init__(self) -> None:
        _check_windows(self.snapshot_windows)
        for name, (least, most) in _RANGES.items():
            _check_range(name, getattr(self, name), least, most)
        for name in _FLAGS:
            if not isinstance(getattr(self, name), bool):
                raise ValidationError(name, repr(getattr(self, name)), "must be True or False")
        for name, (pattern, reason) in _PATTERNS.items():
            value = getattr(self, name)
            if value is not None and not (isinstance(value, str) and re.fullmatch(pattern, value)):
                raise ValidationError(name, str(value), reason)
        if self.log_retention_days not in _LOG_RETENTION:
            allowed = ", ".join(map(str, _LOG_RETENTION))
            raise ValidationError("log_retention_days", str(self.log_retention_days), f"CloudWatch takes {allowed}")
        if self.lambda_architecture not in _ARCHITECTURES:
            raise ValidationError("lambda_architecture", str(self.lambda_architecture), "must be x86_64 or arm64")
        _check_format("role_name_format", self.role_name_format, 55)
        _check_format("policy_name_format", self.policy_name_format, 120)
        if self.create_iam_roles and not self.create_iam:
            raise ValidationError(
                "create_iam_roles", "True", "needs create_iam=True: roles are a part of what it makes"
            )
        _check_tags(self.tags)

    def get_role_name(self, stack_name: str, component: str) -> str | None:
        """The name of a role: of `aggr`, `app`, `admin` or `read`; None without a format; `ValidationError`."""
        return _named("role_name_format", self.role_name_format, stack_name, component, _LONGEST_ROLE_NAME)

    def get_policy_name(self, stack_name: str, component: str) -> str | None:
        """The name of a policy: of `acq`, `full`, `read`, `ns-acq`, ...; None without a format; `ValidationError`."""
        return _named("policy_name_format", self.policy_name_format, stack_name, component, _LONGEST_POLICY_NAME)

    def to_parameters(self, stack_name: str | None = None) -> dict[str, str]:
        """The parameters of the template in the library's words, as text; names need the stack's name."""
        parameters = {
            "snapshot_windows": self.snapshot_windows,
            "usage_retention_days": str(self.usage_retention_days),
            "enable_aggregator": _truth(self.enable_aggregator),
            "pitr_recovery_days": "" if self.pitr_recovery_days is None else str(self.pitr_recovery_days),
            "log_retention_days": str(self.log_retention_days),
            "lambda_timeout": str(self.lambda_timeout),
            "lambda_memory_size": str(self.lambda_memory),
            "lambda_architecture": self.lambda_architecture,
            "enable_alarms": _truth(self.enable_alarms),
            "alarm_sns_topic_arn": self.alarm_sns_topic or "",
            "lambda_duration_threshold": str(
                max(1, self.lambda_timeout * 1_000 * self.lambda_duration_threshold_pct // 100)
            ),
            "permission_boundary": self.permission_boundary or "",
            "role_name_format": self.role_name_format or "",
            "enable_audit_archival": _truth(self.enable_audit_archival),
            "audit_archive_glacier_days": str(self.audit_archive_glacier_days),
            "enable_tracing": _truth(self.enable_tracing),
            "enable_iam_roles": _truth(self.create_iam_roles),
            "enable_iam": _truth(self.create_iam),
            "aggregator_role_arn": self.aggregator_role_arn or "",
            "enable_deletion_protection": _truth(self.enable_deletion_protection),
            "kms_key_arn": self.kms_key_arn or "",
        }
        if stack_name is not None:
            for name, component in ROLES.items():
                parameters[name] = self.get_role_name(stack_name, component) or ""
            for name, component in POLICIES.items():
                parameters[name] = self.get_policy_name(stack_name, component) or ""
        return parameters


def _truth(value: bool) -> str:  # noqa: FBT001 - the only thing there is to tell
    return "true" if value else "false"


def _check_windows(value: object) -> None:
    parts = value.split(",") if isinstance(value, str) else []
    if not parts or len(set(parts)) < len(parts) or not set(parts) <= set(WINDOWS):
        reason = f"must name some of {', '.join(WINDOWS)}, each once, with commas between"
        raise ValidationError("snapshot_windows", str(value), reason)


def _check_range(name: str, value: object, least: int, most: int) -> None:
    if value is None and name == "pitr_recovery_days":
        return
    if type(value) is not int or not least <= value <= most:
        raise ValidationError(name, str(value), f"must be an int from {least} to {most}")


def _check_format(name: str, value: object, longest: int) -> None:
    if value is None:
        return
    if not isinstance(value, str) or value.count("{}") != 1 or not re.fullmatch(r"[\w+=,.@{}-]+", value):
        raise ValidationError(name, str(value), "must hold {} once, among letters, digits and _ + = , . @ -")
    if re.search("[{}]", value.replace("{}", "")):
        raise ValidationError(name, value, "must hold no other braces than {}")
    if len(value) > longest:
        raise ValidationError(name, value, f"has {len(value)} characters, at most {longest} are allowed")


def _check_tags(tags: object) -> None:
    if tags is None:
        return
    if not isinstance(tags, dict):
        raise ValidationError("tags", repr(tags), "must be a dict of names and values")
    if len(tags) > _MOST_TAGS:
        raise ValidationError("tags", str(len(tags)), f"at most {_MOST_TAGS}; AWS takes 50, and some are the library's")
    for key, value in tags.items():
        if not isinstance(key, str) or not 1 <= len(key) <= 128 or key.lower().startswith("aws:"):
            raise ValidationError("tags", str(key), "a name has 1 to 128 characters and does not begin with aws:")
        if not isinstance(value, str) or len(value) > 256:
            raise ValidationError("tags", f"{key}={value}", "a value is a str of at most 256 characters")


def _named(field: str, form: str | None, stack_name: str, component: str, longest: int) -> str | None:
    if form is None:
        return None
    name = form.replace("{}", f"{stack_name}-{component}")
    if len(name) > longest:
        raise ValidationError(field, name, f"makes a name of {len(name)} characters, AWS takes at most {longest}")
    return name


@dataclass(frozen=True, slots=True)
class LimiterInfo:
    """A limiter that is deployed: its stack, how it stands, its versions; times in ISO form."""

    stack_name: str
    user_name: str
    region: str
    stack_status: str
    creation_time: str
    last_updated_time: str | None = None
    version: str | None = None
    lambda_version: str | None = None
    schema_version: str | None = None
    stack_type: str | None = None

    @property
    def is_healthy(self) -> bool:
        """Whether the last change of the stack went through."""
        return self.stack_status in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE")

    @property
    def is_in_progress(self) -> bool:
        """Whether the stack is being changed."""
        return "IN_PROGRESS" in self.stack_status

    @property
    def is_failed(self) -> bool:
        """Whether the last change failed or was taken back."""
        return "FAILED" in self.stack_status or "ROLLBACK" in self.stack_status


@dataclass(frozen=True, slots=True)
class Status:
    """How a limiter stands: whether its table answers and how fast, stack, versions, size, roles."""

    available: bool
    latency_ms: float | None
    stack_status: str | None
    table_status: str | None
    aggregator_enabled: bool
    name: str
    region: str | None
    schema_version: str | None
    lambda_version: str | None
    client_version: str
    table_item_count: int | None
    table_size_bytes: int | None
    app_role_arn: str | None = None
    admin_role_arn: str | None = None
    readonly_role_arn: str | None = None
