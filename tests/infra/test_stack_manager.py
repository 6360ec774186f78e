"""A stack's life against a CloudFormation that plays the states of AWS's documentation, on both faces."""

import socket
from collections.abc import Callable
from typing import Any

import pytest

from tests.infra import scripts
from tests.infra.cloudformation import Endpoint, Phase, Stack, parameters_in, previous_in, tags_in
from tests.infra.conftest import Managed
from zae_limiter import __version__
from zae_limiter.exceptions import (
    InfrastructureAccessError,
    RateLimiterUnavailable,
    StackAlreadyExistsError,
    StackCreationError,
    ValidationError,
)
from zae_limiter.infra.stack_manager import StackManager
from zae_limiter.infra.tags import managed_tags
from zae_limiter.infra.template import parameters_of, template_text
from zae_limiter.models import StackOptions
from zae_limiter.testing import TurnableClock


def standing(endpoint: Endpoint, status: str = "CREATE_COMPLETE", **tags: str) -> Stack:
    options = StackOptions(lambda_memory=512, enable_tracing=True, role_name_format="team-{}")
    stack = Stack("limits", status, parameters=parameters_of(options, "limits"), tags=managed_tags("limits") | tags)
    endpoint.stacks["limits"] = stack
    return stack


def test_a_stack_is_created_and_its_events_are_told_as_they_come(endpoint: Endpoint, manager: Managed) -> None:
    endpoint.scripts["CreateStack"] = scripts.CREATED
    options = StackOptions(tags={"team": "core"}, lambda_timeout=30)

    answer = manager.create_stack(options)

    assert (answer["stack_name"], answer["status"]) == ("limits", "CREATE_COMPLETE")
    assert [(event.resource, event.status) for event in manager.told] == [
        ("limits", "CREATE_IN_PROGRESS"),
        ("RateLimitsTable", "CREATE_IN_PROGRESS"),
        ("RateLimitsTable", "CREATE_IN_PROGRESS"),
        ("RateLimitsTable", "CREATE_COMPLETE"),
        ("limits", "CREATE_COMPLETE"),
    ]
    (asked,) = endpoint.asked("CreateStack")
    assert asked["TemplateBody"] == template_text()
    assert asked["Capabilities.member.1"] == "CAPABILITY_NAMED_IAM"
    assert parameters_in(asked) == parameters_of(options, "limits")
    assert parameters_in(asked)["LambdaDurationThreshold"] == "24000"
    assert tags_in(asked) == {"team": "core"} | managed_tags("limits")


def test_creation_can_be_left_alone(endpoint: Endpoint, manager: Managed) -> None:
    endpoint.scripts["CreateStack"] = scripts.CREATED

    assert manager.create_stack(wait=False)["status"] == "CREATE_IN_PROGRESS"
    assert manager.get_stack_status("limits") == "CREATE_IN_PROGRESS"
    assert manager.told == []


def test_a_creation_that_is_rolled_back_tells_its_cause_and_what_to_do(endpoint: Endpoint, manager: Managed) -> None:
    endpoint.scripts["CreateStack"] = scripts.ROLLED_BACK

    wanted = r"ROLLBACK_COMPLETE.*zae-limiter delete --name limits, or delete_stack.*cannot be assumed"
    with pytest.raises(StackCreationError, match=wanted) as failure:
        manager.create_stack()

    # What was merely cancelled explains nothing.
    assert [event["resource"] for event in failure.value.events] == ["AggregatorFunction"]


def test_who_meets_a_failed_stack_is_told_of_its_last_change_alone(endpoint: Endpoint, manager: Managed) -> None:
    """Weak point W39: a stack that had failed passed for one that is ready."""
    endpoint.scripts["CreateStack"] = scripts.ROLLED_BACK
    with pytest.raises(StackCreationError):
        manager.create_stack()
    told = len(manager.told)

    for change in (manager.create_stack, manager.update_stack):
        with pytest.raises(StackCreationError, match="ROLLBACK_COMPLETE") as failure:
            change()
        assert [event["resource"] for event in failure.value.events] == ["AggregatorFunction"]
    assert len(manager.told) == told


def test_a_stack_that_is_there_is_left_alone_without_options(endpoint: Endpoint, manager: Managed) -> None:
    standing(endpoint)

    assert manager.create_stack()["status"] == "already_exists_and_ready"
    assert endpoint.asked("UpdateStack") == []


