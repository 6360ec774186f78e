"""StackManager: creates, changes and deletes the stack of a limiter, and brings its function's code up to date.

What is said to CloudFormation is `template.py`'s, what its answers mean `stacks.py`'s; waiting is `watching.py`'s.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self

from zae_limiter.aws import AsyncClient, BlockingClient, Connection
from zae_limiter.aws_errors import Rejected
from zae_limiter.exceptions import StackAlreadyExistsError, StackCreationError, ValidationError
from zae_limiter.infra.function_code import FunctionCode
from zae_limiter.infra.stacks import StackDescription, failure_of, last_change, protection_of
from zae_limiter.infra.tags import managed_tags, missing_tags, newer_reason, tag_list
from zae_limiter.infra.template import PARAMETERS, changed_parameters, parameters_of, sent_parameters, template_text
from zae_limiter.infra.watching import CALL_SECONDS, Told, Watch
from zae_limiter.models import StackOptions
from zae_limiter.naming import check_stack_name
from zae_limiter.ports import Clock, Runtime
from zae_limiter.runtimes import AsyncRuntime
from zae_limiter.system_clock import SystemClock

_KNOWN: Final = frozenset(PARAMETERS.values()) | {"SchemaVersion"}
_CAPABILITIES: Final = ["CAPABILITY_NAMED_IAM"]


class StackManager:
    """The stack of one limiter. Nothing is reached until the first call.

    `told` hears each event of a change that is waited for, as it comes; it is called in the thread that waits.
    `session` is one of the caller's, of aioboto3 here and of boto3 in the blocking twin. `timeout` is how long
    CloudFormation is asked again where it does not answer, in seconds.
    Raises `ValidationError` for a name that no stack can have.
    """

    def __init__(
        self,
        stack_name: str,
        region: str | None = None,
        endpoint_url: str | None = None,
        *,
        told: Told | None = None,
        session: Any = None,
        clock: Clock | None = None,
        runtime: Runtime | None = None,
        timeout: float = CALL_SECONDS,
    ) -> None:
        self.stack_name = check_stack_name(stack_name)
        self.table_name = stack_name
        clock, runtime = clock or SystemClock(), runtime or AsyncRuntime()
        kind = BlockingClient if runtime.is_blocking else AsyncClient
        at = Connection(region, endpoint_url, timeout=timeout, session=session)
        self._cloudformation = kind("cloudformation", stack_name, at, clock=clock, runtime=runtime)
        self._lambda = kind("lambda", f"{stack_name}-aggregator", at, clock=clock, runtime=runtime)
        self._watch = Watch(self._cloudformation, clock=clock, runtime=runtime, told=told, timeout=timeout)
        self._code = FunctionCode(self._lambda, stack_name, clock=clock, runtime=runtime)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close what was opened; a second call does nothing."""
        await self._cloudformation.close()
        await self._lambda.close()

    async def describe_stack(self, stack_name: str | None = None) -> StackDescription | None:
        """The stack as it stands: state, parameters, outputs, tags; None if there is none."""
        stack = await self._watch.describe(check_stack_name(stack_name or self.stack_name, "stack_name"))
        return None if stack is None or stack.status == "DELETE_COMPLETE" else stack

    async def stack_exists(self, stack_name: str) -> bool:
        """Whether there is such a stack, in whatever state."""
        return await self.describe_stack(stack_name) is not None

    async def get_stack_status(self, stack_name: str) -> str | None:
        """The state of a stack in CloudFormation's words; None if there is none."""
        stack = await self.describe_stack(stack_name)
        return None if stack is None else stack.status

    async def create_stack(self, stack_options: StackOptions | None = None, wait: bool = True) -> dict[str, Any]:
        """Create the stack; one that is there already is brought to the options, if any are given.

        Answers `stack_id`, `stack_name` and `status`. Without options a new stack has the defaults, and one that is
        there is left as it is (`already_exists_and_ready`). A stack of a newer version of the library is never
        changed by an older one. Raises `StackCreationError` with the events that explain it, and
        `StackAlreadyExistsError` when somebody else creates it at the same moment.
        """
        _check_options(stack_options)
        stack = await self._settled(await self.describe_stack())
        if stack is not None:
            if not stack.is_usable:
                raise await self._failure(stack)
            if stack_options is None or newer_reason(stack.tags) is not None:
                return _answer(stack, "already_exists_and_ready")
            return await self._change(stack, parameters_of(stack_options, self.stack_name), stack_options.tags, wait)
        options = stack_options or StackOptions()
        request = {
            "StackName": self.stack_name,
            "TemplateBody": template_text(),
            "Parameters": [
                {"ParameterKey": name, "ParameterValue": value}
                for name, value in parameters_of(options, self.stack_name).items()
            ],
            "Capabilities": _CAPABILITIES,
            "Tags": tag_list((options.tags or {}) | managed_tags(self.stack_name)),
            # A repeat under the same token is known to be one.
            "ClientRequestToken": str(uuid.uuid4()),
        }
        try:
            made = await self._watch.call("CreateStack", request)
        except Rejected as error:
            if error.code == "AlreadyExistsException":
                raise StackAlreadyExistsError(self.stack_name, "was created by somebody else meanwhile") from error
            raise StackCreationError(self.stack_name, f"cannot be created: {error.reason}") from error
        return await self._ended(made["StackId"], set(), "CREATE_IN_PROGRESS", wait)

    async def update_stack(
        self, stack_options: StackOptions | None = None, *, changes: Mapping[str, Any] | None = None, wait: bool = True
    ) -> dict[str, Any]:
        """Bring the stack to this version's template, with all options or with some.

        `changes` names options of `StackOptions` with their new values; every parameter that is not named keeps the
        value that the stack has. Without either, the template alone is brought up to date. The answer's `status` is
        `unchanged` when there was nothing to do. Raises `StackCreationError`, for a stack of a newer version of the
        library, too, and `ValidationError` for an option.
        """
        _check_options(stack_options)
        if stack_options is not None and changes is not None:
            raise ValidationError("changes", repr(changes), "give all options or some changes, not both")
        stack = await self._settled(await self.describe_stack())
        if stack is None:
            raise StackCreationError(self.stack_name, "does not exist; create it with create_stack()")
        if not stack.is_usable:
            raise await self._failure(stack)
        reason = newer_reason(stack.tags)
        if reason is not None:
            raise StackCreationError(self.stack_name, reason)
        if stack_options is not None:
            return await self._change(stack, parameters_of(stack_options, self.stack_name), stack_options.tags, wait)
        named = changed_parameters(changes or {}, self.stack_name, stack.parameters)
        return await self._change(stack, named, (changes or {}).get("tags"), wait)

    async def delete_stack(self, stack_name: str, wait: bool = True) -> None:
        """Delete a stack with its table and all that is in it; the archive of audit events stays.

        A stack that is not there is none to delete, and one that is protected is left whole. Raises
        `StackCreationError` for that, and when something of it cannot be deleted.
        """
        stack = await self.describe_stack(stack_name)
        if stack is None:
            return
        protected = protection_of(stack)
        if protected is not None:
            raise StackCreationError(stack_name, protected)
        seen = await self._watch.seen(stack.stack_id) if wait else set()
        request = {"StackName": stack.stack_id, "ClientRequestToken": str(uuid.uuid4())}
        try:
            await self._watch.call("DeleteStack", request)
        except Rejected as error:
            raise StackCreationError(stack_name, f"cannot be deleted: {error.reason}") from error
        if wait:
            # By its id: under its name a deleted stack is not found any more.
            await self._ended(stack.stack_id, seen, "DELETE_IN_PROGRESS", wait)

    async def ensure_tags(self, user_tags: dict[str, str] | None = None) -> bool:
        """Give a stack the tags by which it is found, if it lacks some; nothing else of it changes.

        Whether an update was sent: False if all tags are there, or if there is no stack that can be changed.
        """
        stack = await self.describe_stack()
        if stack is None or not stack.is_usable:
            return False
        own = managed_tags(self.stack_name)
        missing = missing_tags(stack.tags, (user_tags or {}) | own)
        if not missing:
            return False
        # The template stays, so what the tags tell of its version stays true.
        kept = {key: value if key in missing else stack.tags[key] for key, value in own.items()}
        request = {
            "UsePreviousTemplate": True,
            # A parameter that is left out would fall back to the template's default.
            "Parameters": [{"ParameterKey": name, "UsePreviousValue": True} for name in stack.parameters],
        }
        answer = await self._update(stack, request, (user_tags or {}) | kept, wait=True)
        return bool(answer["status"] != "unchanged")

    async def deploy_lambda_code(self, function_name: str | None = None, wait: bool = True) -> dict[str, Any]:
        """Build the aggregator's package and give it to the function; then wait until the function reads the stream.

        Answers `function_arn`, `code_sha256`, `status`, `size_bytes`, `version`, and `esm_ready` if it waited.
        Raises `StackCreationError`.
        """
        return await self._code.deploy(function_name, wait=wait)

    async def wait_for_esm_ready(
        self, function_name: str, max_seconds: int = 120, min_stabilization: float = 45.0
    ) -> bool:
        """Whether the function reads the stream, and has for `min_stabilization` seconds; False after `max_seconds`."""
        return await self._code.wait_for_mapping(function_name, max_seconds, min_stabilization)

    async def _change(
        self, stack: StackDescription, named: Mapping[str, str], tags: Mapping[str, str] | None, wait: bool
    ) -> dict[str, Any]:
        request = {
            "TemplateBody": template_text(),
            "Parameters": sent_parameters(named, stack.parameters, _KNOWN),
        }
        return await self._update(stack, request, dict(tags or {}) | managed_tags(self.stack_name), wait=wait)

    async def _update(
        self, stack: StackDescription, request: Mapping[str, Any], tags: Mapping[str, str], *, wait: bool
    ) -> dict[str, Any]:
        seen = await self._watch.seen(stack.stack_id) if wait else set()
        # What is left out would be taken off the stack.
        kept = {key: value for key, value in stack.tags.items() if not key.startswith("aws:")}
        told = {
            "StackName": stack.stack_name,
            "Capabilities": _CAPABILITIES,
            "Tags": tag_list(kept | dict(tags)),
            "ClientRequestToken": str(uuid.uuid4()),
            **request,
        }
        try:
            await self._watch.call("UpdateStack", told)
        except Rejected as error:
            if error.code == "ValidationError" and "No updates are to be performed" in error.reason:
                return _answer(stack, "unchanged")
            raise StackCreationError(self.stack_name, f"cannot be changed: {error.reason}") from error
        return await self._ended(stack.stack_id, seen, "UPDATE_IN_PROGRESS", wait)

    async def _ended(self, stack_id: str, seen: set[str], begun: str, wait: bool) -> dict[str, Any]:
        if not wait:
            return {"stack_id": stack_id, "stack_name": self.stack_name, "status": begun}
        wanted = begun.replace("IN_PROGRESS", "COMPLETE")
        stack, events = await self._watch.until_ended(stack_id, self.stack_name, seen)
        if stack is not None and stack.status != wanted:
            raise StackCreationError(stack.stack_name, *failure_of(stack, events))
        if stack is None and wanted != "DELETE_COMPLETE":
            raise StackCreationError(self.stack_name, "was deleted by somebody else meanwhile")
        return {"stack_id": stack_id, "stack_name": self.stack_name, "status": wanted}

    async def _settled(self, stack: StackDescription | None) -> StackDescription | None:
        """The stack once a change that somebody else began has ended."""
        if stack is None or not stack.is_in_progress or stack.status == "REVIEW_IN_PROGRESS":
            return stack
        found, _ = await self._watch.until_ended(
            stack.stack_id, stack.stack_name, await self._watch.seen(stack.stack_id)
        )
        return None if found is None or found.status == "DELETE_COMPLETE" else found

    async def _failure(self, stack: StackDescription) -> StackCreationError:
        events = last_change(await self._watch.history(stack.stack_id))
        return StackCreationError(stack.stack_name, *failure_of(stack, events))


def _answer(stack: StackDescription, status: str) -> dict[str, Any]:
    return {"stack_id": stack.stack_id, "stack_name": stack.stack_name, "status": status}


def _check_options(options: object) -> None:
    if options is not None and not isinstance(options, StackOptions):
        raise ValidationError("stack_options", repr(options), "must be StackOptions")
