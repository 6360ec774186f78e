"""A stack as CloudFormation tells of it: its description, its events, and what its states mean. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class StackEvent:
    """One step of a stack's change: which resource, its new state, and why; `at` in ISO form."""

    at: str
    resource: str
    resource_type: str
    status: str
    reason: str | None = None

    @property
    def is_failure(self) -> bool:
        """Whether the resource failed by itself, and was not merely cancelled because another had."""
        return self.status.endswith("_FAILED") and "cancelled" not in (self.reason or "").lower()

    def as_dict(self) -> dict[str, Any]:
        """The event as plain data."""
        return {
            "at": self.at,
            "resource": self.resource,
            "resource_type": self.resource_type,
            "status": self.status,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class StackDescription:
    """A stack as it stands; times in ISO form."""

    stack_id: str
    stack_name: str
    status: str
    reason: str | None
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]
    tags: Mapping[str, str]
    created_at: str
    updated_at: str | None

    @property
    def is_in_progress(self) -> bool:
        """Whether CloudFormation is at work on it."""
        return self.status.endswith("_IN_PROGRESS")

    @property
    def is_usable(self) -> bool:
        """Whether what is in it is whole: made, changed, or back to what it was before a change."""
        return self.status in _USABLE


_USABLE: Final = frozenset(
    {"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE", "IMPORT_ROLLBACK_COMPLETE"}
)

_BEGUN: Final = frozenset({"CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS"})

_DELETE: Final = "zae-limiter delete --name {name}, or delete_stack()"
_DEPLOY: Final = "zae-limiter deploy --name {name} with its options, or update_stack()"
_REMEDIES: Final = {
    "CREATE_FAILED": f"delete it ({_DELETE}), then create it again",
    "ROLLBACK_COMPLETE": f"nothing of it is left; delete it ({_DELETE}), then create it again",
    "ROLLBACK_FAILED": f"remove what blocks the deletion of the resources named, then delete it ({_DELETE})",
    "UPDATE_FAILED": "take the change back, then mend the cause and repeat it: aws cloudformation rollback-stack "
    "--stack-name {name}",
    "UPDATE_ROLLBACK_COMPLETE": "the change was taken back, the stack works as before; mend the cause and repeat it "
    f"({_DEPLOY})",
    "UPDATE_ROLLBACK_FAILED": "mend the cause, then run: aws cloudformation continue-update-rollback "
    "--stack-name {name}",
    "DELETE_FAILED": f"what remains works but cannot be changed; remove the cause and delete it again ({_DELETE})",
    "DELETE_COMPLETE": "somebody else has deleted it meanwhile",
    "REVIEW_IN_PROGRESS": "a change set waits there; run or delete it: aws cloudformation list-change-sets "
    "--stack-name {name}",
}
_PROTECTED: Final = (
    "its table is protected, and CloudFormation changes no stack whose deletion has failed; lift the protection: aws "
    f"dynamodb update-table --table-name {{name}} --no-deletion-protection-enabled, then delete it again ({_DELETE})"
)


def protection_of(stack: StackDescription) -> str | None:
    """Why a stack is not even asked to be deleted: it would lose all but its table. None if nothing protects it."""
    # Once a deletion has failed, the parameter tells nothing of the table any more.
    if not stack.is_usable or stack.parameters.get("EnableDeletionProtection") != "true":
        return None
    lift = f"zae-limiter deploy --name {stack.stack_name} --no-deletion-protection"
    change = "update_stack(changes={'enable_deletion_protection': False})"
    again = _DELETE.format(name=stack.stack_name)
    return f"is protected from deletion, and nothing was deleted; lift that ({lift}, or {change}), then repeat: {again}"


def failure_of(stack: StackDescription, events: Sequence[StackEvent]) -> tuple[str, list[dict[str, Any]]]:
    """What to say of a stack in a state that nobody wanted, with the events that explain it, causes first."""
    remedy = _REMEDIES.get(stack.status, "look at its events")
    if any("deletion protection" in (event.reason or "").lower() for event in events):
        remedy = _PROTECTED
    why = f": {stack.reason}" if stack.reason else ""
    told = f"is in {stack.status}{why}; {remedy.format(name=stack.stack_name)}"
    return told, [event.as_dict() for event in events if event.is_failure]


def last_change(events: Sequence[StackEvent]) -> list[StackEvent]:
    """The events of the last change alone, of all that a stack has seen, the oldest first."""
    begun = [
        place
        for place, event in enumerate(events)
        if event.resource_type == "AWS::CloudFormation::Stack" and event.status in _BEGUN
    ]
    return list(events[begun[-1] :] if begun else events)


def description_of(told: Mapping[str, Any]) -> StackDescription:
    """What `DescribeStacks` says of one stack."""
    return StackDescription(
        told["StackId"],
        told["StackName"],
        told["StackStatus"],
        told.get("StackStatusReason"),
        {each["ParameterKey"]: each.get("ParameterValue", "") for each in told.get("Parameters", ())},
        {each["OutputKey"]: each.get("OutputValue", "") for each in told.get("Outputs", ())},
        {each["Key"]: each["Value"] for each in told.get("Tags", ())},
        iso(told["CreationTime"]),
        iso(told["LastUpdatedTime"]) if "LastUpdatedTime" in told else None,
    )


def event_of(told: Mapping[str, Any]) -> StackEvent:
    """What `DescribeStackEvents` says of one event."""
    return StackEvent(
        iso(told["Timestamp"]),
        told.get("LogicalResourceId", ""),
        told.get("ResourceType", ""),
        told.get("ResourceStatus", ""),
        told.get("ResourceStatusReason"),
    )


def iso(moment: datetime | str) -> str:
    """A time in ISO form, to the second."""
    return moment if isinstance(moment, str) else moment.isoformat(timespec="seconds")