def test_a_stack_that_is_there_is_brought_to_the_options(endpoint: Endpoint, manager: Managed) -> None:
    """Weak point W39: options for a stack that is there were silently ignored."""
    stack = standing(endpoint)
    endpoint.scripts["UpdateStack"] = scripts.UPDATED

    assert manager.create_stack(StackOptions(lambda_memory=1024))["status"] == "UPDATE_COMPLETE"
    assert stack.parameters["LambdaMemorySize"] == "1024"
    assert stack.parameters["EnableTracing"] == "false"


def test_a_stack_of_a_newer_library_is_not_brought_back(endpoint: Endpoint, manager: Managed) -> None:
    standing(endpoint, **{"zae-limiter:version": "99.0.0"})

    assert manager.create_stack(StackOptions(lambda_memory=1024))["status"] == "already_exists_and_ready"
    with pytest.raises(StackCreationError, match=rf"was made by version 99\.0\.0 .* this is {__version__}"):
        manager.update_stack()
    assert endpoint.asked("UpdateStack") == []


def test_a_change_that_somebody_else_began_is_waited_for(endpoint: Endpoint, manager: Managed) -> None:
    stack = standing(endpoint, "UPDATE_IN_PROGRESS")
    stack.ahead = [Phase("UPDATE_IN_PROGRESS"), *scripts.UPDATED]

    assert manager.create_stack()["status"] == "already_exists_and_ready"
    assert manager.told[-1].status == "UPDATE_COMPLETE"


def test_a_stack_that_appears_meanwhile_is_told(endpoint: Endpoint, manager: Managed) -> None:
    endpoint.refusals = [("CreateStack", 400, "AlreadyExistsException", "Stack [limits] already exists")]

    with pytest.raises(StackAlreadyExistsError, match="created by somebody else"):
        manager.create_stack()


def test_parameters_that_are_not_named_keep_their_value(endpoint: Endpoint, manager: Managed) -> None:
    """Weak point W37."""
    stack = standing(endpoint, team="core")
    before = dict(stack.parameters)
    endpoint.scripts["UpdateStack"] = scripts.UPDATED

    answer = manager.update_stack(changes={"lambda_memory": 1024, "tags": {"stage": "prod"}})

    assert answer["status"] == "UPDATE_COMPLETE"
    assert stack.parameters == before | {"LambdaMemorySize": "1024"}
    assert stack.tags == managed_tags("limits") | {"team": "core", "stage": "prod"}
    (asked,) = endpoint.asked("UpdateStack")
    assert set(parameters_in(asked)) == {"LambdaMemorySize", "SchemaVersion"}


def test_a_parameter_that_an_older_stack_lacks_takes_the_default_of_the_template(
    endpoint: Endpoint, manager: Managed
) -> None:
    stack = standing(endpoint)
    del stack.parameters["KMSKeyArn"]
    stack.parameters["LongGone"] = "x"
    endpoint.scripts["UpdateStack"] = scripts.UPDATED

    manager.update_stack()

    (asked,) = endpoint.asked("UpdateStack")
    assert {"KMSKeyArn", "LongGone"} & set(previous_in(asked)) == set()


def test_the_alarm_on_the_duration_follows_the_timeout(endpoint: Endpoint, manager: Managed) -> None:
    stack = standing(endpoint)
    endpoint.scripts["UpdateStack"] = list(scripts.UPDATED)
    manager.update_stack(changes={"lambda_timeout": 100})
    assert stack.parameters["LambdaDurationThreshold"] == "80000"

    endpoint.scripts["UpdateStack"] = list(scripts.UPDATED)
    manager.update_stack(changes={"lambda_duration_threshold_pct": 50})
    assert stack.parameters["LambdaDurationThreshold"] == "50000"
    assert stack.parameters["LambdaTimeout"] == "100"


def test_an_update_of_nothing_is_unchanged(endpoint: Endpoint, manager: Managed) -> None:
    standing(endpoint)

    assert manager.update_stack()["status"] == "unchanged"
    assert manager.told == []


def test_an_update_that_is_rolled_back_says_that_the_stack_works_as_before(
    endpoint: Endpoint, manager: Managed
) -> None:
    standing(endpoint)
    endpoint.scripts["UpdateStack"] = scripts.UPDATE_ROLLED_BACK

    wanted = r"UPDATE_ROLLBACK_COMPLETE.*works as before.*zae-limiter deploy --name limits.*memorySize"
    with pytest.raises(StackCreationError, match=wanted):
        manager.update_stack(changes={"lambda_memory": 1024})

    endpoint.scripts["UpdateStack"] = scripts.UPDATED
    assert manager.update_stack(changes={"lambda_memory": 1024})["status"] == "UPDATE_COMPLETE"


