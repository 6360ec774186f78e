"""A lease: a grant that is still open. It can be adjusted, then settles or is given back.

The charge is written before the lease is there; what is adjusted or released is written once, at its end.
"""

import contextlib
from collections.abc import Mapping, Sequence
from contextvars import ContextVar, Token
from typing import Final, TypeAlias

from zae_limiter import bucket, decision
from zae_limiter.debits import check_amount, undone
from zae_limiter.exceptions import RateLimitExceeded, ValidationError
from zae_limiter.models import Change, Charge, Debit, Image, Limit, LimitStatus, Refused, Stale
from zae_limiter.store_calls import StoreCalls

Parts: TypeAlias = Sequence[tuple[Charge, Sequence[Debit]]]

_HAS_ENDED: Final = "the lease has ended; adjust it inside its 'with' block"

_CURRENT: ContextVar["Lease | None"] = ContextVar("zae_limiter_lease", default=None)


class _Held:
    """What a lease holds of one bucket."""

    __slots__ = ("charged", "debit", "debits", "image", "pending")

    def __init__(self, debit: Debit, image: Image) -> None:
        self.debit = debit
        self.image = image
        self.charged = dict(debit.amounts)
        self.debits = {name: 1 for name, amount in debit.amounts.items() if amount}
        self.pending: dict[str, int] = {}

    def holds(self, name: str) -> int:
        return self.charged.get(name, 0) + self.pending.get(name, 0)


