"""From charges to a lease: which limits apply, the debits to write, the wait for room, a store that fails."""

import logging
import random
from collections.abc import Mapping, Sequence
from contextvars import Token
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Never, TypeAlias

from zae_limiter import decision
from zae_limiter.debits import as_limits, check_consume, debits_of, merged, never_fits
from zae_limiter.exceptions import RateLimiterUnavailable, RateLimitExceeded, ValidationError
from zae_limiter.lease import _CURRENT, Lease, Parts, refuse_what_never_fits, take_back
from zae_limiter.models import Charge, Debit, Granted, OnUnavailable, OnUnavailableAction, Refused, Resolution
from zae_limiter.naming import check_identifier, check_resource
from zae_limiter.store_calls import StoreCalls

OnException: TypeAlias = Literal["roll_back", "keep"]

_LOG_INTERVAL_NS: Final = 60_000_000_000
_MOST_REMEMBERED: Final = 10_000

logger = logging.getLogger("zae_limiter.limiter")


@dataclass(frozen=True, slots=True)
class Options:
    """How a charge is to be made."""

    on_unavailable: OnUnavailableAction | None
    timeout_ns: int
    max_wait_ns: int
    on_exception: OnException


class _Prepared(NamedTuple):
    """The debits to write, whether any wait makes them fit, and which are whose where there are several charges."""

    debits: Sequence[Debit]
    fits: bool
    parts: Parts = ()


_NOTHING_MADE: Final = (None, _Prepared((), fits=True))