def test_a_roll_back_that_fails_names_the_command_that_helps(endpoint: Endpoint, manager: Managed) -> None:
    standing(endpoint)
    endpoint.scripts["UpdateStack"] = scripts.UPDATE_ROLLBACK_FAILED

    with pytest.raises(StackCreationError, match="continue-update-rollback --stack-name limits"):
        manager.update_stack(changes={"lambda_memory": 1024})


def test_a_stack_is_deleted(endpoint: Endpoint, manager: Managed) -> None:
    standing(endpoint)
    endpoint.scripts["DeleteStack"] = scripts.DELETED

    manager.delete_stack("limits")

    assert not manager.stack_exists("limits")
    assert manager.get_stack_status("limits") is None
    manager.delete_stack("limits")
    assert len(endpoint.asked("DeleteStack")) == 1


def test_a_deletion_can_be_left_alone(endpoint: Endpoint, manager: Managed) -> None:
    standing(endpoint)
    endpoint.scripts["DeleteStack"] = scripts.DELETED

    manager.delete_stack("limits", wait=False)

    assert manager.get_stack_status("limits") == "DELETE_IN_PROGRESS"


def test_a_protected_stack_is_left_whole_and_told_with_the_change_that_lets_it_go(
    endpoint: Endpoint, manager: Managed
) -> None:
    stack = standing(endpoint)
    stack.parameters["EnableDeletionProtection"] = "true"

    with pytest.raises(StackCreationError, match=r"nothing was deleted.*zae-limiter deploy .*--no-deletion-protection"):
        manager.delete_stack("limits")
    assert endpoint.asked("DeleteStack") == []

    endpoint.scripts["UpdateStack"] = list(scripts.UPDATED)
    manager.update_stack(changes={"enable_deletion_protection": False})
    endpoint.scripts["DeleteStack"] = scripts.DELETED
    manager.delete_stack("limits")
    assert not manager.stack_exists("limits")


def test_a_table_that_was_protected_by_hand_is_told_with_the_command_that_lets_it_go(
    endpoint: Endpoint, manager: Managed
) -> None:
    """A stack whose deletion has failed takes no update, so its protection is lifted at the table."""
    stack = standing(endpoint)
    endpoint.scripts["DeleteStack"] = scripts.DELETE_REFUSED

    wanted = r"DELETE_FAILED.*aws dynamodb update-table --table-name limits --no-deletion-protection.*RateLimitsTable"
    with pytest.raises(StackCreationError, match=wanted):
        manager.delete_stack("limits")

    stack.parameters["EnableDeletionProtection"] = "true"
    endpoint.scripts["DeleteStack"] = scripts.DELETED
    manager.delete_stack("limits")
    assert not manager.stack_exists("limits")


def test_tags_that_are_missing_are_added_and_nothing_else_is_changed(endpoint: Endpoint, manager: Managed) -> None:
    """Weak point W37: parameters that were left out fell back to the defaults of the template."""
    stack = standing(endpoint)
    before = dict(stack.parameters)
    # Were the version of a newer library lowered, an older one would change its stack.
    stack.tags = before_tags = {"team": "core", "zae-limiter:version": "99.0.0"}
    endpoint.scripts["UpdateStack"] = scripts.UPDATED

    assert manager.ensure_tags({"stage": "prod"})
    assert stack.tags == managed_tags("limits") | before_tags | {"stage": "prod"}
    assert stack.parameters == before
    (asked,) = endpoint.asked("UpdateStack")
    assert asked["UsePreviousTemplate"] == "true"
    assert not manager.ensure_tags()
    assert len(endpoint.asked("UpdateStack")) == 1


def test_there_are_no_tags_to_add_to_what_is_not_there(endpoint: Endpoint, manager: Managed) -> None:
    assert not manager.ensure_tags()
    standing(endpoint, "ROLLBACK_COMPLETE")
    assert not manager.ensure_tags()


def test_a_look_that_fails_is_followed_by_the_next(endpoint: Endpoint, manager: Managed) -> None:
    endpoint.scripts["CreateStack"] = scripts.CREATED
    # More failures than one request is repeated for: each of them may take a minute.
    endpoint.refusals = [("DescribeStackEvents", 400, "Throttling", "Rate exceeded")] * 100

    assert manager.create_stack()["status"] == "CREATE_COMPLETE"
    assert endpoint.refusals == []


def test_events_come_in_pages_and_each_is_told_once(endpoint: Endpoint, manager: Managed) -> None:
    endpoint.page_size = 1
    endpoint.scripts["CreateStack"] = scripts.CREATED

    manager.create_stack()

    assert len(manager.told) == sum(len(phase.events) for phase in scripts.CREATED)


