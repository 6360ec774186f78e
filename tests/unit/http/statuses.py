"""How a limit stands, for tests of what is told of it."""

import math
from typing import Any

from zae_limiter import Limit
from zae_limiter.models import LimitStatus
from zae_limiter_http.members import Member

RPM = Limit.per_minute("rpm", 100)
BURST = Limit.per_minute("rpm", 100, burst=200)
TPM = Limit.per_minute("tpm", 90_000, unit="tokens")
RPD = Limit.per_day("rpd", 1_000)


def status(
    limit: Limit, available: int, *, wait: float = 0, resource: str = "api", entity: str = "ip4:203.0.113.7"
) -> LimitStatus:
    """A limit with so many tokens left; refused where there is a wait, for ever where that is infinite."""
    wait_ns = 0 if math.isinf(wait) else round(wait * 1e9)
    return LimitStatus(entity, resource, limit.name, limit, available, 1, wait > 0, float(wait), wait_ns)


def member(limit: Limit, available: int, *, wait: float = 0, **words: Any) -> Member:
    """The same as a policy that is told to clients."""
    found = status(limit, available, wait=wait, **words)
    return Member(limit.name, found, available, found.exceeded, found.wait_ns if found.retryable else None)
