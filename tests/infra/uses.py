"""What the library is used for: every call of a limiter and its repository, by who makes it.

An application charges and asks; a reader looks at everything; a tenant changes what its namespace holds;
who governs the table keeps its namespaces and its version. `limiter` is of the asynchronous face, or like it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from zae_limiter import Charge, Limit
from zae_limiter.schema import config_key

Use = Callable[[Any], Awaitable[Any]]
WIDE: Final = [Limit.per_minute("rpm", 10_000)]


async def acquire(limiter: Any) -> None:
    """A bucket's first charge, one of a bucket that is known, and an end that settles."""
    for _ in range(2):
        async with limiter.acquire("ada", "api", {"rpm": 1}) as lease:
            await lease.adjust(rpm=2)
            await lease.release(rpm=1)


async def acquire_of_many(limiter: Any) -> None:
    async def one(entity: str) -> None:
        async with limiter.acquire(entity, "api", {"rpm": 1}):
            pass

    for _ in range(2):
        await asyncio.gather(*(one(f"user-{number}") for number in range(8)))


async def acquire_with_a_parent(limiter: Any) -> None:
    for _ in range(3):
        async with limiter.acquire("child", "api", {"rpm": 1}):
            pass


async def acquire_all(limiter: Any) -> None:
    for _ in range(3):
        async with limiter.acquire_all([Charge("ada", "api", 1), Charge("bob", "api", 1)]):
            pass


async def a_changed_rate(limiter: Any) -> None:
    async with limiter.acquire("ada", "api", 1, limits=[Limit.per_hour("rpm", 10_000)]):
        pass


CHARGING: Final[dict[str, Use]] = {
    "acquire": acquire,
    "acquire, of many": acquire_of_many,
    "acquire, with a parent": acquire_with_a_parent,
    "acquire, a changed rate": a_changed_rate,
    "acquire_all": acquire_all,
    "available": lambda limiter: limiter.available("child", "api"),
    "time_until_available": lambda limiter: limiter.time_until_available("child", "api", {"rpm": 5}),
    "is_available": lambda limiter: limiter.is_available(timeout=5.0),
    "ping": lambda limiter: limiter.repository.ping(),
    "namespace": lambda limiter: limiter.namespace(limiter.repository.namespace_name),
    "resolve": lambda limiter: limiter.repository.resolve("child", "api", fresh=True),
    "resolve_limits": lambda limiter: limiter.repository.resolve_limits("ada", "api"),
    "resolve_on_unavailable": lambda limiter: limiter.repository.resolve_on_unavailable(),
    "invalidate_config_cache": lambda limiter: limiter.repository.invalidate_config_cache(),
    "get_or_create_bucket": lambda limiter: limiter.repository.get_or_create_bucket("ada", "api", WIDE[0]),
    "read": lambda limiter: limiter.repository.read([("ada", "api")]),
}

READING: Final[dict[str, Use]] = {
    "available": CHARGING["available"],
    "ping": CHARGING["ping"],
    "get_bucket": lambda limiter: limiter.repository.get_bucket("ada", "api", "rpm"),
    "get_buckets": lambda limiter: limiter.repository.get_buckets("ada"),
    "batch_get_buckets": lambda limiter: limiter.repository.batch_get_buckets([("ada", "api")]),
    "batch_get_entity_and_buckets": lambda limiter: limiter.repository.batch_get_entity_and_buckets(
        "child", [("ada", "api")]
    ),
    "get_resource_buckets": lambda limiter: limiter.repository.get_resource_buckets("api"),
    "get_resource_capacity": lambda limiter: limiter.get_resource_capacity("api", "rpm"),
    "get_entity": lambda limiter: limiter.get_entity("child"),
    "get_children": lambda limiter: limiter.get_children("parent"),
    "get_limits": lambda limiter: limiter.get_limits("ada", "api"),
    "get_resource_defaults": lambda limiter: limiter.get_resource_defaults("api"),
    "get_system_defaults": lambda limiter: limiter.get_system_defaults(),
    "batch_get_configs": lambda limiter: limiter.repository.batch_get_configs(
        [tuple(config_key(limiter.repository.namespace_id, "ada", "api"))]
    ),
    "get_system_limits": lambda limiter: limiter.repository.get_system_limits(),
    "list_entities_with_custom_limits": lambda limiter: limiter.list_entities_with_custom_limits("api"),
    "list_resources_with_entity_configs": lambda limiter: limiter.list_resources_with_entity_configs(),
    "list_resources_with_defaults": lambda limiter: limiter.list_resources_with_defaults(),
    "get_audit_events": lambda limiter: limiter.get_audit_events("child"),
    "get_audit_retention": lambda limiter: limiter.repository.get_audit_retention(),
    "get_usage_snapshots": lambda limiter: limiter.get_usage_snapshots("ada"),
    "get_usage_snapshots, of a resource": lambda limiter: limiter.get_usage_snapshots(resource="api"),
    "get_usage_summary": lambda limiter: limiter.get_usage_summary("ada"),
    "get_namespace": lambda limiter: limiter.repository.get_namespace("default"),
}
"""What can be told of one namespace."""

