"""The function gets its code, and is waited for until it runs and reads the stream; on both faces."""

from collections.abc import Iterator

import pytest

from tests.infra.conftest import Managed
from tests.infra.functions import Functions
from zae_limiter import __version__
from zae_limiter.exceptions import InfrastructureAccessError, StackCreationError
from zae_limiter.infra.lambda_builder import build_lambda_package
from zae_limiter.testing import TurnableClock

NAME = "limits-aggregator"
IN_PROGRESS = {"State": "Active", "LastUpdateStatus": "InProgress"}
DONE = {"State": "Active", "LastUpdateStatus": "Successful"}


@pytest.fixture(params=["async", "sync"])
def manager(request: pytest.FixtureRequest, functions: Functions, clock: TurnableClock) -> Iterator[Managed]:
    made = Managed(request.param == "sync", functions.url, clock)
    yield made
    made.end()


def test_the_code_is_uploaded_and_waited_for_until_it_reads_the_stream(functions: Functions, manager: Managed) -> None:
    """Weak point N4: the function of a stack is no placeholder once the stack is deployed."""
    functions.states = [{"State": "Pending"}, DONE, IN_PROGRESS, IN_PROGRESS, DONE]
    functions.mappings = ["Creating", "Enabling", "Enabled"]

    answer = manager.deploy_lambda_code()

    assert functions.code == build_lambda_package()
    assert functions.tags == {"zae-limiter:lambda-version": __version__}
    assert answer == {
        "function_arn": functions.arn,
        "code_sha256": "abc",
        "status": "deployed",
        "size_bytes": len(functions.code),
        "version": __version__,
        "esm_ready": True,
    }
    assert functions.states == [DONE]
    assert functions.mappings == ["Enabled"]


def test_the_code_of_another_function_can_be_uploaded_and_left_alone(functions: Functions, manager: Managed) -> None:
    functions.name = "another"

    answer = manager.deploy_lambda_code("another", wait=False)

    assert answer["status"] == "deployed"
    assert "esm_ready" not in answer
    assert functions.asked == ["GetFunctionConfiguration", "UpdateFunctionCode", "TagResource"]


def test_a_stack_without_a_function_says_why(functions: Functions, manager: Managed) -> None:
    functions.name = "another"

    with pytest.raises(StackCreationError, match=r"has no function 'limits-aggregator'; .*enable_aggregator=False"):
        manager.deploy_lambda_code()


def test_what_lambda_will_not_take_is_told_in_its_words(functions: Functions, manager: Managed) -> None:
    functions.refusals = [("UpdateFunctionCode", 400, "CodeStorageExceededException", "Code storage limit exceeded")]

    with pytest.raises(StackCreationError, match="cannot take new code for 'limits-aggregator': Code storage limit"):
        manager.deploy_lambda_code()


def test_denied_access_names_the_action_to_allow(functions: Functions, manager: Managed) -> None:
    functions.refusals = [("UpdateFunctionCode", 403, "AccessDeniedException", "User is not authorized")]

    with pytest.raises(InfrastructureAccessError, match="allow the role lambda:UpdateFunctionCode"):
        manager.deploy_lambda_code()


@pytest.mark.parametrize(
    "state",
    [
        {"LastUpdateStatus": "Failed", "LastUpdateStatusReason": "the role cannot be assumed"},
        {"State": "Failed", "StateReason": "the role cannot be assumed"},
    ],
)
def test_a_function_that_could_not_be_updated_says_why(
    functions: Functions, manager: Managed, state: dict[str, str]
) -> None:
    functions.states = [DONE, IN_PROGRESS, state]

    with pytest.raises(StackCreationError, match="could not be updated: the role cannot be assumed"):
        manager.deploy_lambda_code()


def test_an_update_without_an_end_is_given_up(functions: Functions, manager: Managed, clock: TurnableClock) -> None:
    functions.states = [IN_PROGRESS]
    began_ns = clock.monotonic_ns()

    with pytest.raises(StackCreationError, match="still being updated after 300 s; try again"):
        manager.deploy_lambda_code()
    assert 300 <= (clock.monotonic_ns() - began_ns) / 1e9 < 310


def test_a_mapping_is_ready_once_it_has_been_so_for_a_while(
    functions: Functions, manager: Managed, clock: TurnableClock
) -> None:
    functions.mappings = ["Creating", "Enabled", "Updating", "Enabled"]
    began_ns = clock.monotonic_ns()

    assert manager.wait_for_esm_ready(NAME, min_stabilization=45.0)
    # It was looked at every five seconds; what had been enabled before the update counts for nothing.
    assert (clock.monotonic_ns() - began_ns) / 1e9 == 60


@pytest.mark.parametrize("state", ["Disabled", "Disabling", "Deleting", ""])
def test_a_mapping_that_reads_nothing_is_not_waited_for(
    functions: Functions, manager: Managed, clock: TurnableClock, state: str
) -> None:
    functions.mappings = [state]
    began_ns = clock.monotonic_ns()

    assert not manager.wait_for_esm_ready(NAME)
    assert clock.monotonic_ns() == began_ns


def test_a_mapping_that_never_comes_is_given_up(functions: Functions, manager: Managed, clock: TurnableClock) -> None:
    functions.mappings = ["Creating"]
    began_ns = clock.monotonic_ns()

    assert not manager.wait_for_esm_ready(NAME, max_seconds=20)
    assert 20 <= (clock.monotonic_ns() - began_ns) / 1e9 <= 25
