"""Finds the limiters that are deployed in a region, by the tags of their stacks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from zae_limiter.aws import AsyncClient, BlockingClient, Connection
from zae_limiter.infra.stacks import StackDescription, description_of
from zae_limiter.infra.tags import LAMBDA, MANAGED_BY, NAME, OURS, SCHEMA, TYPE, VERSION
from zae_limiter.infra.watching import CALL_SECONDS, NS
from zae_limiter.models import LimiterInfo
from zae_limiter.ports import Clock, Runtime
from zae_limiter.runtimes import AsyncRuntime
from zae_limiter.system_clock import SystemClock

_LIMITER: Final = "limiter"


class InfrastructureDiscovery:
    """Asks CloudFormation for stacks of the library. Nothing is reached until the first call.

    `timeout` is how long it is asked again where it does not answer, in seconds.
    """

    def __init__(
        self,
        region: str | None = None,
        endpoint_url: str | None = None,
        *,
        session: Any = None,
        clock: Clock | None = None,
        runtime: Runtime | None = None,
        timeout: float = CALL_SECONDS,
    ) -> None:
        clock, runtime = clock or SystemClock(), runtime or AsyncRuntime()
        kind = BlockingClient if runtime.is_blocking else AsyncClient
        at = Connection(region, endpoint_url, timeout=timeout, session=session)
        self._clock = clock
        self._timeout = timeout
        self._cloudformation = kind("cloudformation", "CloudFormation", at, clock=clock, runtime=runtime)

    async def list_limiters(self, stack_type: str | None = None) -> list[LimiterInfo]:
        """Every stack of the library by its name, or those of one type; deleted ones are left out.

        A failure of CloudFormation is raised, never taken for "none".
        """
        deadline_ns = self._clock.monotonic_ns() + int(self._timeout * NS)
        found: list[LimiterInfo] = []
        page: Mapping[str, Any] = {}
        while True:
            answer = await self._cloudformation.call("DescribeStacks", page, deadline_ns=deadline_ns)
            for told in answer["Stacks"]:
                info = _info(description_of(told))
                if info is not None and stack_type in (None, info.stack_type):
                    found.append(info)
            if not answer.get("NextToken"):
                return sorted(found, key=lambda info: info.user_name)
            page = {"NextToken": answer["NextToken"]}

    async def close(self) -> None:
        """Close what was opened; a second call does nothing."""
        await self._cloudformation.close()


def _info(stack: StackDescription) -> LimiterInfo | None:
    tags = stack.tags
    if tags.get(MANAGED_BY) != OURS or stack.status == "DELETE_COMPLETE":
        return None
    # An identifier of a stack is arn:partition:cloudformation:region:account:stack/name/id.
    region = (stack.stack_id.split(":") + [""] * 4)[3]
    return LimiterInfo(
        stack.stack_name,
        tags.get(NAME, stack.stack_name),
        region,
        stack.status,
        stack.created_at,
        stack.updated_at,
        tags.get(VERSION),
        tags.get(LAMBDA),
        tags.get(SCHEMA),
        tags.get(TYPE, _LIMITER),
    )