def test_a_change_without_an_end_is_given_up(endpoint: Endpoint, manager: Managed, clock: TurnableClock) -> None:
    endpoint.scripts["CreateStack"] = [Phase("CREATE_IN_PROGRESS")]
    endpoint.looked = lambda: clock.turn(600)

    with pytest.raises(StackCreationError, match="still changing after 3 hours"):
        manager.create_stack()


def test_a_stack_that_vanishes_while_it_is_made_is_told(endpoint: Endpoint, manager: Managed) -> None:
    endpoint.scripts["CreateStack"] = [Phase("CREATE_IN_PROGRESS"), Phase("DELETE_COMPLETE")]

    with pytest.raises(StackCreationError, match=r"DELETE_COMPLETE|deleted by somebody else"):
        manager.create_stack()


@pytest.mark.parametrize("operation", ["CreateStack", "UpdateStack", "DeleteStack"])
def test_what_cloudformation_will_not_do_is_told_in_its_words(
    endpoint: Endpoint, manager: Managed, operation: str
) -> None:
    if operation != "CreateStack":
        standing(endpoint)
    endpoint.refusals = [(operation, 400, "InsufficientCapabilitiesException", "Requires capabilities")]
    changes: dict[str, Callable[[], Any]] = {
        "CreateStack": manager.create_stack,
        "UpdateStack": lambda: manager.update_stack(changes={"lambda_memory": 1024}),
        "DeleteStack": lambda: manager.delete_stack("limits"),
    }

    with pytest.raises(StackCreationError, match="Requires capabilities"):
        changes[operation]()


def test_denied_access_names_the_action_to_allow(endpoint: Endpoint, manager: Managed) -> None:
    endpoint.refusals = [("DescribeStacks", 403, "AccessDenied", "User is not authorized")]

    with pytest.raises(InfrastructureAccessError, match="allow the role cloudformation:DescribeStacks"):
        manager.create_stack()


def test_an_endpoint_that_fails_again_and_again_is_told(endpoint: Endpoint, manager: Managed) -> None:
    endpoint.refusals = [("DescribeStacks", 500, "InternalFailure", "no")] * 500

    with pytest.raises(RateLimiterUnavailable):
        manager.describe_stack()


@pytest.mark.parametrize("is_sync", [False, True], ids=["async", "sync"])
def test_an_endpoint_that_is_not_there_is_told(clock: TurnableClock, is_sync: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as place:
        port = place.getsockname()[1]
    manager = Managed(is_sync, f"http://127.0.0.1:{port}", clock)

    with pytest.raises(RateLimiterUnavailable, match="no connection"):
        manager.describe_stack()
    manager.end()


def test_there_is_nothing_to_update_without_a_stack(endpoint: Endpoint, manager: Managed) -> None:
    with pytest.raises(StackCreationError, match="does not exist; create it"):
        manager.update_stack()


def test_a_change_set_that_waits_is_not_waited_for(endpoint: Endpoint, manager: Managed) -> None:
    standing(endpoint, "REVIEW_IN_PROGRESS")

    with pytest.raises(StackCreationError, match="list-change-sets --stack-name limits"):
        manager.create_stack(StackOptions())


def test_a_stack_is_described(endpoint: Endpoint, manager: Managed) -> None:
    standing(endpoint)

    stack = manager.describe_stack()

    assert stack.outputs == {"TableName": "limits"}
    assert stack.parameters["LambdaMemorySize"] == "512"
    assert stack.tags["zae-limiter:version"] == __version__
    assert (stack.created_at, stack.updated_at) == ("2026-01-01T00:00:00+00:00", None)
    assert (stack.is_usable, stack.is_in_progress) == (True, False)
    assert manager.describe_stack("other") is None


@pytest.mark.parametrize("name", ["", "1a", "a_b", "a.b", "a b", "a" * 56, "a\n", None])
def test_a_name_that_no_stack_can_have_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="name: "):
        StackManager(name)


def test_arguments_of_the_wrong_kind_are_refused_before_anything_is_asked(endpoint: Endpoint, manager: Managed) -> None:
    standing(endpoint)
    with pytest.raises(ValidationError, match="must be StackOptions"):
        manager.create_stack({"lambda_memory": 512})
    with pytest.raises(ValidationError, match="not both"):
        manager.update_stack(StackOptions(), changes={})
    with pytest.raises(ValidationError, match="names no option of a stack"):
        manager.update_stack(changes={"lambda_momery": 512})
    with pytest.raises(ValidationError, match="lambda_memory: must be an int from 128 to 3008"):
        manager.update_stack(changes={"lambda_memory": 4096})
    assert endpoint.asked("UpdateStack") == []
