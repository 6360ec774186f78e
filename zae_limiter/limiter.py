"""RateLimiter: charges entities for resources, tells what is available, and passes configuration on.

How a charge is granted is in `acquisition.py`; what is stored is the repository's.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from zae_limiter import decision
from zae_limiter.acquisition import Acquirer, Acquisition, OnException, nanoseconds, options
from zae_limiter.blocking import in_threads
from zae_limiter.bucket import retry_after_seconds
from zae_limiter.capacity import capacity_of
from zae_limiter.debits import as_limits, check_consume, no_limits
from zae_limiter.exceptions import ValidationError
from zae_limiter.limited import F, limited
from zae_limiter.models import Amounts, Charge, Debit, Limits, OnUnavailable
from zae_limiter.naming import DEFAULT_RESOURCE, check_identifier, check_limit_name, check_resource
from zae_limiter.observers import Counters, LimiterStats, Observer
from zae_limiter.runtimes import AsyncRuntime
from zae_limiter.store_calls import STORE_FAILURES, StoreCalls
from zae_limiter.system_clock import SystemClock

if TYPE_CHECKING:
    from zae_limiter.models import (
        AuditEvent,
        Entity,
        Limit,
        LimitStatus,
        OnUnavailableAction,
        ResourceCapacity,
        UsageSnapshot,
        UsageSummary,
    )
    from zae_limiter.ports import Clock, Runtime
    from zae_limiter.repository_protocol import RepositoryProtocol
    from zae_limiter.sync_repository_protocol import SyncRepositoryProtocol


class RateLimiter:
    """Grants or refuses charges.

    `timeout` is the deadline of a charge in seconds, all its tries together. As a context manager the
    limiter opens a repository that is not open yet, and closes what it opened. A repository that is written as
    blocking code is called in threads.
    """

    def __init__(
        self,
        repository: RepositoryProtocol | SyncRepositoryProtocol,
        *,
        clock: Clock | None = None,
        runtime: Runtime | None = None,
        timeout: float = 1.0,
        observers: Sequence[Observer] = (),
    ) -> None:
        nanoseconds("timeout", timeout)
        self.clock = clock or SystemClock()
        self._timeout = timeout
        self._runtime = runtime or AsyncRuntime()
        self.repository = in_threads(repository, self._runtime)
        self._observers = tuple(observers)
        self._usual = options(None, None, 0, "roll_back", timeout)
        self._counters = Counters()
        self._calls = StoreCalls(
            self.repository,
            clock=self.clock,
            runtime=self._runtime,
            observers=(self._counters, *observers),
        )
        self._acquirer = Acquirer(self._calls)
        self._opened = False
        # A list, not a number: a block may end in a finalizer, in the middle of the beginning of another.
        self._blocks: list[None] = []

    async def __aenter__(self) -> Self:
        self._blocks.append(None)
        try:
            if not self.repository.is_open:
                await self.repository.open()
                self._opened = True
        except BaseException:
            self._blocks.pop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        del self._blocks[-1:]
        if self._opened and not self._blocks:
            self._opened = False
            await self.repository.close()

    async def close(self) -> None:
        """Close the repository."""
        await self.repository.close()

    async def namespace(self, name: str) -> Self:
        """This limiter for another namespace, over the same connection; closing it leaves that open.

        Raises `NamespaceNotFoundError`. Its figures are its own.
        """
        repository = await self.repository.namespace(name)
        return type(self)(
            repository, clock=self.clock, runtime=self._runtime, timeout=self._timeout, observers=self._observers
        )

    async def is_available(self, timeout: float = 1.0) -> bool:
        """Whether the store answers within so many seconds; never raises for a store."""
        nanoseconds("timeout", timeout)
        try:
            return await self._calls.runtime.within(timeout, self.repository.ping(seconds=timeout))
        except STORE_FAILURES:
            return False

    def stats(self) -> LimiterStats:
        """How often charges were granted, refused, let pass without a store, and so on."""
        return self._counters.stats()

    def acquire(
        self,
        entity_id: str,
        resource: str,
        consume: int | Amounts,
        limits: Limits | None = None,
        *,
        on_unavailable: OnUnavailable | OnUnavailableAction | None = None,
        timeout: float | None = None,
        max_wait: float = 0,
        on_exception: OnException = "roll_back",
    ) -> Acquisition:
        """Charge an entity for a resource, all limits or none; use it as `async with ... as lease`.

        `consume` is tokens by limit, or an int: so many of each limit that counts requests. `limits` go before
        the stored ones, for this entity only; an empty list limits nothing. `max_wait` is how many seconds to
        wait for room instead of raising. An exception in the block gives the charge back unless `on_exception`
        is "keep".

        Entering raises `RateLimitExceeded`, `RateLimiterUnavailable` or `ValidationError`.
        """
        made = self._usual
        if on_unavailable is not None or timeout is not None or max_wait or on_exception != "roll_back":
            made = options(on_unavailable, timeout, max_wait, on_exception, self._timeout)
        return Acquisition(self._acquirer, (Charge(entity_id, resource, consume, limits),), made)

    def acquire_all(
        self,
        charges: Sequence[Charge],
        *,
        on_unavailable: OnUnavailable | OnUnavailableAction | None = None,
        timeout: float | None = None,
        max_wait: float = 0,
        on_exception: OnException = "roll_back",
    ) -> Acquisition:
        """Several charges, all or none, under one lease; otherwise as `acquire`."""
        if not isinstance(charges, Iterable):
            raise ValidationError("charges", repr(charges), "must hold Charges, such as [Charge('user-1', 'api', 1)]")
        # Once: an iterator would be through after the first look, and charge nothing.
        given = tuple(charges)
        for charge in given:
            if not isinstance(charge, Charge):
                raise ValidationError("charges", repr(charge), f"must hold Charges, got {type(charge).__name__}")
        made = options(on_unavailable, timeout, max_wait, on_exception, self._timeout)
        return Acquisition(self._acquirer, given, made)

    def limited(
        self,
        *,
        entity_id: str | Callable[..., str],
        resource: str | Callable[..., str],
        consume: int | Amounts | Callable[..., int | Amounts] = 1,
        limits: Limits | None = None,
        max_wait: float = 0,
        on_unavailable: OnUnavailable | OnUnavailableAction | None = None,
    ) -> Callable[[F], F]:
        """A decorator: each call of a coroutine function is charged. What is callable gets the call's arguments."""
        begin = functools.partial(self.acquire, limits=limits, max_wait=max_wait, on_unavailable=on_unavailable)
        return limited(begin, entity_id=entity_id, resource=resource, consume=consume, waits=True)

    async def available(self, entity_id: str, resource: str, limits: Limits | None = None) -> dict[str, int]:
        """Tokens of each limit that could be taken now, the least over the entity and its parents; negative in debt."""
        found: dict[str, int] = {}
        for status in await self._statuses(entity_id, resource, {}, limits):
            found[status.limit_name] = min(status.available, found.get(status.limit_name, status.available))
        return found

    async def time_until_available(
        self, entity_id: str, resource: str, needed: Mapping[str, int], limits: Limits | None = None
    ) -> float:
        """Seconds until so many tokens could be taken; 0.0 for now, `math.inf` for more than a burst."""
        if not isinstance(needed, Mapping):
            raise ValidationError("needed", repr(needed), "must name limits, as in {'rpm': 5}")
        check_consume(needed)
        statuses = await self._statuses(entity_id, resource, needed, limits)
        known = {status.limit_name for status in statuses}
        for name in needed:
            if name not in known:
                raise ValidationError("needed", name, f"no such limit here; in force are {', '.join(sorted(known))}")
        if any(status.exceeded and not status.retryable for status in statuses):
            return float("inf")
        return retry_after_seconds(max((status.wait_ns for status in statuses), default=0))

    async def _statuses(
        self, entity_id: str, resource: str, needed: Amounts, limits: Limits | None
    ) -> list[LimitStatus]:
        check_identifier(entity_id)
        check_resource(resource)
        while True:
            remembered = self.repository.remembered(entity_id, resource)
            chain = (remembered or await self.repository.resolve(entity_id, resource)).chain
            images = await self.repository.read([(each.entity_id, resource) for each in chain])
            # Reading may show that the configuration is another than the one that is remembered.
            if remembered is None or self.repository.remembered(entity_id, resource) is remembered:
                break
        if limits is not None:
            chain = (chain[0]._replace(limits=as_limits(limits)), *chain[1:])
        elif not chain[0].limits:
            raise no_limits(entity_id, resource)
        asked = {name: amount for name, amount in needed.items() if amount}
        debits = [Debit(each.entity_id, resource, each.limits, asked) for each in chain]
        return decision.statuses(debits, images, self.clock.now_ns())

    async def reset(self, entity_id: str, resource: str | None = None, principal: str | None = None) -> int:
        """Make the buckets of an entity full again, of one resource or of all; returns how many there were."""
        return await self.repository.reset_buckets(entity_id, resource, principal)

    async def get_resource_capacity(
        self, resource: str, limit_name: str, parents_only: bool = False
    ) -> ResourceCapacity:
        """How much of one limit is left over all entities; `parents_only`: over stored entities without a parent."""
        check_limit_name(limit_name)
        states = await self.repository.get_resource_buckets(resource, limit_name)
        if parents_only:
            entities = [await self.repository.get_entity(state.entity_id) for state in states]
            states = [state for state, entity in zip(states, entities, strict=True) if entity and entity.is_parent]
        return capacity_of(resource, limit_name, states)

    async def create_entity(
        self,
        entity_id: str,
        name: str | None = None,
        parent_id: str | None = None,
        cascade: bool = False,
        metadata: dict[str, str] | None = None,
        principal: str | None = None,
    ) -> Entity:
        """Store an entity; with `cascade` its charges count at its parent too.

        Raises `EntityExistsError`; `ValidationError` for a cycle or more than eight levels.
        """
        return await self.repository.create_entity(entity_id, name, parent_id, cascade, metadata, principal)

    async def update_entity(
        self,
        entity_id: str,
        *,
        name: str | None = None,
        parent_id: str | None = None,
        cascade: bool | None = None,
        metadata: dict[str, str] | None = None,
        principal: str | None = None,
    ) -> Entity:
        """Change what is given; an empty `parent_id` removes the parent. Raises `EntityNotFoundError`."""
        return await self.repository.update_entity(
            entity_id, name=name, parent_id=parent_id, cascade=cascade, metadata=metadata, principal=principal
        )

    async def get_entity(self, entity_id: str) -> Entity | None:
        """The entity, or None."""
        return await self.repository.get_entity(entity_id)

    async def delete_entity(self, entity_id: str, principal: str | None = None) -> None:
        """Remove an entity with its limits, buckets and usage; audit events stay."""
        await self.repository.delete_entity(entity_id, principal)

    async def get_children(self, parent_id: str) -> list[Entity]:
        """Every entity directly below this one."""
        return await self.repository.get_children(parent_id)

    async def get_audit_events(
        self, entity_id: str, limit: int = 100, start_event_id: str | None = None
    ) -> list[AuditEvent]:
        """What was changed, newest first, after `start_event_id` if given."""
        return await self.repository.get_audit_events(entity_id, limit, start_event_id)

    async def get_usage_snapshots(
        self,
        entity_id: str | None = None,
        resource: str | None = None,
        window_type: str | None = None,
        start_time: datetime | str | None = None,
        end_time: datetime | str | None = None,
        limit: int = 100,
        next_key: dict[str, Any] | None = None,
    ) -> tuple[list[UsageSnapshot], dict[str, Any] | None]:
        """One page of usage by window, newest first, and the key of the next page; naive times are UTC."""
        return await self.repository.get_usage_snapshots(
            entity_id, resource, window_type, start_time, end_time, limit, next_key
        )

    async def get_usage_summary(
        self,
        entity_id: str | None = None,
        resource: str | None = None,
        window_type: str | None = None,
        start_time: datetime | str | None = None,
        end_time: datetime | str | None = None,
    ) -> UsageSummary:
        """The usage of all windows that the filters leave, added up."""
        return await self.repository.get_usage_summary(entity_id, resource, window_type, start_time, end_time)

    async def set_limits(
        self, entity_id: str, limits: Limits, resource: str = DEFAULT_RESOURCE, principal: str | None = None
    ) -> None:
        """Replace the limits of an entity for a resource, or for all; in force at the next charge."""
        await self.repository.set_limits(entity_id, as_limits(limits), resource, principal)

    async def get_limits(self, entity_id: str, resource: str = DEFAULT_RESOURCE) -> list[Limit]:
        """What is stored for the entity and resource; empty if nothing."""
        return await self.repository.get_limits(entity_id, resource)

    async def delete_limits(
        self, entity_id: str, resource: str = DEFAULT_RESOURCE, principal: str | None = None
    ) -> None:
        """Remove the limits of an entity for a resource; the next level's are in force then."""
        await self.repository.delete_limits(entity_id, resource, principal)

    async def list_entities_with_custom_limits(
        self, resource: str, limit: int | None = None, cursor: str | None = None
    ) -> tuple[list[str], str | None]:
        """One page of the entities with limits for a resource, and the cursor of the next."""
        return await self.repository.list_entities_with_custom_limits(resource, limit, cursor)

    async def list_resources_with_entity_configs(self) -> list[str]:
        """Every resource for which an entity has limits, sorted."""
        return await self.repository.list_resources_with_entity_configs()

    async def set_resource_defaults(self, resource: str, limits: Limits, principal: str | None = None) -> None:
        """Replace the limits of a resource for entities that have none of their own."""
        await self.repository.set_resource_defaults(resource, as_limits(limits), principal)

    async def get_resource_defaults(self, resource: str) -> list[Limit]:
        """What is stored for the resource; empty if nothing."""
        return await self.repository.get_resource_defaults(resource)

    async def delete_resource_defaults(self, resource: str, principal: str | None = None) -> None:
        """Remove the limits of a resource."""
        await self.repository.delete_resource_defaults(resource, principal)

    async def list_resources_with_defaults(self) -> list[str]:
        """Every resource with limits of its own, sorted."""
        return await self.repository.list_resources_with_defaults()

    async def set_system_defaults(
        self,
        limits: Limits,
        on_unavailable: OnUnavailable | OnUnavailableAction | None = None,
        principal: str | None = None,
    ) -> None:
        """Replace the limits of last resort, and what charges do without a store; leaving that out clears it."""
        action = options(on_unavailable, None, 0, "roll_back", self._timeout).on_unavailable
        await self.repository.set_system_defaults(as_limits(limits), action, principal)

    async def get_system_defaults(self) -> tuple[list[Limit], OnUnavailableAction | None]:
        """What is stored for the system."""
        return await self.repository.get_system_defaults()

    async def delete_system_defaults(self, principal: str | None = None) -> None:
        """Remove the limits of last resort, and what charges do without a store."""
        await self.repository.delete_system_defaults(principal)
