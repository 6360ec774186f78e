"""What a builder says of the stack to be made: each step is an option of `StackOptions`."""

from typing import Any, Self


class StackSteps:
    """Steps that make `build` create the stack, or bring it to the options, before it reaches the table."""

    def __init__(self) -> None:
        self._stack: dict[str, Any] = {}

    def snapshot_windows(self, value: str) -> Self:
        """Count usage in these windows, such as `hourly,daily`."""
        return self._set_of_stack("snapshot_windows", value)

    def usage_retention_days(self, value: int) -> Self:
        """Keep usage for so many days."""
        return self._set_of_stack("usage_retention_days", value)

    def log_retention_days(self, value: int) -> Self:
        """Keep the function's log for so many days."""
        return self._set_of_stack("log_retention_days", value)

    def lambda_timeout(self, value: int) -> Self:
        """Give the function so many seconds."""
        return self._set_of_stack("lambda_timeout", value)

    def lambda_memory(self, value: int) -> Self:
        """Give the function so many megabytes."""
        return self._set_of_stack("lambda_memory", value)

    def lambda_duration_threshold_pct(self, value: int) -> Self:
        """Alarm when the function takes so much of its timeout, in percent."""
        return self._set_of_stack("lambda_duration_threshold_pct", value)

    def audit_archive_glacier_days(self, value: int) -> Self:
        """Move archived audit events to Glacier after so many days."""
        return self._set_of_stack("audit_archive_glacier_days", value)

    def pitr_recovery_days(self, value: int | None) -> Self:
        """Let the table be recovered to any second of so many days."""
        return self._set_of_stack("pitr_recovery_days", value)

    def alarm_sns_topic(self, value: str | None) -> Self:
        """Send alarms to this topic."""
        return self._set_of_stack("alarm_sns_topic", value)

    def permission_boundary(self, value: str | None) -> Self:
        """Bound every role by this policy."""
        return self._set_of_stack("permission_boundary", value)

    def role_name_format(self, value: str | None) -> Self:
        """Name roles so; `{}` stands for the stack's name and the part."""
        return self._set_of_stack("role_name_format", value)

    def policy_name_format(self, value: str | None) -> Self:
        """Name policies so; `{}` stands for the stack's name and the part."""
        return self._set_of_stack("policy_name_format", value)

    def aggregator_role_arn(self, value: str | None) -> Self:
        """Let the function run under this role."""
        return self._set_of_stack("aggregator_role_arn", value)

    def tags(self, value: dict[str, str] | None) -> Self:
        """Tag the stack and all that is in it."""
        return self._set_of_stack("tags", value)

    def kms_key_arn(self, value: str | None) -> Self:
        """Encrypt with this key."""
        return self._set_of_stack("kms_key_arn", value)

    def lambda_architecture(self, value: str) -> Self:
        """Run the function on `x86_64` or `arm64`."""
        return self._set_of_stack("lambda_architecture", value)

    def enable_aggregator(self, value: bool = True) -> Self:  # noqa: FBT001, FBT002 - as users know it
        """Count usage by a function."""
        return self._set_of_stack("enable_aggregator", value)

    def enable_alarms(self, value: bool = True) -> Self:  # noqa: FBT001, FBT002 - as users know it
        """Watch the table and the function."""
        return self._set_of_stack("enable_alarms", value)

    def enable_audit_archival(self, value: bool = True) -> Self:  # noqa: FBT001, FBT002 - as users know it
        """Archive audit events that expire."""
        return self._set_of_stack("enable_audit_archival", value)

    def enable_tracing(self, value: bool = True) -> Self:  # noqa: FBT001, FBT002 - as users know it
        """Trace the function."""
        return self._set_of_stack("enable_tracing", value)

    def create_iam_roles(self, value: bool = True) -> Self:  # noqa: FBT001, FBT002 - as users know it
        """Make roles for those who use the table."""
        return self._set_of_stack("create_iam_roles", value)

    def create_iam(self, value: bool = True) -> Self:  # noqa: FBT001, FBT002 - as users know it
        """Make policies, and the function's role."""
        return self._set_of_stack("create_iam", value)

    def enable_deletion_protection(self, value: bool = True) -> Self:  # noqa: FBT001, FBT002 - as users know it
        """Let nobody delete the table."""
        return self._set_of_stack("enable_deletion_protection", value)

    def _set_of_stack(self, name: str, value: object) -> Self:
        self._stack[name] = value
        return self