class Acquirer:
    """Grants charges through one repository."""

    def __init__(self, calls: StoreCalls) -> None:
        self.calls = calls
        self._next_log_ns = 0
        self._names: set[tuple[str, str]] = set()
        self._made: dict[Charge, tuple[Resolution | None, _Prepared]] = {}

    async def granted(self, charges: Sequence[Charge], options: Options) -> Lease:
        """One lease over all charges, or the error that says why not."""
        checked = [charge for charge in charges if not self._is_free(charge)]
        if not checked:
            return Lease(self.calls, (), (), 0, options.timeout_ns)
        try:
            if options.max_wait_ns:
                return await self._when_there_is_room(checked, options)
            return await self._once(checked, options)
        except RateLimitExceeded as refused:
            for observer in self.calls.observers:
                observer.refused(checked[0].resource, refused.violations)
            raise
        except RateLimiterUnavailable as failure:
            return await self._without_store(checked, failure, options)

    async def _when_there_is_room(self, charges: Sequence[Charge], options: Options) -> Lease:
        clock, runtime = self.calls.clock, self.calls.runtime
        end_ns = clock.monotonic_ns() + options.max_wait_ns
        while True:
            try:
                return await self._once(charges, options)
            except RateLimitExceeded as refused:
                rest_ns = end_ns - clock.monotonic_ns()
                if refused.wait_ns is None or refused.wait_ns > rest_ns:
                    raise
                # Those who wait for one bucket must not all come back at the same moment.
                spread = min(0.1 * refused.retry_after_seconds, rest_ns / 1e9 - refused.wait_ns / 1e9)
                pause = min(refused.retry_after_seconds + random.uniform(0, spread), rest_ns / 1e9)
                await runtime.sleep(pause)

    async def _once(self, charges: Sequence[Charge], options: Options) -> Lease:
        calls = self.calls
        deadline_ns = calls.clock.monotonic_ns() + options.timeout_ns
        while True:
            debits, fits, parts = self._at_hand(charges) or await self._in_force(charges, deadline_ns)
            if not fits:
                await self._refuse(debits)
            outcome = await calls.debit(debits, deadline_ns)
            if isinstance(outcome, Granted):
                for observer in calls.observers:
                    observer.granted(charges[0].resource)
                return Lease(calls, debits, outcome.images, outcome.now_ns, options.timeout_ns, parts)
            if isinstance(outcome, Refused):
                raise RateLimitExceeded(decision.refusal(debits, outcome))
            self._check_time(charges[0], deadline_ns)

    async def _in_force(self, charges: Sequence[Charge], deadline_ns: int) -> _Prepared:
        """The debits by what is remembered of the configuration, or by a second look where that would say no.

        What never reaches the store is not held against its configuration there, and another process may
        have raised a burst or set a limit since. Only a store that counts its changes is asked for it: the
        configuration of any other one is in force here when its time in the cache is over.
        """
        resolutions = await self._resolved(charges, deadline_ns)
        is_counted = resolutions[0].version != 0
        try:
            made = self._prepared(charges, resolutions)
        except ValidationError:
            if not is_counted:
                raise
        else:
            if made.fits or not is_counted:
                return made
        return self._prepared(charges, await self._resolved(charges, deadline_ns, fresh=True))

    def _at_hand(self, charges: Sequence[Charge]) -> _Prepared | None:
        """What the same charge wrote last, as long as its configuration is remembered; it never says no."""
        charge = charges[0]
        if len(charges) > 1 or not _is_plain(charge):
            return None
        found, made = self._made.get(charge, _NOTHING_MADE)
        if found is None or self.calls.repository.remembered(charge.entity_id, charge.resource) is not found:
            return None
        return made

    def _prepared(self, charges: Sequence[Charge], resolutions: Sequence[Resolution]) -> _Prepared:
        parts = [(charge, debits_of(charge, each)) for charge, each in zip(charges, resolutions, strict=True)]
        debits = [debit for _, own in parts for debit in own]
        if len(charges) > 1:
            debits = merged(debits)
        made = _Prepared(debits, not never_fits(debits), parts if len(charges) > 1 else ())
        if made.fits and len(charges) == 1 and _is_plain(charges[0]):
            if len(self._made) >= _MOST_REMEMBERED:
                self._made.clear()
            self._made[charges[0]] = (resolutions[0], made)
        return made

    async def _resolved(self, charges: Sequence[Charge], deadline_ns: int, *, fresh: bool = False) -> list[Resolution]:
        """What is in force for each charge; the first is the oldest, so that the store goes by its version."""
        return [
            await self.calls.resolve(charge.entity_id, charge.resource, deadline_ns, fresh=fresh) for charge in charges
        ]

    def _check_time(self, charge: Charge, deadline_ns: int) -> None:
        if self.calls.clock.monotonic_ns() >= deadline_ns:
            raise RateLimiterUnavailable(
                "the configuration changed again and again until the deadline",
                stack_name=self.calls.repository.address,
                entity_id=charge.entity_id,
                resource=charge.resource,
            )

    def _is_free(self, charge: Charge) -> bool:
        """Whether a charge costs nothing by its form; one that does is checked here."""
        entity_id, resource, consume, limits = charge
        if limits is not None and not isinstance(limits, str) and not limits:
            return not as_limits(limits)
        # The patterns cost as much as the rest of the way: names that were checked are not checked again.
        try:
            is_known = (entity_id, resource) in self._names
        except TypeError:  # no text, which the checks tell
            is_known = False
        if not is_known:
            self._check_names(entity_id, resource)
        if type(consume) is int and consume >= 0:
            return False
        check_consume(consume)
        return not consume

    def _check_names(self, entity_id: str, resource: str) -> None:
        check_identifier(entity_id)
        check_resource(resource)
        if len(self._names) >= _MOST_REMEMBERED:
            self._names.clear()
        self._names.add((entity_id, resource))

    async def _refuse(self, debits: Sequence[Debit]) -> None:
        images: Sequence[Mapping[str, Any]] = [{}] * len(debits)
        if self.calls.repository.capabilities.answers_inline:
            images = await self.calls.repository.read([(debit.entity_id, debit.resource) for debit in debits])
        refuse_what_never_fits(debits, images, self.calls.clock.now_ns())

    async def _without_store(
        self, charges: Sequence[Charge], failure: RateLimiterUnavailable, options: Options
    ) -> Lease:
        resource = charges[0].resource
        cause = failure.cause or failure
        action = options.on_unavailable or await self.calls.stored_action()
        self._log(failure, action)
        if action == "block":
            for observer in self.calls.observers:
                observer.unavailable(resource, cause)
            raise failure
        for observer in self.calls.observers:
            observer.degraded(resource, cause)
        return Lease(self.calls, (), (), 0, options.timeout_ns, degraded=True)

    def _log(self, failure: RateLimiterUnavailable, action: str) -> None:
        now_ns = self.calls.clock.monotonic_ns()
        if now_ns >= self._next_log_ns:
            self._next_log_ns = now_ns + _LOG_INTERVAL_NS
            what = "charges pass unlimited" if action == "allow" else "charges fail"
            logger.error("the store %s is unavailable (%s); %s", failure.stack_name, _told(failure), what)


