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
        MissingExtraError,
        NamespaceNotFoundError,
        RateLimitError,
        RateLimiterUnavailable,
        RateLimitExceeded,
        ValidationError,
        VersionError,
        ZAELimiterError,
    )
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
        LimitName,
        LimitStatus,
        OnUnavailable,
        ResourceCapacity,
        UsageSnapshot,
        UsageSummary,
    )
    from zae_limiter.observers import LimiterStats, Observer
    from zae_limiter.repository_protocol import RepositoryProtocol
    from zae_limiter.stores import open_limiter, open_sync_limiter
    from zae_limiter.sync_config_cache import SyncConfigCache
    from zae_limiter.sync_lease import SyncLease
    from zae_limiter.sync_limiter import SyncRateLimiter
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
        "MissingExtraError",
        "NamespaceNotFoundError",
        "RateLimitError",
        "RateLimitExceeded",
        "RateLimiterUnavailable",
        "ValidationError",
        "VersionError",
        "ZAELimiterError",
    ),
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
        "OnUnavailable",
        "ResourceCapacity",
        "UsageSnapshot",
        "UsageSummary",
    ),
    "zae_limiter.observers": ("LimiterStats", "Observer"),
    "zae_limiter.repository_protocol": ("RepositoryProtocol",),
    "zae_limiter.stores": ("open_limiter", "open_sync_limiter"),
    "zae_limiter.sync_config_cache": ("SyncConfigCache",),
    "zae_limiter.sync_lease": ("SyncLease",),
    "zae_limiter.sync_limiter": ("SyncRateLimiter",),
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
    "LimiterStats",
    "MissingExtraError",
    "NamespaceNotFoundError",
    "Observer",
    "OnUnavailable",
    "RateLimitError",
    "RateLimitExceeded",
    "RateLimiter",
    "RateLimiterUnavailable",
    "RepositoryProtocol",
    "ResourceCapacity",
    "SyncConfigCache",
    "SyncEmbeddedRepository",
    "SyncLease",
    "SyncRateLimiter",
    "SyncRepositoryProtocol",
    "UsageSnapshot",
    "UsageSummary",
    "ValidationError",
    "VersionError",
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
