"""What a refused charge may go on without: limits that are only counted, and rules that leave it to the handler."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from zae_limiter.debits import NO_LIMITS
from zae_limiter.exceptions import RateLimitExceeded, ValidationError
from zae_limiter.models import LimitStatus
from zae_limiter_http.rule import Rule
from zae_limiter_http.rules import Claim


class Lenient(NamedTuple):
    """What is claimed after all, and what is not and why."""

    rest: tuple[Claim, ...]
    shadowed: tuple[Claim, ...]
    left_to_handler: tuple[Claim, ...]


def without(claims: Sequence[Claim], error: RateLimitExceeded) -> Lenient | None:
    """The claims without those that do not insist on the limits that refused; None where one insists."""
    names: dict[int, set[str]] = {}
    for status in error.violations:
        for index in _touching(claims, status):
            claim = claims[index]
            if claim.rule.block and not claim.is_shadowed(status.limit_name):
                return None
            names.setdefault(index, set()).add(status.limit_name)
    if not names:
        return None
    rest: list[Claim] = []
    for index, claim in enumerate(claims):
        reduced = _reduced(claim, names[index], error.statuses) if index in names else claim
        if reduced is not None:
            rest.append(reduced)
    touched = [claims[index] for index in names]
    shadowed = tuple(claim for claim in touched if claim.shadow)
    return Lenient(tuple(rest), shadowed, tuple(claim for claim in touched if not claim.shadow))


def _touching(claims: Sequence[Claim], status: LimitStatus) -> list[int]:
    own = [
        index
        for index, (_, charge, _) in enumerate(claims)
        if (charge.entity_id, charge.resource) == (status.entity_id, status.resource)
    ]
    # A parent refused: which child it stands above is the limiter's to know, so all of its resource are meant.
    meant = own or [index for index, claim in enumerate(claims) if claim.charge.resource == status.resource]
    return [index for index in meant if _asks_for(claims[index], status.limit_name)]


def _asks_for(claim: Claim, limit_name: str) -> bool:
    consume = claim.charge.consume
    if isinstance(consume, Mapping):
        return limit_name in consume
    limits = claim.rule.limits
    return not isinstance(limits, tuple) or any(limit.name == limit_name for limit in limits)


def _reduced(claim: Claim, names: set[str], statuses: Sequence[LimitStatus]) -> Claim | None:
    """A claim that asks for all but some limits; None where nothing is left of it."""
    if not claim.rule.block or claim.shadow is True:
        return None
    charge = claim.charge
    asked = {
        status.limit_name: status.requested
        for status in statuses
        if (status.entity_id, status.resource) == (charge.entity_id, charge.resource)
    }
    consume = dict(charge.consume) if isinstance(charge.consume, Mapping) else asked
    left = {name: amount for name, amount in consume.items() if name not in names}
    return claim._replace(charge=charge._replace(consume=left)) if left else None


def rules_of(claims: Sequence[Claim]) -> tuple[Rule, ...]:
    """The rules behind claims, each once."""
    return tuple(dict.fromkeys(claim.rule for claim in claims))


def are_at_odds(claims: Sequence[Claim], error: ValidationError) -> bool:
    """Whether rules cannot be charged together, each of which may be fine alone."""
    return len(claims) > 1 and not error.reason.startswith(NO_LIMITS)


def at_odds(claims: Sequence[Claim], error: ValidationError) -> str:
    """What to tell of rules that cannot be charged together."""
    rules = " and ".join(rule.name or repr(rule.match) for rule in rules_of(claims))
    resources = ", ".join(sorted({claim.charge.resource for claim in claims}))
    return (
        f"rules {rules} meet in one request and cannot be charged together (resource {resources},"
        f" {error.field} {error.value!r}: {error.reason}); give one of them another resource= or name="
    )
