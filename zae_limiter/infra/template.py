"""The template and its parameters: what a stack is made with, in the words of CloudFormation. Pure."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final

from zae_limiter.exceptions import ValidationError
from zae_limiter.models import StackOptions
from zae_limiter.models.stack import POLICIES, ROLES
from zae_limiter.schema import SCHEMA_VERSION

PARAMETERS: Final = {
    "snapshot_windows": "SnapshotWindows",
    "usage_retention_days": "SnapshotRetentionDays",
    "enable_aggregator": "EnableAggregator",
    "pitr_recovery_days": "PITRRecoveryPeriodDays",
    "log_retention_days": "LogRetentionDays",
    "lambda_timeout": "LambdaTimeout",
    "lambda_memory_size": "LambdaMemorySize",
    "lambda_architecture": "LambdaArchitecture",
    "enable_alarms": "EnableAlarms",
    "alarm_sns_topic_arn": "AlarmSNSTopicArn",
    "lambda_duration_threshold": "LambdaDurationThreshold",
    "permission_boundary": "PermissionBoundary",
    "role_name_format": "RoleNameFormat",
    "aggregator_role_name": "AggregatorRoleName",
    "app_role_name": "AppRoleName",
    "admin_role_name": "AdminRoleName",
    "readonly_role_name": "ReadOnlyRoleName",
    "acquire_only_policy_name": "AcquireOnlyPolicyName",
    "full_access_policy_name": "FullAccessPolicyName",
    "readonly_policy_name": "ReadOnlyPolicyName",
    "namespace_acquire_policy_name": "NamespaceAcquirePolicyName",
    "namespace_full_access_policy_name": "NamespaceFullAccessPolicyName",
    "namespace_readonly_policy_name": "NamespaceReadOnlyPolicyName",
    "enable_audit_archival": "EnableAuditArchival",
    "audit_archive_glacier_days": "AuditArchiveGlacierTransitionDays",
    "enable_tracing": "EnableTracing",
    "enable_iam_roles": "EnableIAMRoles",
    "enable_iam": "EnableIAM",
    "aggregator_role_arn": "AggregatorRoleArn",
    "enable_deletion_protection": "EnableDeletionProtection",
    "kms_key_arn": "KMSKeyArn",
}
"""The keys of `StackOptions.to_parameters`, and the parameters of the template that they stand for."""

_LONGEST_FUNCTION_NAME: Final = 64
# An option decides these parameters; all others are decided by the one of like name.
_DECIDES: Final = {
    "alarm_sns_topic": ("alarm_sns_topic_arn",),
    "lambda_memory": ("lambda_memory_size",),
    "lambda_timeout": ("lambda_timeout", "lambda_duration_threshold"),
    "lambda_duration_threshold_pct": ("lambda_duration_threshold",),
    "role_name_format": ("role_name_format", *ROLES),
    "policy_name_format": tuple(POLICIES),
    "create_iam_roles": ("enable_iam_roles",),
    "create_iam": ("enable_iam",),
    "audit_retention_days": (),
    "tags": (),
}


def template_text() -> str:
    """The CloudFormation template, as it stands in the package."""
    return files("zae_limiter.infra").joinpath("cfn_template.yaml").read_text(encoding="utf-8")


def parameters_of(options: StackOptions, stack_name: str) -> dict[str, str]:
    """Every parameter of the template for a stack with these options; `ValidationError` where a name gets too long."""
    longest = _LONGEST_FUNCTION_NAME - len("-aggregator")
    if options.enable_aggregator and len(stack_name) > longest:
        reason = f"at most {longest} characters leave room for the name of the function; or do without the aggregator"
        raise ValidationError("name", stack_name, reason)
    told = options.to_parameters(stack_name)
    return {PARAMETERS[name]: value for name, value in told.items()} | {"SchemaVersion": SCHEMA_VERSION}


def changed_parameters(changes: Mapping[str, Any], stack_name: str, current: Mapping[str, str]) -> dict[str, str]:
    """The parameters that some options decide, by their names in `StackOptions`; what is not named is not in it.

    `current` are the stack's parameters: they tell the timeout or the share of it where only one of both changes.
    """
    unknown = sorted(set(changes) - set(StackOptions.__dataclass_fields__))
    if unknown:
        raise ValidationError("changes", ", ".join(unknown), "names no option of a stack; see StackOptions")
    told = StackOptions(**_with_duration(changes, current)).to_parameters(stack_name)
    decided = {parameter for name in changes for parameter in _DECIDES.get(name, (name,))}
    return {PARAMETERS[name]: told[name] for name in decided} | {"SchemaVersion": SCHEMA_VERSION}


def _with_duration(changes: Mapping[str, Any], current: Mapping[str, str]) -> dict[str, Any]:
    known = dict(changes)
    if "LambdaTimeout" not in current or "LambdaDurationThreshold" not in current:
        return known
    timeout = int(current["LambdaTimeout"])
    known.setdefault("lambda_timeout", timeout)
    share = round(int(current["LambdaDurationThreshold"]) / (timeout * 10))
    known.setdefault("lambda_duration_threshold_pct", min(100, max(1, share)))
    if known.get("create_iam_roles") and current.get("EnableIAM") == "false":
        # Both together are refused; the stack's own value counts where only one is named.
        known.setdefault("create_iam", False)
    return known


def sent_parameters(
    named: Mapping[str, str], current: Mapping[str, str], known: frozenset[str]
) -> list[dict[str, Any]]:
    """The parameters of an update: those named, and the previous value of all others that the stack has.

    A parameter that is in neither is left out: CloudFormation takes the template's default, which is right for one
    that the stack did not have before, and for it alone. `known` are the parameters of the template that is sent.
    """
    kept = [{"ParameterKey": name, "UsePreviousValue": True} for name in current if name not in named and name in known]
    return [{"ParameterKey": name, "ParameterValue": value} for name, value in named.items()] + kept
