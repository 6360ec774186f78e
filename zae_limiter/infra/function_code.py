"""Gives the aggregator's function its code, and waits until it runs and reads the stream."""

from collections.abc import Mapping
from typing import Any, Final

from zae_limiter import __version__
from zae_limiter.aws_errors import Rejected
from zae_limiter.exceptions import InfrastructureNotFoundError, StackCreationError
from zae_limiter.infra.lambda_builder import build_lambda_package
from zae_limiter.infra.tags import LAMBDA
from zae_limiter.infra.watching import CALL_SECONDS, NS
from zae_limiter.ports import Client, Clock, Runtime

_POLL_SECONDS: Final = 2.0
_MAPPING_POLL_SECONDS: Final = 5.0
_LONGEST_UPDATE_SECONDS: Final = 300


class FunctionCode:
    """The code of the function of one stack."""

    def __init__(self, functions: Client, stack_name: str, *, clock: Clock, runtime: Runtime) -> None:
        self._functions = functions
        self._stack_name = stack_name
        self._clock = clock
        self._runtime = runtime

    async def deploy(self, function_name: str | None, *, wait: bool) -> dict[str, Any]:
        """Build the package and give it to the function; see `StackManager.deploy_lambda_code`."""
        name = function_name or f"{self._stack_name}-aggregator"
        package = build_lambda_package()
        try:
            await self._until_updated(name)
            updated = await self._call("UpdateFunctionCode", {"FunctionName": name, "ZipFile": package})
            answer = {
                "function_arn": updated["FunctionArn"],
                "code_sha256": updated["CodeSha256"],
                "status": "deployed",
                "size_bytes": len(package),
                "version": __version__,
            }
            if wait:
                await self._until_updated(name)
            await self._call("TagResource", {"Resource": updated["FunctionArn"], "Tags": {LAMBDA: __version__}})
        except InfrastructureNotFoundError as error:
            reason = f"has no function {name!r}; was it made with enable_aggregator=False?"
            raise StackCreationError(self._stack_name, reason) from error
        except Rejected as error:
            raise StackCreationError(self._stack_name, f"cannot take new code for {name!r}: {error.reason}") from error
        if wait:
            # The mapping begins with the oldest record: nothing is lost however late it is ready.
            answer["esm_ready"] = await self.wait_for_mapping(name, 120, 0.0)
        return answer

    async def wait_for_mapping(self, function_name: str, max_seconds: float, min_stabilization: float) -> bool:
        """Whether the function's mapping is enabled and stays so; see `StackManager.wait_for_esm_ready`."""
        until_ns = self._clock.monotonic_ns() + int(max_seconds * NS)
        enabled_ns: int | None = None
        while True:
            states = await self._mapping_states(function_name)
            now_ns = self._clock.monotonic_ns()
            if not states or any(state in ("Disabled", "Disabling", "Deleting") for state in states):
                return False
            if all(state == "Enabled" for state in states):
                enabled_ns = now_ns if enabled_ns is None else enabled_ns
                if now_ns - enabled_ns >= int(min_stabilization * NS):
                    return True
            else:
                enabled_ns = None
            if now_ns >= until_ns:
                return False
            await self._runtime.sleep(_MAPPING_POLL_SECONDS)

    async def _mapping_states(self, function_name: str) -> list[str]:
        answer = await self._call("ListEventSourceMappings", {"FunctionName": function_name})
        return [mapping.get("State", "") for mapping in answer.get("EventSourceMappings", ())]

    async def _until_updated(self, name: str) -> None:
        until_ns = self._clock.monotonic_ns() + _LONGEST_UPDATE_SECONDS * NS
        while True:
            function = await self._call("GetFunctionConfiguration", {"FunctionName": name})
            status = function.get("LastUpdateStatus", "Successful")
            if status == "Failed" or function.get("State") == "Failed":
                why = function.get("LastUpdateStatusReason") or function.get("StateReason") or "no reason given"
                raise StackCreationError(self._stack_name, f"has a function that could not be updated: {why}")
            if status == "Successful" and function.get("State", "Active") in ("Active", "Inactive"):
                return
            if self._clock.monotonic_ns() >= until_ns:
                reason = f"has a function that is still being updated after {_LONGEST_UPDATE_SECONDS} s; try again"
                raise StackCreationError(self._stack_name, reason)
            await self._runtime.sleep(_POLL_SECONDS)

    async def _call(self, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        deadline_ns = self._clock.monotonic_ns() + CALL_SECONDS * NS
        return await self._functions.call(operation, parameters, deadline_ns=deadline_ns)
