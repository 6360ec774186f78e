"""Images, a charge and a time: granted or refused, for all limits at once, and how each limit stands. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from zae_limiter import bucket
from zae_limiter.models import Balance, BucketState, Debit, Granted, Image, Limit, LimitStatus, Refused


def full_at_in(limit: Limit, balance: Balance | None, now_ns: int) -> int:
    """When the bucket will be full, measured in the limit's own rate; in the past for one that is full."""
    if balance is None:
        return now_ns
    if balance.rate == limit.rate:
        return balance.full_at
    at = max(now_ns, balance.carried_at)
    return bucket.carried_over(balance.full_at, at, balance.rate, limit.rate)


def debited(debit: Debit, image: Image, now_ns: int) -> dict[str, Balance] | None:
    """The bucket after a debit, carried over into the rates of its limits, or None if the debit does not fit."""
    after: dict[str, Balance] = {}
    for limit in debit.limits:
        amount = debit.amounts.get(limit.name)
        balance = image.get(limit.name)
        full_at = full_at_in(limit, balance, now_ns)
        if amount is not None and not bucket.fits(full_at, now_ns, amount, limit.burst, limit.rate):
            return None
        if balance is not None and amount is None and _comes_back_in_old_rate(limit, balance, now_ns):
            after[limit.name] = balance
            continue
        carried_at = _carried_at(limit, balance, now_ns)
        after[limit.name] = Balance(changed(full_at, now_ns, amount or 0, limit), limit.rate, carried_at)
    return after


def _comes_back_in_old_rate(limit: Limit, balance: Balance, now_ns: int) -> bool:
    """Whether more than the burst was used, in a faster rate: a charge of other limits must not slow that down."""
    used = balance.full_at - max(now_ns, balance.carried_at)
    return bucket.is_faster(balance.rate, limit.rate) and used > bucket.span(limit.burst, balance.rate)


def relaxed(debit: Debit, image: Image, now_ns: int) -> dict[str, Balance]:
    """What a refusal writes: balances in a slower rate carried over, since tokens come back at the faster one."""
    after: dict[str, Balance] = {}
    for limit in debit.limits:
        balance = image.get(limit.name)
        if limit.name in debit.amounts and balance is not None and bucket.is_faster(limit.rate, balance.rate):
            full_at = full_at_in(limit, balance, now_ns)
            after[limit.name] = Balance(full_at, limit.rate, _carried_at(limit, balance, now_ns))
    return after


def _carried_at(limit: Limit, balance: Balance | None, now_ns: int) -> int:
    if balance is None:
        return 0
    return balance.carried_at if balance.rate == limit.rate else max(now_ns, balance.carried_at)


def decide(debits: Sequence[Debit], images: Sequence[Image], now_ns: int) -> Granted | Refused:
    """Whether all debits fit; `Granted` shows the buckets after them, other limits unchanged."""
    after: list[Image] = []
    for debit, image in zip(debits, images, strict=True):
        changed = debited(debit, image, now_ns)
        if changed is None:
            return Refused(images, now_ns)
        after.append({**image, **changed})
    return Granted(after, now_ns)


def statuses(debits: Sequence[Debit], images: Sequence[Image], now_ns: int) -> list[LimitStatus]:
    """How every limit stands before the debits, in their order; exceeded where one does not fit."""
    return [
        _status(debit, limit, image.get(limit.name), now_ns, debit.amounts.get(limit.name))
        for debit, image in zip(debits, images, strict=True)
        for limit in debit.limits
    ]


def refusal(debits: Sequence[Debit], refused: Refused) -> list[LimitStatus]:
    """How every limit stands before debits that were refused."""
    if not refused.wait_ns:
        return statuses(debits, refused.images, refused.now_ns)
    seconds = bucket.retry_after_seconds(refused.wait_ns)
    return [
        LimitStatus(
            debit.entity_id,
            debit.resource,
            limit.name,
            limit,
            0,
            debit.amounts[limit.name],
            True,
            seconds,
            refused.wait_ns,
        )
        for debit in debits
        for limit in debit.limits
        if limit.name in debit.amounts
    ]


