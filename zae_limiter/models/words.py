"""The constants of the public API: names of limits, audit actions, what to do without a store."""

import enum
from typing import Final, Literal

ConfigSource = Literal["entity", "entity_default", "resource", "system"]
OnUnavailableAction = Literal["allow", "block"]


class OnUnavailable(enum.StrEnum):
    """What a charge does while the store cannot be used."""

    ALLOW = "allow"
    BLOCK = "block"


class LimitName:
    """Usual names of limits: requests or tokens a minute, hour or day."""

    RPM: Final = "rpm"
    RPH: Final = "rph"
    RPD: Final = "rpd"
    TPM: Final = "tpm"
    TPH: Final = "tph"
    TPD: Final = "tpd"


class AuditAction:
    """What an audit event tells of."""

    ENTITY_CREATED: Final = "entity_created"
    ENTITY_UPDATED: Final = "entity_updated"
    ENTITY_DELETED: Final = "entity_deleted"
    LIMITS_SET: Final = "limits_set"
    LIMITS_DELETED: Final = "limits_deleted"
    BUCKETS_RESET: Final = "buckets_reset"
