"""Load on a store with Locust: a user whose `client` charges, and tells Locust of each call and how long it took.

Importing this module imports Locust, which patches sockets, threads and sleeps for gevent.
"""

import contextlib
import os
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, ClassVar, Final, ParamSpec, TypeVar

from zae_limiter.exceptions import MissingExtraError, RateLimitExceeded

try:
    from locust import User
    from locust.env import Environment
    from locust.exception import StopTest
except ModuleNotFoundError as error:
    raise MissingExtraError("locust", "zae_limiter.locust") from error

from zae_limiter.models import Amounts, Entity, Limit, Limits, OnUnavailable
from zae_limiter.stores import open_sync_limiter
from zae_limiter.sync_lease import SyncLease
from zae_limiter.sync_limiter import SyncRateLimiter

P = ParamSpec("P")
T = TypeVar("T")

_CONNECTIONS: Final = 1_000


class RateLimiterSession:
    """The calls of a limiter, each told to Locust with its time.

    A refusal is no failure of the store: it counts as a success of the type RATE_LIMITED. `name` is what
    Locust adds figures up under; it is the resource, or the entity, if not given.
    """

    def __init__(self, limiter: SyncRateLimiter, request_event: Any, user: "RateLimiterUser") -> None:
        self.limiter = limiter
        self._event = request_event
        self._user = user

    @contextlib.contextmanager
    def acquire(
        self,
        entity_id: str,
        resource: str,
        consume: int | Amounts,
        limits: Limits | None = None,
        *,
        name: str | None = None,
        **options: Any,
    ) -> Generator[SyncLease, None, None]:
        """Charge an entity, as `SyncRateLimiter.acquire` does.

        ACQUIRE is told on entry, COMMIT on exit where something was adjusted.
        """
        shown = name or resource
        block = self.limiter.acquire(entity_id, resource, consume, limits, **options)
        started = time.perf_counter()
        try:
            lease = block.__enter__()
        except RateLimitExceeded as refused:
            self._tell("RATE_LIMITED", shown, started, None, {"refused": refused})
            raise
        except Exception as error:
            self._tell("ACQUIRE", shown, started, error, {})
            raise
        self._tell("ACQUIRE", shown, started, None, {})
        with contextlib.ExitStack() as stack:
            stack.push(block.__exit__)
            yield lease
            changed, started = lease.is_changed, time.perf_counter()
        if changed:
            self._tell("COMMIT", shown, started, None, {})

    def available(
        self, entity_id: str, resource: str, limits: Limits | None = None, *, name: str | None = None
    ) -> dict[str, int]:
        """Tokens of each limit that could be taken now."""
        return self._timed("AVAILABLE", name or resource, self.limiter.available, entity_id, resource, limits)

    def time_until_available(
        self, entity_id: str, resource: str, needed: Mapping[str, int], *, name: str | None = None
    ) -> float:
        """Seconds until so many tokens could be taken."""
        call = self.limiter.time_until_available
        return self._timed("TIME_UNTIL_AVAILABLE", name or resource, call, entity_id, resource, needed)

    def is_available(self, *, timeout: float = 1.0, name: str | None = None) -> bool:
        """Whether the store answers."""
        return self._timed("IS_AVAILABLE", name or "system", self.limiter.is_available, timeout)

    def set_system_defaults(
        self, limits: Limits, on_unavailable: OnUnavailable | None = None, *, name: str | None = None
    ) -> None:
        """Replace the limits of last resort."""
        call = self.limiter.set_system_defaults
        self._timed("SET_SYSTEM_DEFAULTS", name or "system", call, limits, on_unavailable)

    def get_system_defaults(self, *, name: str | None = None) -> Any:
        """What is stored for the system."""
        return self._timed("GET_SYSTEM_DEFAULTS", name or "system", self.limiter.get_system_defaults)

    def delete_system_defaults(self, *, name: str | None = None) -> None:
        """Remove what is stored for the system."""
        self._timed("DELETE_SYSTEM_DEFAULTS", name or "system", self.limiter.delete_system_defaults)

    def set_resource_defaults(self, resource: str, limits: Limits, *, name: str | None = None) -> None:
        """Replace the limits of a resource."""
        call = self.limiter.set_resource_defaults
        self._timed("SET_RESOURCE_DEFAULTS", name or resource, call, resource, limits)

    def get_resource_defaults(self, resource: str, *, name: str | None = None) -> list[Limit]:
        """What is stored for a resource."""
        call = self.limiter.get_resource_defaults
        return self._timed("GET_RESOURCE_DEFAULTS", name or resource, call, resource)

    def delete_resource_defaults(self, resource: str, *, name: str | None = None) -> None:
        """Remove the limits of a resource."""
        call = self.limiter.delete_resource_defaults
        self._timed("DELETE_RESOURCE_DEFAULTS", name or resource, call, resource)

    def list_resources_with_defaults(self, *, name: str | None = None) -> list[str]:
        """Every resource with limits of its own."""
        call = self.limiter.list_resources_with_defaults
        return self._timed("LIST_RESOURCES_WITH_DEFAULTS", name or "system", call)

    def create_entity(
        self, entity_id: str, *, display_name: str | None = None, name: str | None = None, **options: Any
    ) -> Entity:
        """Store an entity; `display_name` is its name, `name` is Locust's."""
        call = self.limiter.create_entity
        return self._timed("CREATE_ENTITY", name or entity_id, call, entity_id, display_name, **options)

    def get_entity(self, entity_id: str, *, name: str | None = None) -> Entity | None:
        """The entity, or None."""
        return self._timed("GET_ENTITY", name or entity_id, self.limiter.get_entity, entity_id)

    def delete_entity(self, entity_id: str, *, name: str | None = None) -> None:
        """Remove an entity."""
        self._timed("DELETE_ENTITY", name or entity_id, self.limiter.delete_entity, entity_id)

    def get_children(self, parent_id: str, *, name: str | None = None) -> list[Entity]:
        """Every entity directly below this one."""
        return self._timed("GET_CHILDREN", name or parent_id, self.limiter.get_children, parent_id)

    def set_limits(
        self, entity_id: str, limits: Limits, *, resource: str = "_default_", name: str | None = None
    ) -> None:
        """Replace the limits of an entity."""
        self._timed("SET_LIMITS", name or resource, self.limiter.set_limits, entity_id, limits, resource)

    def get_limits(self, entity_id: str, *, resource: str = "_default_", name: str | None = None) -> list[Limit]:
        """What is stored for an entity."""
        return self._timed("GET_LIMITS", name or resource, self.limiter.get_limits, entity_id, resource)

    def delete_limits(self, entity_id: str, *, resource: str = "_default_", name: str | None = None) -> None:
        """Remove the limits of an entity."""
        self._timed("DELETE_LIMITS", name or resource, self.limiter.delete_limits, entity_id, resource)

    def _timed(self, kind: str, name: str, call: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        started = time.perf_counter()
        try:
            found = call(*arguments, **options)
        except Exception as error:
            self._tell(kind, name, started, error, {})
            raise
        self._tell(kind, name, started, None, {})
        return found

    def _tell(self, kind: str, name: str, started: float, error: Exception | None, context: Mapping[str, Any]) -> None:
        self._event.fire(
            request_type=kind,
            name=name,
            response_time=(time.perf_counter() - started) * 1000,
            response_length=0,
            exception=error,
            context={**self._user.context(), **context},
        )


class RateLimiterUser(User):
    """A Locust user whose `client` is a `RateLimiterSession`; derive your own with tasks.

    `store` is the address of the store; without it `--host`, `ZAE_LIMITER_STORE` or the name of a table in
    `TARGET_STACK_NAME` (with `TARGET_REGION`) tells. All users of one address share one limiter.
    """

    abstract = True
    store: str = ""
    limiter_options: ClassVar[Mapping[str, Any]] = {}
    _limiters: ClassVar[dict[str, SyncRateLimiter]] = {}

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        address = _address([self.store, self.host or "", os.environ.get("ZAE_LIMITER_STORE", "")])
        self.client = RateLimiterSession(self._shared(address), environment.events.request, self)

    @classmethod
    def _shared(cls, address: str) -> SyncRateLimiter:
        limiters = RateLimiterUser._limiters
        if address not in limiters:
            options = dict(cls.limiter_options)
            if address.startswith("dynamodb:"):
                options.setdefault("connections", _CONNECTIONS)
            limiters[address] = open_sync_limiter(address, **options)
        return limiters[address]


def _address(candidates: Sequence[str]) -> str:
    given = next((each for each in candidates if each), "")
    if not given and (table := os.environ.get("TARGET_STACK_NAME")):
        region = os.environ.get("TARGET_REGION")
        return f"dynamodb://{table}" + (f"?region={region}" if region else "")
    if not given:
        raise StopTest("name the store: RateLimiterUser.store, --host, ZAE_LIMITER_STORE or TARGET_STACK_NAME")
    return given if ":" in given else f"dynamodb://{given}"
