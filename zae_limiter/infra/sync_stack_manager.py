"""The blocking twin of `StackManager`, one line a method."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from zae_limiter.blocking import blocking
from zae_limiter.infra.stack_manager import StackManager
from zae_limiter.infra.watching import CALL_SECONDS, Told
from zae_limiter.ports import Clock, Runtime
from zae_limiter.runtimes import BlockingRuntime


class SyncStackManager:
    """The blocking twin of `StackManager`."""

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
        self._core = StackManager(
            stack_name,
            region,
            endpoint_url,
            told=told,
            session=session,
            clock=clock,
            runtime=runtime or BlockingRuntime(),
            timeout=timeout,
        )
        self.stack_name = self._core.stack_name
        self.table_name = self._core.table_name

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    close = blocking(StackManager.close)
    describe_stack = blocking(StackManager.describe_stack)
    stack_exists = blocking(StackManager.stack_exists)
    get_stack_status = blocking(StackManager.get_stack_status)
    create_stack = blocking(StackManager.create_stack)
    update_stack = blocking(StackManager.update_stack)
    delete_stack = blocking(StackManager.delete_stack)
    ensure_tags = blocking(StackManager.ensure_tags)
    deploy_lambda_code = blocking(StackManager.deploy_lambda_code)
    wait_for_esm_ready = blocking(StackManager.wait_for_esm_ready)