class Lease:
    """What a charge granted, until its end.

    `degraded` is true when the store could not be used and the work was let pass: such a lease records nothing.
    `refused` is what the last call of `consume` was refused with, for whoever answers in its place. Where a part of
    what was asked for went uncharged, `is_partial` lets the limits of that part be adjusted all the same, to no effect.
    """

    __slots__ = (
        "_calls",
        "_debits",
        "_held",
        "_images",
        "_now_ns",
        "_parts",
        "_timeout_ns",
        "degraded",
        "is_open",
        "is_partial",
        "refused",
    )

    def __init__(
        self,
        calls: StoreCalls,
        debits: Sequence[Debit],
        images: Sequence[Image],
        now_ns: int,
        timeout_ns: int,
        parts: Parts = (),
        *,
        degraded: bool = False,
    ) -> None:
        self._calls = calls
        self._debits = debits
        self._parts = parts
        self._images = images
        self._held: list[_Held] | None = None
        self._now_ns = now_ns
        self._timeout_ns = timeout_ns
        self.degraded = degraded
        self.is_open = True
        self.is_partial = False
        self.refused: RateLimitExceeded | None = None

    def _each(self) -> list[_Held]:
        if self._held is None:
            self._held = [_Held(debit, image) for debit, image in zip(self._debits, self._images, strict=True)]
        return self._held

    @property
    def statuses(self) -> list[LimitStatus]:
        """How every limit stands after this charge, the entity's first, then its parents'; without I/O.

        What was adjusted and is not written yet is shown.
        """
        return decision.standing(*self._state())

    def _left(self) -> list[tuple[Debit, Limit, int]]:
        return decision.left_of(*self._state())

    def _state(self) -> tuple[Sequence[Debit], Sequence[Image], Sequence[Mapping[str, int]] | None, int]:
        if self._held is None:
            return self._debits, self._images, None, self._now_ns
        images = [each.image for each in self._held]
        return self._debits, images, [each.pending for each in self._held], self._now_ns

    @property
    def is_changed(self) -> bool:
        """Whether something was adjusted or released that is not written yet; it is at the end."""
        return self._held is not None and any(any(each.pending.values()) for each in self._held)

    @property
    def consumed(self) -> dict[str, int]:
        """Tokens that this lease holds of each limit, counted once however many parents were charged too."""
        found: dict[str, int] = {}
        for each in self._each():
            if each.debit.is_leaf:
                for name in (*each.charged, *each.pending):
                    found.setdefault(name, each.holds(name))
        return found

    async def consume(self, /, **amounts: int) -> None:
        """Charge more, all or nothing, written at once.

        Raises `RateLimitExceeded` when it does not fit, `RateLimiterUnavailable` without a store,
        `ValidationError` for unknown limits and negative amounts.
        """
        self.refused = None
        try:
            await self._consume(amounts)
        except RateLimitExceeded as error:
            self.refused = error
            raise

    async def _consume(self, amounts: Mapping[str, int]) -> None:
        self._check(amounts)
        _check_positive(amounts)
        if self.degraded:
            return
        held = [each for each in self._each() if _named(each.debit, amounts)]
        debits = [each.debit._replace(amounts=_named(each.debit, amounts), version=0) for each in held]
        if not any(any(debit.amounts.values()) for debit in debits):
            return
        refuse_what_never_fits(debits, [each.image for each in held], self._calls.clock.now_ns())
        deadline_ns = self._calls.clock.monotonic_ns() + self._timeout_ns
        while isinstance(outcome := await self._calls.debit(debits, deadline_ns), Stale):
            # Its limits stay those it was granted under; the store only wants them to be looked at again.
            await self._calls.resolve(debits[0].entity_id, debits[0].resource, deadline_ns)
        if isinstance(outcome, Refused):
            raise RateLimitExceeded(decision.refusal(debits, outcome))
        if not self.is_open:
            # The block ended while the store was asked, and settled or gave back what it knew of.
            await self._calls.settle([undone(debit) for debit in debits])
            raise RuntimeError(_HAS_ENDED)
        self._now_ns = outcome.now_ns
        for each, debit, image in zip(held, debits, outcome.images, strict=True):
            each.image = image
            for name, amount in debit.amounts.items():
                each.charged[name] = each.charged.get(name, 0) + amount
                each.debits[name] = each.debits.get(name, 0) + (1 if amount else 0)

    async def adjust(self, /, **amounts: int) -> None:
        """Take more (above 0) or give back (below 0) without a check; the bucket may go into debt.

        Raises `ValidationError` for unknown limits, for giving back more than is held, and for over 100 years
        of refill.
        """
        self._check(amounts)
        held = self._each()
        for each in held:
            for name, amount in _named(each.debit, amounts).items():
                if each.holds(name) + amount < 0:
                    raise ValidationError(
                        name, str(amount), f"the lease holds {each.holds(name)}; release at most that"
                    )
                _check_span(each, name, amount)
        for each in held:
            for name, amount in _named(each.debit, amounts).items():
                each.pending[name] = each.pending.get(name, 0) + amount

    def charged(self, charge: Charge) -> dict[str, int]:
        """Tokens of each limit that one of the charges behind this lease took from its entity."""
        own = (charge.entity_id, charge.resource)
        found = [debit for debit in self._part(charge) if (debit.entity_id, debit.resource) == own]
        return dict(found[0].amounts) if found else {}

    async def adjust_charge(self, charge: Charge, /, **amounts: int) -> None:
        """Adjust one of the charges behind this lease alone; what is given back is at most what is held.

        Raises `ValidationError` for unknown limits and for over 100 years of refill.
        """
        self._check(amounts)
        buckets = [(debit.entity_id, debit.resource) for debit in self._part(charge)]
        held = [each for each in self._each() if (each.debit.entity_id, each.debit.resource) in buckets]
        for each in held:
            for name, amount in _named(each.debit, amounts).items():
                _check_span(each, name, amount)
        for each in held:
            for name, amount in _named(each.debit, amounts).items():
                each.pending[name] = each.pending.get(name, 0) + max(amount, -each.holds(name))

    def _part(self, charge: Charge) -> Sequence[Debit]:
        return next((debits for other, debits in self._parts if other is charge), () if self._parts else self._debits)

    async def release(self, /, **amounts: int) -> None:
        """Give part back; `ValidationError` for more than is held."""
        self._check(amounts)
        _check_positive(amounts)
        await self.adjust(**{name: -amount for name, amount in amounts.items()})

    async def settle(self) -> None:
        """End the lease and write what was adjusted; a second call does nothing, a failure is logged, not raised."""
        if not self.is_open:
            return
        self.is_open = False
        if self._held is None:
            return
        changes = [
            Change(each.debit.entity_id, each.debit.resource, each.debit.limits, deltas, each.debits)
            for each in self._held
            if (deltas := {name: delta for name, delta in each.pending.items() if delta})
        ]
        await self._calls.settle(changes)

    async def roll_back(self) -> None:
        """End the lease and give all back that it charged; a second call does nothing."""
        if not self.is_open:
            return
        self.is_open = False
        changes = [
            Change(each.debit.entity_id, each.debit.resource, each.debit.limits, deltas, each.debits)
            for each in self._each()
            if (deltas := {name: -amount for name, amount in each.charged.items() if amount})
        ]
        await self._calls.settle(changes)

    def _check(self, amounts: Mapping[str, int]) -> None:
        if not self.is_open:
            raise RuntimeError(_HAS_ENDED)
        known = {limit.name for debit in self._debits for limit in debit.limits}
        for name, amount in amounts.items():
            check_amount(name, amount)
            if known and name not in known and not (self.degraded or self.is_partial):
                raise ValidationError(
                    "amounts", name, f"the lease has no such limit; it has {', '.join(sorted(known))}"
                )


