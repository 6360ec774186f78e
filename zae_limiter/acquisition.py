"""From charges to a lease: which limits apply, the debits to write, the wait for room, a store that fails."""

import functools
import inspect
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import Token
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Literal, TypeAlias, TypeVar, cast

from zae_limiter import decision
from zae_limiter.exceptions import RateLimiterUnavailable, RateLimitExceeded, ValidationError
from zae_limiter.lease import _CURRENT, Lease, check_amount, refuse_what_never_fits
from zae_limiter.models import (
    Amounts,
    Charge,
    Debit,
    EffectiveLimits,
    Granted,
    Limit,
    Limits,
    OnUnavailable,
    OnUnavailableAction,
    Refused,
    check_limits,
    limits_from_text,
)
from zae_limiter.naming import check_identifier, check_resource
from zae_limiter.store_calls import StoreCalls

OnException: TypeAlias = Literal["roll_back", "keep"]
F = TypeVar("F", bound=Callable[..., Any])

_LOG_INTERVAL_NS: Final = 60_000_000_000
_MOST_NAMES: Final = 10_000
_cached_limits = functools.lru_cache(maxsize=1024)(limits_from_text)

logger = logging.getLogger("zae_limiter.limiter")


@dataclass(frozen=True, slots=True)
class Options:
    """How a charge is to be made."""

    on_unavailable: OnUnavailableAction | None
    timeout_ns: int
    max_wait_ns: int
    on_exception: OnException


class Acquirer:
    """Grants charges through one repository."""

    def __init__(self, calls: StoreCalls) -> None:
        self.calls = calls
        self._next_log_ns = 0
        self._names: set[tuple[str, str]] = set()

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
            debits = await self._debits_in_force(charges, deadline_ns)
            if _never_fits(debits):
                await self._refuse(debits)
            outcome = await calls.debit(debits, deadline_ns)
            if isinstance(outcome, Granted):
                for observer in calls.observers:
                    observer.granted(charges[0].resource)
                return Lease(calls, debits, outcome.images, outcome.now_ns, options.timeout_ns)
            if isinstance(outcome, Refused):
                raise RateLimitExceeded(decision.statuses(debits, outcome.images, outcome.now_ns))

    async def _debits_in_force(self, charges: Sequence[Charge], deadline_ns: int) -> list[Debit]:
        """The debits by what is remembered of the configuration, or by a second look where that would say no.

        What never reaches the store is not held against its configuration there, and another process may
        have raised a burst or set a limit since. A store that costs a journey is not asked for it.
        """
        try:
            debits = await self._debits(charges, deadline_ns)
        except ValidationError:
            if not self.calls.repository.capabilities.answers_inline:
                raise
        else:
            if not _never_fits(debits) or not self.calls.repository.capabilities.answers_inline:
                return debits
        return await self._debits(charges, deadline_ns, fresh=True)

    async def _debits(self, charges: Sequence[Charge], deadline_ns: int, *, fresh: bool = False) -> list[Debit]:
        debits: list[Debit] = []
        for charge in charges:
            found = await self.calls.resolve(charge.entity_id, charge.resource, deadline_ns, fresh=fresh)
            chain = found.chain
            if charge.limits is not None:
                own = EffectiveLimits(charge.entity_id, as_limits(charge.limits), None)
                chain = (own, *chain[1:])
            elif not chain[0].limits:
                raise ValidationError(
                    "limits",
                    charge.resource,
                    f"no limits are set for {charge.entity_id!r} at any level; pass limits= or set defaults",
                )
            debits += _debits_of(charge, chain)
        return debits if len(charges) == 1 else _merged(debits)

    def _is_free(self, charge: Charge) -> bool:
        """Whether a charge costs nothing by its form; one that does is checked here."""
        entity_id, resource, consume, limits = charge
        if limits is not None and not isinstance(limits, str) and not limits:
            return True
        # The patterns cost as much as the rest of the way: names that were checked are not checked again.
        if (entity_id, resource) not in self._names:
            check_identifier(entity_id)
            check_resource(resource)
            if len(self._names) >= _MOST_NAMES:
                self._names.clear()
            self._names.add((entity_id, resource))
        if type(consume) is int and consume >= 0:
            return False
        _check_amounts(consume)
        return not consume

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
        action = options.on_unavailable or await self.calls.repository.resolve_on_unavailable()
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
            cause = failure.cause or failure
            logger.error("the store %s is unavailable (%s); %s", failure.stack_name, type(cause).__name__, what)


