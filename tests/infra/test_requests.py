"""What a change says to CloudFormation beside its parameters: a token for repeats, what it may make, its tags."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.infra import scripts
from tests.infra.cloudformation import Endpoint, Phase, tags_in
from tests.infra.conftest import Managed
from tests.infra.test_stack_manager import standing

CHANGES: dict[str, tuple[Callable[[Managed], Any], list[Phase]]] = {
    "CreateStack": (lambda manager: manager.create_stack(), scripts.CREATED),
    "UpdateStack": (lambda manager: manager.update_stack(changes={"lambda_memory": 1024}), scripts.UPDATED),
    "DeleteStack": (lambda manager: manager.delete_stack("limits"), scripts.DELETED),
}


@pytest.mark.parametrize("operation", CHANGES)
def test_a_repeat_of_a_change_is_known_to_be_one(endpoint: Endpoint, manager: Managed, operation: str) -> None:
    change, script = CHANGES[operation]
    if operation != "CreateStack":
        standing(endpoint)
    endpoint.scripts[operation] = list(script)
    endpoint.refusals = [(operation, 500, "InternalFailure", "no")] * 2

    change(manager)

    tokens = [asked["ClientRequestToken"] for asked in endpoint.asked(operation)]
    assert len(tokens) == 3
    assert len(set(tokens)) == 1


def test_changes_that_are_made_anew_have_tokens_of_their_own(endpoint: Endpoint, manager: Managed) -> None:
    standing(endpoint)
    for memory in (512, 1024):
        endpoint.scripts["UpdateStack"] = list(scripts.UPDATED)
        manager.update_stack(changes={"lambda_memory": memory})

    assert len({asked["ClientRequestToken"] for asked in endpoint.asked("UpdateStack")}) == 2


def test_an_update_may_make_roles_with_names_and_leaves_tags_of_aws_alone(endpoint: Endpoint, manager: Managed) -> None:
    standing(endpoint, team="core", **{"aws:cloudformation:stack-name": "limits"})
    endpoint.scripts["UpdateStack"] = list(scripts.UPDATED)

    manager.update_stack(changes={"lambda_memory": 1024})

    (asked,) = endpoint.asked("UpdateStack")
    assert asked["Capabilities.member.1"] == "CAPABILITY_NAMED_IAM"
    assert tags_in(asked)["team"] == "core"
    assert [key for key in tags_in(asked) if key.startswith("aws:")] == []