def standing(
    debits: Sequence[Debit], images: Sequence[Image], pending: Sequence[Mapping[str, int]] | None, now_ns: int
) -> list[LimitStatus]:
    """How every limit stands after the debits were granted, with changes that are not written yet, if there are any."""
    return [
        LimitStatus(
            debit.entity_id, debit.resource, limit.name, limit, left, debit.amounts.get(limit.name, 0), False, 0.0
        )
        for debit, limit, left in left_of(debits, images, pending, now_ns)
    ]


def left_of(
    debits: Sequence[Debit], images: Sequence[Image], pending: Sequence[Mapping[str, int]] | None, now_ns: int
) -> list[tuple[Debit, Limit, int]]:
    """What is left of every limit after the debits were granted: the same as `standing`, for who needs no more."""
    found: list[tuple[Debit, Limit, int]] = []
    for index, (debit, image) in enumerate(zip(debits, images, strict=True)):
        for limit in debit.limits:
            full_at = full_at_in(limit, image.get(limit.name), now_ns)
            if pending is not None:
                full_at = changed(full_at, now_ns, pending[index].get(limit.name, 0), limit)
            found.append((debit, limit, bucket.available(full_at, now_ns, limit.burst, limit.rate)))
    return found


def bucket_state(entity_id: str, resource: str, limit: Limit, balance: Balance | None, now_ns: int) -> BucketState:
    """The derived state of one limit of a bucket."""
    full_at = full_at_in(limit, balance, now_ns)
    full = BucketState.from_limit(entity_id, resource, limit, now_ns // 1_000_000)
    tokens = bucket.tokens_milli(full_at, now_ns, limit.burst, limit.rate)
    return replace(full, tokens_milli=tokens, total_consumed_milli=None)


def changed(full_at: int, now_ns: int, delta: int, limit: Limit) -> int:
    """Where an adjust (above 0) or a credit (below 0) moves `full_at`."""
    if delta >= 0:
        return bucket.debited(full_at, now_ns, delta, limit.rate) if delta else full_at
    return full_at - bucket.span(-delta, limit.rate)


def _status(debit: Debit, limit: Limit, balance: Balance | None, now_ns: int, amount: int | None) -> LimitStatus:
    full_at = full_at_in(limit, balance, now_ns)
    left = bucket.available(full_at, now_ns, limit.burst, limit.rate)
    if amount is None or bucket.fits(full_at, now_ns, amount, limit.burst, limit.rate):
        return LimitStatus(debit.entity_id, debit.resource, limit.name, limit, left, amount or 0, False, 0.0)
    wait_ns = wait(limit, balance, now_ns, amount)
    if wait_ns is None:
        return LimitStatus(debit.entity_id, debit.resource, limit.name, limit, left, amount, True, math.inf)
    seconds = bucket.retry_after_seconds(wait_ns)
    return LimitStatus(debit.entity_id, debit.resource, limit.name, limit, left, amount, True, seconds, wait_ns)


def wait(limit: Limit, balance: Balance | None, now_ns: int, amount: int) -> int | None:
    """Nanoseconds until so many tokens fit; None when they never can.

    A level that was left in a faster rate comes back in that one until the charge is granted.
    """
    if amount > limit.burst:
        return None
    full_at = full_at_in(limit, balance, now_ns)
    plain = bucket.wait(full_at, now_ns, amount, limit.burst, limit.rate)
    if balance is None or plain == 0 or not bucket.is_faster(balance.rate, limit.rate):
        return plain
    at = max(now_ns, balance.carried_at)
    in_old = bucket.wait_in_old_rate(balance.full_at, at, amount, limit.burst, balance.rate, limit.rate)
    return min(plain, at - now_ns + in_old)
