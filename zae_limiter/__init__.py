"""Rate limiting on token buckets: several limits at once, all or nothing, with leases that can be adjusted.

Names load when they are first used (PEP 562), so that importing the package is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zae_limiter.embedded import EmbeddedRepository, SyncEmbeddedRepository
    from zae_limiter.exceptions import (
        EntityError,
        EntityExistsError,
        EntityNotFoundError,
        IncompatibleSchemaError,
        InfrastructureAccessError,
        InfrastructureError,
        InfrastructureNotFoundError,
        InvalidIdentifierError,
        InvalidNameError,
        LocalStoreError,
        MissingExtraError,
        NamespaceNotFoundError,
        RateLimitError,
        RateLimiterUnavailable,
        RateLimitExceeded,
        StackAlreadyExistsError,
        StackCreationError,
        ValidationError,
        VersionError,
        VersionMismatchError,
        ZAELimiterError,
    )
    from zae_limiter.infra.stack_manager import StackManager
    from zae_limiter.infra.sync_stack_manager import SyncStackManager
    from zae_limiter.lease import Lease, current_lease
    from zae_limiter.limiter import RateLimiter
    from zae_limiter.models import (
        AuditAction,
        AuditEvent,
        BackendCapabilities,
        BucketState,
        CacheStats,
        Charge,
        ConfigSource,
        Entity,
        EntityCapacity,
        Limit,
        LimiterInfo,
        LimitName,
        LimitStatus,
        OnUnavailable,
        ResourceCapacity,
        StackOptions,
        Status,
        UsageSnapshot,
        UsageSummary,
    )
    from zae_limiter.observers import LimiterStats, Observer
    from zae_limiter.repository import Repository
    from zae_limiter.repository_builder import RepositoryBuilder, SyncRepositoryBuilder
    from zae_limiter.repository_protocol import RepositoryProtocol
    from zae_limiter.stores import open_limiter, open_sync_limiter
    from zae_limiter.sync_config_cache import SyncConfigCache
    from zae_limiter.sync_lease import SyncLease
    from zae_limiter.sync_limiter import SyncRateLimiter
    from zae_limiter.sync_repository import SyncRepository
    from zae_limiter.sync_repository_protocol import SyncRepositoryProtocol

__version__ = "0.1.0"

_MODULES = {
    "zae_limiter.embedded": ("EmbeddedRepository", "SyncEmbeddedRepository"),
    "zae_limiter.exceptions": (
        "EntityError",
        "EntityExistsError",
        "EntityNotFoundError",
        "IncompatibleSchemaError",
        "InfrastructureAccessError",
        "InfrastructureError",
        "InfrastructureNotFoundError",
        "InvalidIdentifierError",
        "InvalidNameError",
        "LocalStoreError",
        "MissingExtraError",
        "NamespaceNotFoundError",
        "RateLimitError",
        "RateLimitExceeded",
        "RateLimiterUnavailable",
        "StackAlreadyExistsError",
        "StackCreationError",
        "ValidationError",
        "VersionError",
        "VersionMismatchError",
        "ZAELimiterError",
    ),
    "zae_limiter.infra.stack_manager": ("StackManager",),
    "zae_limiter.infra.sync_stack_manager": ("SyncStackManager",),
    "zae_limiter.lease": ("Lease", "current_lease"),
    "zae_limiter.limiter": ("RateLimiter",),
    "zae_limiter.models": (
        "AuditAction",
        "AuditEvent",
        "BackendCapabilities",
        "BucketState",
        "CacheStats",
        "Charge",
        "ConfigSource",
        "Entity",
        "EntityCapacity",
        "Limit",
        "LimitName",
        "LimitStatus",
        "LimiterInfo",
        "OnUnavailable",
        "ResourceCapacity",
        "StackOptions",
        "Status",
        "UsageSnapshot",
        "UsageSummary",
    ),
    "zae_limiter.observers": ("LimiterStats", "Observer"),
    "zae_limiter.repository": ("Repository",),
    "zae_limiter.repository_builder": ("RepositoryBuilder", "SyncRepositoryBuilder"),
    "zae_limiter.repository_protocol": ("RepositoryProtocol",),
    "zae_limiter.stores": ("open_limiter", "open_sync_limiter"),
    "zae_limiter.sync_config_cache": ("SyncConfigCache",),
    "zae_limiter.sync_lease": ("SyncLease",),
    "zae_limiter.sync_limiter": ("SyncRateLimiter",),
    "zae_limiter.sync_repository": ("SyncRepository",),
    "zae_limiter.sync_repository_protocol": ("SyncRepositoryProtocol",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "AuditAction",
    "AuditEvent",
    "BackendCapabilities",
    "BucketState",
    "CacheStats",
    "Charge",
    "ConfigSource",
    "EmbeddedRepository",
    "Entity",
    "EntityCapacity",
    "EntityError",
    "EntityExistsError",
    "EntityNotFoundError",
    "IncompatibleSchemaError",
    "InfrastructureAccessError",
    "InfrastructureError",
    "InfrastructureNotFoundError",
    "InvalidIdentifierError",
    "InvalidNameError",
    "Lease",
    "Limit",
    "LimitName",
    "LimitStatus",
    "LimiterInfo",
    "LimiterStats",
    "LocalStoreError",
    "MissingExtraError",
    "NamespaceNotFoundError",
    "Observer",
    "OnUnavailable",
    "RateLimitError",
    "RateLimitExceeded",
    "RateLimiter",
    "RateLimiterUnavailable",
    "Repository",
    "RepositoryBuilder",
    "RepositoryProtocol",
    "ResourceCapacity",
    "StackAlreadyExistsError",
    "StackCreationError",
    "StackManager",
    "StackOptions",
    "Status",
    "SyncConfigCache",
    "SyncEmbeddedRepository",
    "SyncLease",
    "SyncRateLimiter",
    "SyncRepository",
    "SyncRepositoryBuilder",
    "SyncRepositoryProtocol",
    "SyncStackManager",
    "UsageSnapshot",
    "UsageSummary",
    "ValidationError",
    "VersionError",
    "VersionMismatchError",
    "ZAELimiterError",
    "__version__",
    "current_lease",
    "open_limiter",
    "open_sync_limiter",
]


def __getattr__(name: str) -> Any:
    module = _HOMES.get(name)
    if module is None:
        raise AttributeError(f"module 'zae_limiter' has no attribute {name!r}")
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
