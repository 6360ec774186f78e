"""A CloudFormation of the tests' own: an HTTP endpoint that plays a script of states and events.

Each change has a script: the states that follow one another, one for each look at the stack, with the events that
came with each. Sources of the sequences stand with the scripts, as pages of the AWS CloudFormation User Guide:
"Understand stack creation events and states" (view-stack-events), "Stack status codes" (cfn-view-stack-data-resources),
"Determine the cause of a stack failure" (determine-root-cause-for-stack-failures),
"Continue rolling back an update" (using-cfn-updating-stacks-continueupdaterollback).
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from tests import http_server
from tests.http_server import Answer, Request

STACK_TYPE = "AWS::CloudFormation::Stack"
_UNCHANGEABLE = frozenset({"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED", "UPDATE_ROLLBACK_FAILED"})
"""States in which a stack takes no update ("Stack status codes")."""
Event = tuple[str, str, str, str]
"""Resource, its type, its new state, and the reason."""


@dataclass
class Phase:
    """The stack at one look: its state, why, and the events that have come since the look before."""

    status: str
    events: tuple[Event, ...] = ()
    reason: str = ""


@dataclass
class Stack:
    """A stack that the endpoint knows."""

    name: str
    status: str
    reason: str = ""
    parameters: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    events: list[tuple[int, Event]] = field(default_factory=list)
    ahead: list[Phase] = field(default_factory=list)

    @property
    def stack_id(self) -> str:
        return f"arn:aws:cloudformation:eu-central-1:123456789012:stack/{self.name}/1"


class Endpoint:
    """What is scripted, what was asked, and the stacks there are. `refusals` are answered before anything else."""

    def __init__(self) -> None:
        self.url = ""
        self.stacks: dict[str, Stack] = {}
        self.scripts: dict[str, list[Phase]] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.refusals: list[tuple[str, int, str, str]] = []
        self.page_size = 100
        self.looked: Callable[[], None] = lambda: None
        self._count = 0

    def asked(self, operation: str) -> list[dict[str, str]]:
        """The requests of one operation."""
        return [parameters for name, parameters in self.requests if name == operation]

    def answer(self, operation: str, asked: dict[str, str]) -> tuple[int, str]:
        """Status and body for one request."""
        self.requests.append((operation, asked))
        for refusal in self.refusals:
            if refusal[0] == operation:
                self.refusals.remove(refusal)
                return refusal[1], error(refusal[2], refusal[3])
        method = getattr(self, f"_{operation}")
        status, result = method(asked)
        return status, result

    def _find(self, name: str) -> Stack | None:
        for stack in self.stacks.values():
            if name == stack.stack_id or (name == stack.name and stack.status != "DELETE_COMPLETE"):
                return stack
        return None

    def _DescribeStacks(self, asked: dict[str, str]) -> tuple[int, str]:  # noqa: N802 - the operation's name
        self.looked()
        if "StackName" not in asked:
            return self._all_stacks(asked)
        stack = self._find(asked["StackName"])
        if stack is None:
            # The API has no code of its own for a stack that is not there.
            return 400, error("ValidationError", f"Stack with id {asked['StackName']} does not exist")
        if stack.ahead:
            phase = stack.ahead.pop(0)
            stack.status, stack.reason = phase.status, phase.reason
            for event in phase.events:
                self._happen(stack, event)
        return 200, result("DescribeStacks", f"<Stacks><member>{described(stack)}</member></Stacks>")

    def _all_stacks(self, asked: dict[str, str]) -> tuple[int, str]:
        """Without a name every stack is described, but for those that are deleted."""
        there = [stack for stack in self.stacks.values() if stack.status != "DELETE_COMPLETE"]
        start = int(asked.get("NextToken", "0"))
        page = there[start : start + self.page_size]
        more = start + self.page_size < len(there)
        token = f"<NextToken>{start + self.page_size}</NextToken>" if more else ""
        members = "".join(f"<member>{described(stack)}</member>" for stack in page)
        return 200, result("DescribeStacks", f"<Stacks>{members}</Stacks>{token}")

    def _DescribeStackEvents(self, asked: dict[str, str]) -> tuple[int, str]:  # noqa: N802
        stack = self._find(asked["StackName"])
        if stack is None:
            return 400, error("ValidationError", f"Stack [{asked['StackName']}] does not exist")
        newest_first = stack.events[::-1]
        start = int(asked.get("NextToken", "0"))
        page = newest_first[start : start + self.page_size]
        more = start + self.page_size < len(newest_first)
        token = f"<NextToken>{start + self.page_size}</NextToken>" if more else ""
        members = "".join(f"<member>{told(stack, number, event)}</member>" for number, event in page)
        return 200, result("DescribeStackEvents", f"<StackEvents>{members}</StackEvents>{token}")

    def _CreateStack(self, asked: dict[str, str]) -> tuple[int, str]:  # noqa: N802
        if self._find(asked["StackName"]) is not None:
            return 400, error("AlreadyExistsException", f"Stack [{asked['StackName']}] already exists")
        name, parameters = asked["StackName"], parameters_in(asked)
        stack = Stack(name, "CREATE_IN_PROGRESS", parameters=parameters, tags=tags_in(asked))
        if parameters.get("EnableAggregator") == "true":
            stack.outputs["AggregatorFunctionName"] = f"{name}-aggregator"
        self.stacks[stack.name] = stack
        return self._begin("CreateStack", stack)

    def _UpdateStack(self, asked: dict[str, str]) -> tuple[int, str]:  # noqa: N802
        stack = self._find(asked["StackName"])
        if stack is None:
            return 400, error("ValidationError", f"Stack [{asked['StackName']}] does not exist")
        if stack.status in _UNCHANGEABLE:
            reason = f"Stack:{stack.stack_id} is in {stack.status} state and can not be updated."
            return 400, error("ValidationError", reason)
        before = dict(stack.parameters), dict(stack.tags)
        kept = {name for name, value in previous_in(asked).items() if value}
        stack.parameters = {name: stack.parameters[name] for name in kept} | parameters_in(asked)
        stack.tags = tags_in(asked)
        if "UpdateStack" not in self.scripts and before == (stack.parameters, stack.tags):
            return 400, error("ValidationError", "No updates are to be performed.")
        return self._begin("UpdateStack", stack)

    def _DeleteStack(self, asked: dict[str, str]) -> tuple[int, str]:  # noqa: N802
        stack = self._find(asked["StackName"])
        if stack is not None:
            self._begin("DeleteStack", stack)
        return 200, result("DeleteStack", "")

    def _begin(self, operation: str, stack: Stack) -> tuple[int, str]:
        stack.ahead = list(self.scripts.pop(operation))
        return 200, result(operation, f"<StackId>{stack.stack_id}</StackId>")

    def _happen(self, stack: Stack, event: Event) -> None:
        self._count += 1
        stack.events.append((self._count, event))


def described(stack: Stack) -> str:
    parameters = "".join(
        f"<member><ParameterKey>{key}</ParameterKey><ParameterValue>{escape(value)}</ParameterValue></member>"
        for key, value in stack.parameters.items()
    )
    tags = "".join(
        f"<member><Key>{escape(key)}</Key><Value>{escape(value)}</Value></member>" for key, value in stack.tags.items()
    )
    outputs = "".join(
        f"<member><OutputKey>{key}</OutputKey><OutputValue>{escape(value)}</OutputValue></member>"
        for key, value in ({"TableName": stack.name} | stack.outputs).items()
    )
    reason = f"<StackStatusReason>{escape(stack.reason)}</StackStatusReason>" if stack.reason else ""
    return (
        f"<StackId>{stack.stack_id}</StackId><StackName>{stack.name}</StackName>"
        f"<CreationTime>2026-01-01T00:00:00Z</CreationTime><StackStatus>{stack.status}</StackStatus>{reason}"
        f"<Parameters>{parameters}</Parameters><Tags>{tags}</Tags>"
        f"<Outputs>{outputs}</Outputs>"
    )


def told(stack: Stack, number: int, event: Event) -> str:
    resource, kind, status, reason = event
    why = f"<ResourceStatusReason>{escape(reason)}</ResourceStatusReason>" if reason else ""
    return (
        f"<StackId>{stack.stack_id}</StackId><EventId>{number}</EventId><StackName>{stack.name}</StackName>"
        f"<LogicalResourceId>{resource}</LogicalResourceId><ResourceType>{kind}</ResourceType>"
        f"<Timestamp>2026-01-01T00:00:{number:02}Z</Timestamp><ResourceStatus>{status}</ResourceStatus>{why}"
    )


def result(operation: str, body: str) -> str:
    space = "http://cloudformation.amazonaws.com/doc/2010-05-15/"
    return (
        f'<{operation}Response xmlns="{space}"><{operation}Result>{body}</{operation}Result>'
        f"<ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></{operation}Response>"
    )


def error(code: str, message: str) -> str:
    return (
        f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
        "<RequestId>1</RequestId></ErrorResponse>"
    )


def members_in(asked: dict[str, str], name: str) -> Iterator[dict[str, str]]:
    for place in range(1, 200):
        prefix = f"{name}.member.{place}."
        found = {key.removeprefix(prefix): value for key, value in asked.items() if key.startswith(prefix)}
        if not found:
            return
        yield found


def parameters_in(asked: dict[str, str]) -> dict[str, str]:
    return {
        each["ParameterKey"]: each.get("ParameterValue", "")
        for each in members_in(asked, "Parameters")
        if "UsePreviousValue" not in each
    }


def previous_in(asked: dict[str, str]) -> dict[str, bool]:
    return {each["ParameterKey"]: "UsePreviousValue" in each for each in members_in(asked, "Parameters")}


def tags_in(asked: dict[str, str]) -> dict[str, str]:
    return {each["Key"]: each["Value"] for each in members_in(asked, "Tags")}


@contextlib.contextmanager
def served() -> Iterator[Endpoint]:
    """An endpoint on a port of its own."""
    endpoint = Endpoint()

    def answer(request: Request) -> Answer:
        asked = {key: values[0] for key, values in parse_qs(request.body.decode(), keep_blank_values=True).items()}
        status, text = endpoint.answer(asked["Action"], asked)
        return Answer(status, {"Content-Type": "text/xml"}, text.encode())

    with http_server.served(answer) as endpoint.url:
        yield endpoint