def current_lease() -> Lease:
    """The lease of the request or block that is running; `RuntimeError` where none is open."""
    lease = _CURRENT.get()
    if lease is None or not lease.is_open:
        raise RuntimeError("no lease is open here; call this inside 'acquire' or a request that a rule covers")
    return lease


def take_back(token: Token["Lease | None"], lease: Lease | None) -> None:
    """Let `current_lease()` find what it found before, unless a lease that began later is still the current one."""
    if _CURRENT.get() is lease:
        with contextlib.suppress(ValueError):  # ended in another context than it began in: there it is not set
            _CURRENT.reset(token)


class lend_as_current:  # noqa: N801 - a `with` block like those of contextlib, without their generator
    """Let `current_lease()` find a lease within a block."""

    __slots__ = ("_last", "_lease", "_token")

    def __init__(self, lease: Lease | None) -> None:
        self._lease = self._last = lease

    def __enter__(self) -> None:
        self._token = _CURRENT.set(self._lease)

    def go_on_with(self, lease: Lease) -> None:
        """Let it find another one from now to the end of the block."""
        self._last = lease
        _CURRENT.set(lease)

    def __exit__(self, *_: object) -> None:
        # The other one may have been lent in another task than the block began in, or in this one.
        take_back(self._token, self._last if _CURRENT.get() is self._last else self._lease)


def _check_span(held: _Held, name: str, amount: int) -> None:
    rate = next(limit.rate for limit in held.debit.limits if limit.name == name)
    if bucket.span(held.pending.get(name, 0) + amount, rate) > bucket.LONGEST_FILL_NS:
        raise ValidationError(name, str(amount), "is over 100 years of refill")


def _check_positive(amounts: Mapping[str, int]) -> None:
    for name, amount in amounts.items():
        if amount < 0:
            raise ValidationError(name, str(amount), "must not be negative")


def refuse_what_never_fits(debits: Sequence[Debit], images: Sequence[Image], now_ns: int) -> None:
    """Raise `RateLimitExceeded` for an amount above a burst: no wait makes it fit, so nothing is sent."""
    for debit in debits:
        for limit in debit.limits:
            if debit.amounts.get(limit.name, 0) > limit.burst:
                raise RateLimitExceeded(decision.statuses(debits, images, now_ns))


def _named(debit: Debit, amounts: Mapping[str, int]) -> dict[str, int]:
    return {limit.name: amounts[limit.name] for limit in debit.limits if limit.name in amounts}
