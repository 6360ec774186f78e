"""What CloudFormation does, as scripts: each names the page of AWS's documentation that tells the sequence."""

from tests.infra.cloudformation import STACK_TYPE, Phase

TABLE = ("RateLimitsTable", "AWS::DynamoDB::Table")
FUNCTION = ("AggregatorFunction", "AWS::Lambda::Function")
USER = "User Initiated"


def stack(status: str, reason: str = "") -> tuple[str, str, str, str]:
    return ("limits", STACK_TYPE, status, reason)


def table(status: str, reason: str = "") -> tuple[str, str, str, str]:
    return (*TABLE, status, reason)


def function(status: str, reason: str = "") -> tuple[str, str, str, str]:
    return (*FUNCTION, status, reason)


# "Understand stack creation events and states": each resource is IN_PROGRESS, then COMPLETE; the stack last.
CREATED = [
    Phase("CREATE_IN_PROGRESS", (stack("CREATE_IN_PROGRESS", USER), table("CREATE_IN_PROGRESS"))),
    Phase("CREATE_IN_PROGRESS", (table("CREATE_IN_PROGRESS", "Resource creation Initiated"),)),
    Phase("CREATE_COMPLETE", (table("CREATE_COMPLETE"), stack("CREATE_COMPLETE"))),
]

# "Stack status codes", ROLLBACK_COMPLETE; "Determine the cause of a stack failure": resources that were under way
# when another failed are told as failed too, with "Resource creation cancelled".
ROLLED_BACK = [
    Phase("CREATE_IN_PROGRESS", (stack("CREATE_IN_PROGRESS", USER), table("CREATE_IN_PROGRESS"))),
    Phase(
        "ROLLBACK_IN_PROGRESS",
        (
            function("CREATE_FAILED", "The role defined for the function cannot be assumed by Lambda."),
            table("CREATE_FAILED", "Resource creation cancelled"),
            stack("ROLLBACK_IN_PROGRESS", "The following resource(s) failed to create: [AggregatorFunction]."),
        ),
    ),
    Phase("ROLLBACK_COMPLETE", (table("DELETE_COMPLETE"), stack("ROLLBACK_COMPLETE"))),
]

# "Stack status codes", UPDATE_COMPLETE_CLEANUP_IN_PROGRESS between IN_PROGRESS and COMPLETE.
UPDATED = [
    Phase("UPDATE_IN_PROGRESS", (stack("UPDATE_IN_PROGRESS", USER), function("UPDATE_IN_PROGRESS"))),
    Phase("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", (function("UPDATE_COMPLETE"),)),
    Phase("UPDATE_COMPLETE", (stack("UPDATE_COMPLETE"),)),
]

# "Stack status codes", UPDATE_ROLLBACK_COMPLETE: back to what was before.
UPDATE_ROLLED_BACK = [
    Phase("UPDATE_IN_PROGRESS", (stack("UPDATE_IN_PROGRESS", USER), function("UPDATE_IN_PROGRESS"))),
    Phase(
        "UPDATE_ROLLBACK_IN_PROGRESS",
        (function("UPDATE_FAILED", "Value 4096 at 'memorySize' failed to satisfy constraint"),),
    ),
    Phase("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", (function("UPDATE_COMPLETE"),)),
    Phase("UPDATE_ROLLBACK_COMPLETE", (stack("UPDATE_ROLLBACK_COMPLETE"),)),
]

# "Continue rolling back an update": a roll back that fails itself needs a hand.
UPDATE_ROLLBACK_FAILED = [
    Phase("UPDATE_IN_PROGRESS", (stack("UPDATE_IN_PROGRESS", USER), function("UPDATE_FAILED", "denied"))),
    Phase("UPDATE_ROLLBACK_IN_PROGRESS"),
    Phase(
        "UPDATE_ROLLBACK_FAILED",
        (function("UPDATE_FAILED", "denied again"),),
        "The following resource(s) failed to update: [AggregatorFunction].",
    ),
]

# A deleted stack is found by its id alone ("DescribeStacks", StackName).
DELETED = [
    Phase("DELETE_IN_PROGRESS", (stack("DELETE_IN_PROGRESS", USER), table("DELETE_IN_PROGRESS"))),
    Phase("DELETE_COMPLETE", (table("DELETE_COMPLETE"), stack("DELETE_COMPLETE"))),
]

# "Stack status codes", DELETE_FAILED ("you can't work with or update the stack"); the reason is the one of
# DynamoDB's DeleteTable for a protected table.
DELETE_REFUSED = [
    Phase("DELETE_IN_PROGRESS", (stack("DELETE_IN_PROGRESS", USER), table("DELETE_IN_PROGRESS"))),
    Phase(
        "DELETE_FAILED",
        (
            table(
                "DELETE_FAILED",
                "Resource handler returned message: Resource cannot be deleted as it is currently protected "
                "against deletion. Disable deletion protection first.",
            ),
            stack("DELETE_FAILED", "The following resource(s) failed to delete: [RateLimitsTable]."),
        ),
        "The following resource(s) failed to delete: [RateLimitsTable].",
    ),
]
