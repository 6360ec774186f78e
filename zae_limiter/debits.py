"""From charges and the limits in force to the debits to write: amounts by unit, names, charges that meet. Pure."""

import functools
from collections.abc import Mapping, Sequence
from typing import Final

from zae_limiter.exceptions import ValidationError
from zae_limiter.models import (
    Amounts,
    Change,
    Charge,
    Debit,
    EffectiveLimits,
    Limit,
    Limits,
    Resolution,
    check_limits,
    limits_from_text,
)

NO_LIMITS: Final = "no limits are set"
"""How the reason of an error begins where neither the charge nor the store has limits."""

_cached_limits = functools.lru_cache(maxsize=1024)(limits_from_text)


def as_limits(limits: Limits) -> tuple[Limit, ...]:
    """Limits given as text or as values, checked."""
    given: object = limits
    if not isinstance(given, Sequence):
        # An iterator would hold them for one charge, and limit nothing from the next one on.
        what = f"must be text such as '100/minute' or a list of Limits, got {type(given).__name__}"
        raise ValidationError("limits", repr(given), what)
    return _cached_limits(limits) if isinstance(limits, str) else check_limits(limits)


def check_amount(name: str, amount: object) -> None:
    """Raise `ValidationError` unless the amount is an int; a bool is none."""
    if type(amount) is not int:
        raise ValidationError(name, repr(amount), f"an amount must be an int, got {type(amount).__name__}")


def check_consume(consume: int | Amounts) -> None:
    """Raise `ValidationError` for an amount that is no int, or below 0."""
    if not isinstance(consume, Mapping):
        consume = {"consume": consume}
    for name, amount in consume.items():
        if type(amount) is not int:
            check_amount(name, amount)
        if amount < 0:
            raise ValidationError(name, str(amount), "must not be negative; give back with lease.release()")


def no_limits(entity_id: str, resource: str) -> ValidationError:
    """The error of an entity and a resource for which no level has limits."""
    return ValidationError(
        "limits",
        resource,
        f"{NO_LIMITS} for {entity_id!r} at any level; give limits=, or store some:"
        f" zae-limiter resource set-defaults {resource} -l rpm:100/minute",
    )


def debits_of(charge: Charge, resolution: Resolution) -> list[Debit]:
    """The debits of one charge: of its entity with the limits given or in force, and of the parents in the chain."""
    chain = resolution.chain
    if charge.limits is not None:
        own = EffectiveLimits(charge.entity_id, as_limits(charge.limits), None)
        chain = (own, *chain[1:])
    elif not chain[0].limits:
        raise no_limits(charge.entity_id, charge.resource)
    if isinstance(charge.consume, int):
        return [
            _debit(charge, level, _of_requests(charge.consume, level), index, resolution.version)
            for index, level in enumerate(chain)
            if level.limits
        ]
    # A copy: the caller's own may have changed since it was checked, while the charge waited.
    consume = dict(charge.consume)
    check_consume(consume)
    _check_names(consume, chain)
    return [
        _debit(charge, level, named, index, resolution.version)
        for index, level in enumerate(chain)
        if (named := _named(consume, level))
    ]


def _debit(charge: Charge, level: EffectiveLimits, amounts: Amounts, index: int, version: int) -> Debit:
    is_stored = charge.limits is None or index > 0
    return Debit(level.entity_id, charge.resource, level.limits, amounts, index == 0, version, is_stored)


def _of_requests(amount: int, level: EffectiveLimits) -> dict[str, int]:
    return {limit.name: amount if limit.unit == "requests" else 0 for limit in level.limits}


def _named(consume: Amounts, level: EffectiveLimits) -> dict[str, int]:
    return {limit.name: consume[limit.name] for limit in level.limits if limit.name in consume}


def _check_names(consume: Amounts, chain: Sequence[EffectiveLimits]) -> None:
    known = [limit.name for level in chain for limit in level.limits]
    for name in consume:
        if name not in known:
            raise ValidationError("consume", name, f"no such limit here; in force are {', '.join(sorted(known))}")


def never_fits(debits: Sequence[Debit]) -> bool:
    """Whether an amount is above its burst, so that no wait makes it fit."""
    return any(debit.amounts.get(limit.name, 0) > limit.burst for debit in debits for limit in debit.limits)


def undone(debit: Debit) -> Change:
    """The change that gives a debit back."""
    deltas = {name: -amount for name, amount in debit.amounts.items() if amount}
    return Change(debit.entity_id, debit.resource, debit.limits, deltas, dict.fromkeys(deltas, 1))


def merged(debits: Sequence[Debit]) -> list[Debit]:
    """One debit a bucket: amounts of charges that meet in one are added."""
    found: dict[tuple[str, str], Debit] = {}
    for debit in debits:
        key = (debit.entity_id, debit.resource)
        other = found.get(key)
        found[key] = debit if other is None else _joined(other, debit)
    return list(found.values())


def _joined(first: Debit, second: Debit) -> Debit:
    limits = {limit.name: limit for limit in first.limits}
    for limit in second.limits:
        if limits.setdefault(limit.name, limit) != limit:
            raise ValidationError(
                "limits",
                limit.name,
                f"two charges of {first.resource!r} define it differently; give one another name",
            )
    amounts = dict(first.amounts)
    for name, amount in second.amounts.items():
        amounts[name] = amounts.get(name, 0) + amount
    return Debit(
        first.entity_id,
        first.resource,
        check_limits(limits.values()),
        amounts,
        first.is_leaf or second.is_leaf,
        first.version,
        first.is_stored and second.is_stored,
    )