class Acquisition:
    """The `async with` of a charge: gives a `Lease`, settles it at the end, or gives it back on an exception."""

    __slots__ = ("_acquirer", "_charges", "_lease", "_options", "_token")

    def __init__(self, acquirer: Acquirer, charges: Sequence[Charge], options: Options) -> None:
        self._acquirer = acquirer
        self._charges = charges
        self._options = options
        self._lease: Lease | None = None
        self._token: Token[Lease | None] | None = None

    async def begin(self) -> Lease:
        """The lease alone, for whoever ends it otherwise than with a block: by `settle` or `roll_back`."""
        return await self._acquirer.granted(self._charges, self._options)

    async def __aenter__(self) -> Lease:
        lease = await self.begin()
        self._lease = lease
        self._token = _CURRENT.set(lease)
        return lease

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._token is not None:
            try:
                _CURRENT.reset(self._token)
            except ValueError:  # ended in another context than it began in: there it is not set
                self._token = None
        if self._lease is None:
            raise RuntimeError("the acquisition was not entered; use 'async with'")
        if kind is None or self._options.on_exception == "keep":
            await self._lease.settle()
        else:
            await self._lease.roll_back()


def as_limits(limits: Limits) -> tuple[Limit, ...]:
    """Limits given as text or as values, checked."""
    return _cached_limits(limits) if isinstance(limits, str) else check_limits(limits)


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


def _check_amounts(consume: int | Amounts) -> None:
    if not isinstance(consume, Mapping):
        consume = {"consume": consume}
    for name, amount in consume.items():
        if type(amount) is not int:
            check_amount(name, amount)
        if amount < 0:
            raise ValidationError(name, str(amount), "must not be negative; give back with lease.release()")


def _never_fits(debits: Sequence[Debit]) -> bool:
    for _, _, limits, amounts, _ in debits:
        for limit in limits:
            amount = amounts.get(limit.name)
            if amount is not None and amount > limit.burst:
                return True
    return False


def _debits_of(charge: Charge, chain: Sequence[EffectiveLimits]) -> list[Debit]:
    consume, resource = charge.consume, charge.resource
    debits: list[Debit] = []
    if not isinstance(consume, int):
        _check_names(consume, chain)
        for index, level in enumerate(chain):
            named = {limit.name: consume[limit.name] for limit in level.limits if limit.name in consume}
            if named:
                debits.append(Debit(level.entity_id, resource, level.limits, named, index == 0))
        return debits
    for index, level in enumerate(chain):
        if level.limits:
            amounts = {limit.name: consume if limit.unit == "requests" else 0 for limit in level.limits}
            debits.append(Debit(level.entity_id, resource, level.limits, amounts, index == 0))
    return debits


def _check_names(consume: Amounts, chain: Sequence[EffectiveLimits]) -> None:
    known = [limit.name for level in chain for limit in level.limits]
    for name in consume:
        if name not in known:
            raise ValidationError("consume", name, f"no such limit here; in force are {', '.join(sorted(known))}")


def _merged(debits: Sequence[Debit]) -> list[Debit]:
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
    merged = check_limits(limits.values())
    return Debit(first.entity_id, first.resource, merged, amounts, first.is_leaf or second.is_leaf)


def limited(
    begin: Callable[[str, str, int | Amounts], Any],
    *,
    entity_id: str | Callable[..., str],
    resource: str | Callable[..., str],
    consume: int | Amounts | Callable[..., int | Amounts],
    waits: bool,
) -> Callable[[F], F]:
    """The decorator behind `limiter.limited`: each call of the function is one charge.

    `waits` says for which face: coroutine functions for the async one, plain functions for the other.
    """

    def charged(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        def given(value: Any) -> Any:
            return value(*args, **kwargs) if callable(value) else value

        return begin(given(entity_id), given(resource), given(consume))

    def decorate(function: F) -> F:
        if inspect.iscoroutinefunction(function) is not waits:
            raise ValidationError(
                "function",
                getattr(function, "__qualname__", repr(function)),
                "RateLimiter.limited takes coroutine functions, SyncRateLimiter.limited plain ones",
            )
        if waits:
            return cast("F", _limited_coroutine(function, charged))

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with charged(args, kwargs):
                return function(*args, **kwargs)

        return cast("F", call)

    return decorate


def _limited_coroutine(
    function: Callable[..., Awaitable[Any]], charged: Callable[[tuple[Any, ...], dict[str, Any]], Any]
) -> Callable[..., Any]:
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        async with charged(args, kwargs):
            return await function(*args, **kwargs)

    return call