def _told(failure: RateLimiterUnavailable) -> str:
    """What the store says is wrong; a failure without a cause may speak of an entity, which no log names."""
    if failure.cause is None:
        return type(failure).__name__
    reason = getattr(failure.cause, "reason", None) or failure.cause
    return f"{type(failure.cause).__name__}: {' '.join(str(reason).split())}".removesuffix(": ")


class Acquisition:
    """The `async with` of a charge: gives a `Lease`, settles it at the end, or gives it back on an exception."""

    __slots__ = ("_acquirer", "_charges", "_is_entered", "_lease", "_options", "_token")

    def __init__(self, acquirer: Acquirer, charges: Sequence[Charge], options: Options) -> None:
        self._acquirer = acquirer
        self._charges = charges
        self._options = options
        self._lease: Lease | None = None
        self._token: Token[Lease | None] | None = None
        self._is_entered = False

    async def begin(self) -> Lease:
        """The lease alone, for whoever ends it otherwise than with a block: by `settle` or `roll_back`."""
        return await self._acquirer.granted(self._charges, self._options)

    async def __aenter__(self) -> Lease:
        if self._is_entered:
            raise RuntimeError("the acquisition is entered already; call acquire() for each block")
        self._is_entered = True
        try:
            lease = self._lease = await self._acquirer.granted(self._charges, self._options)
        except BaseException:
            self._is_entered = False
            raise
        self._token = _CURRENT.set(lease)
        return lease

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._lease is None or self._token is None:
            raise RuntimeError("the acquisition was not entered; use 'async with'")
        self._is_entered = False
        take_back(self._token, self._lease)
        if kind is None or self._options.on_exception == "keep":
            await self._lease.settle()
        else:
            await self._lease.roll_back()

    # Hidden from type checkers, which would take the mistake for a way of use and not tell it.
    if not TYPE_CHECKING:

        def __enter__(self) -> Never:
            raise TypeError("this limiter is asynchronous; use 'async with limiter.acquire(...)', or a SyncRateLimiter")

        def __exit__(self, *_: object) -> None: ...

        def __await__(self) -> Never:
            raise TypeError("acquire() is a block and no call; use 'async with limiter.acquire(...) as lease'")


def options(
    on_unavailable: OnUnavailable | str | None,
    timeout: float | None,
    max_wait: float,
    on_exception: OnException,
    default_timeout: float,
) -> Options:
    """The options of a charge, checked; `ValidationError` names the one that is wrong."""
    if on_unavailable is not None and on_unavailable not in ("allow", "block"):
        raise ValidationError("on_unavailable", str(on_unavailable), "must be 'allow' or 'block'")
    if on_exception not in ("roll_back", "keep"):
        raise ValidationError("on_exception", str(on_exception), "must be 'roll_back' or 'keep'")
    action: OnUnavailableAction | None = None
    if on_unavailable is not None:
        action = "allow" if on_unavailable == "allow" else "block"
    seconds = default_timeout if timeout is None else timeout
    return Options(action, nanoseconds("timeout", seconds), nanoseconds("max_wait", max_wait, least=0), on_exception)


def nanoseconds(field: str, seconds: float, *, least: float = 0.001) -> int:
    """A length of time as integer nanoseconds; `ValidationError` for what is no number of seconds in range."""
    if type(seconds) not in (int, float) or not least <= seconds <= 86_400:
        raise ValidationError(field, str(seconds), f"must be a number of seconds from {least} to 86400")
    return int(seconds * 1_000_000_000)


def _is_plain(charge: Charge) -> bool:
    # A bool would be found under the int that it equals, and a list of limits under nothing.
    return type(charge.consume) is int and (charge.limits is None or type(charge.limits) is str)
