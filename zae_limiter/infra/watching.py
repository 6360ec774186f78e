"""Watches a stack until a change has ended, and tells its events as they come."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from zae_limiter.aws_errors import NotWritten, Rejected, UnknownOutcome
from zae_limiter.exceptions import StackCreationError
from zae_limiter.infra.stacks import StackDescription, StackEvent, description_of, event_of
from zae_limiter.ports import Client, Clock, Runtime

Told = Callable[[StackEvent], None]

NS: Final = 1_000_000_000
CALL_SECONDS: Final = 60
_POLL_SECONDS: Final = 5.0
_LONGEST_CHANGE_SECONDS: Final = 3 * 3_600


class Watch:
    """Asks CloudFormation how a stack stands, again and again. `told` hears each event once, the oldest first."""

    def __init__(
        self, cloudformation: Client, *, clock: Clock, runtime: Runtime, told: Told | None, timeout: float
    ) -> None:
        self._cloudformation = cloudformation
        self._clock = clock
        self._runtime = runtime
        self._told = told
        self._timeout = timeout

    async def call(self, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """One request to CloudFormation, which may be repeated."""
        deadline_ns = self._clock.monotonic_ns() + int(self._timeout * NS)
        return await self._cloudformation.call(operation, parameters, deadline_ns=deadline_ns)

    async def describe(self, stack: str) -> StackDescription | None:
        """A stack by its name or id; None if there is none."""
        try:
            answer = await self.call("DescribeStacks", {"StackName": stack})
        except Rejected as error:
            if is_missing(error):
                return None
            raise
        return description_of(answer["Stacks"][0])

    async def seen(self, stack_id: str) -> set[str]:
        """The events that there are already, which a change that begins now has not caused."""
        return {told["EventId"] for told in await self._events(stack_id, set())}

    async def history(self, stack_id: str) -> list[StackEvent]:
        """All events that a stack has seen, the oldest first."""
        return [event_of(told) for told in reversed(await self._events(stack_id, set()))]

    async def until_ended(
        self, stack_id: str, stack_name: str, seen: set[str]
    ) -> tuple[StackDescription | None, list[StackEvent]]:
        """The stack once nothing is in progress, and the events on the way; None if it is gone.

        A failed look is no end: the next one follows. Raises `StackCreationError` after three hours.
        """
        until_ns = self._clock.monotonic_ns() + _LONGEST_CHANGE_SECONDS * NS
        events: list[StackEvent] = []
        while True:
            try:
                # The stack first: events that come between both looks belong to it too.
                stack = await self.describe(stack_id)
                fresh = await self._events(stack_id, seen)
            except (NotWritten, UnknownOutcome):
                stack, fresh = None, []
                ended = False
            else:
                ended = stack is None or not stack.is_in_progress
            for told in reversed(fresh):
                seen.add(told["EventId"])
                events.append(event_of(told))
                if self._told is not None:
                    self._told(events[-1])
            if ended:
                return stack, events
            if self._clock.monotonic_ns() > until_ns:
                reason = f"is still changing after {_LONGEST_CHANGE_SECONDS // 3_600} hours; look at its events"
                raise StackCreationError(stack_name, reason, [event.as_dict() for event in events if event.is_failure])
            await self._runtime.sleep(_POLL_SECONDS)

    async def _events(self, stack_id: str, seen: set[str]) -> list[Mapping[str, Any]]:
        """The events that were not seen yet, the newest first."""
        fresh: list[Mapping[str, Any]] = []
        after: dict[str, str] = {}
        while True:
            try:
                answer = await self.call("DescribeStackEvents", {"StackName": stack_id, **after})
            except Rejected as error:
                if is_missing(error):
                    return fresh
                raise
            for told in answer["StackEvents"]:
                if told["EventId"] in seen:
                    return fresh
                fresh.append(told)
            following = answer.get("NextToken")
            if following is None:
                return fresh
            after = {"NextToken": following}


def is_missing(error: Rejected) -> bool:
    """Whether CloudFormation says that there is no such stack; it has no code of its own for it."""
    return error.code == "ValidationError" and "does not exist" in error.reason
