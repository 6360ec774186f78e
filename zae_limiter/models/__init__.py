"""The frozen values of the library, each valid once made.

`limit` is the rule, `states` how things stand, `reports` the past, `charges` what core and store exchange.
"""

from zae_limiter.models.charges import (
    Amounts,
    Balance,
    Change,
    Charge,
    Debit,
    EffectiveLimits,
    Granted,
    Image,
    Limits,
    Refused,
    Resolution,
    Stale,
)
from zae_limiter.models.limit import MOST_LIMITS, Limit, check_limits, limits_from_text
from zae_limiter.models.reports import (
    AuditEvent,
    BackendCapabilities,
    CacheStats,
    EntityCapacity,
    ResourceCapacity,
    UsageSnapshot,
    UsageSummary,
)
from zae_limiter.models.stack import LimiterInfo, StackOptions, Status
from zae_limiter.models.states import BucketState, Entity, LimitStatus, check_entity
from zae_limiter.models.words import AuditAction, ConfigSource, LimitName, OnUnavailable, OnUnavailableAction

__all__ = [
    "MOST_LIMITS",
    "Amounts",
    "AuditAction",
    "AuditEvent",
    "BackendCapabilities",
    "Balance",
    "BucketState",
    "CacheStats",
    "Change",
    "Charge",
    "ConfigSource",
    "Debit",
    "EffectiveLimits",
    "Entity",
    "EntityCapacity",
    "Granted",
    "Image",
    "Limit",
    "LimitName",
    "LimitStatus",
    "LimiterInfo",
    "Limits",
    "OnUnavailable",
    "OnUnavailableAction",
    "Refused",
    "Resolution",
    "ResourceCapacity",
    "StackOptions",
    "Stale",
    "Status",
    "UsageSnapshot",
    "UsageSummary",
    "check_entity",
    "check_limits",
    "limits_from_text",
]