READING_ALL: Final[dict[str, Use]] = READING | {
    "list_namespaces": lambda limiter: limiter.repository.list_namespaces(),
    "list_orphan_namespaces": lambda limiter: limiter.repository.list_orphan_namespaces(),
    "get_version_record": lambda limiter: limiter.repository.get_version_record(),
    "describe_table": lambda limiter: limiter.repository.describe_table(),
}

CHANGING: Final[dict[str, Use]] = {
    "set_system_defaults": lambda limiter: limiter.set_system_defaults(WIDE),
    "set_resource_defaults": lambda limiter: limiter.set_resource_defaults("api", WIDE),
    "set_limits": lambda limiter: limiter.set_limits("ada", WIDE, "api"),
    "delete_limits": lambda limiter: limiter.delete_limits("ada", "api"),
    "delete_resource_defaults": lambda limiter: limiter.delete_resource_defaults("api"),
    "create_entity": lambda limiter: limiter.create_entity("new", parent_id="parent"),
    "update_entity": lambda limiter: limiter.update_entity("child", name="Child"),
    "delete_entity": lambda limiter: limiter.delete_entity("gone"),
    "reset": lambda limiter: limiter.reset("ada"),
    "reset_buckets": lambda limiter: limiter.repository.reset_buckets("bob", "api"),
    "set_audit_retention": lambda limiter: limiter.repository.set_audit_retention(30),
    "delete_system_defaults": lambda limiter: limiter.delete_system_defaults(),
}
"""What can be changed in one namespace that is prepared."""


async def prepare(limiter: Any) -> None:
    """Store what each use finds, or changes."""
    await limiter.set_system_defaults(WIDE)
    await limiter.set_resource_defaults("api", WIDE)
    await limiter.set_limits("ada", WIDE, "api")
    await limiter.create_entity("parent")
    await limiter.create_entity("child", parent_id="parent", cascade=True)
    await limiter.create_entity("gone")
    for entity in ("ada", "bob", "gone"):
        async with limiter.acquire(entity, "api", 1):
            pass


async def namespaces(limiter: Any) -> None:
    """The whole life of a namespace."""
    repository = limiter.repository
    identity = await repository.register_namespace("passing")
    await repository.delete_namespace("passing")
    await repository.recover_namespace(identity)
    other = await repository.namespace("passing")
    await other.set_system_defaults(WIDE)
    await repository.delete_namespace("passing")
    await repository.purge_namespace(identity)


GOVERNING: Final[dict[str, Use]] = {
    "prepare_table": lambda limiter: limiter.repository.prepare_table(),
    "register_namespaces": lambda limiter: limiter.repository.register_namespaces(["one", "two"]),
    "register_namespace, delete_namespace, recover_namespace, purge_namespace": namespaces,
    "set_version_record": lambda limiter: limiter.repository.set_version_record("1.0.0"),
    "record_aggregator": lambda limiter: limiter.repository.record_aggregator("1.0.0"),
    "migrate": lambda limiter: limiter.repository.migrate(),
}

NOT_A_USE: Final = frozenset(
    {
        # Of the stack and the table itself, for whoever deploys.
        *("create_stack", "delete_stack", "create_table", "delete_table"),
        # Each use opens and closes what it needs; debits and settles are what charging sends.
        *("connect", "open", "close", "debit", "settle"),
        # `acquire` by another name, for plain functions on one face and coroutine functions on the other.
        "limited",
        # These ask nothing.
        *("builder", "remembered", "get_cache_stats", "stats"),
    }
)
