"""A limit: a named rule of so many tokens a period, and how several of them are checked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from zae_limiter import bucket
from zae_limiter.exceptions import ValidationError
from zae_limiter.naming import check_limit_name, check_unit
from zae_limiter.rates import parse_rates, rate_text

if TYPE_CHECKING:
    from zae_limiter.models.states import BucketState

MOST_LIMITS: Final = 30


@dataclass(frozen=True, slots=True)
class Limit:
    """A named rule: `capacity` tokens a period, at most `burst` at once.

    The rate is `refill_amount` tokens in `refill_period_seconds`; `burst` is what a full bucket holds.
    `unit` says what the tokens count: an amount given as an int is taken of limits whose unit is "requests".
    `header_suffix` names the limit in headers of the OpenAI style.

    Raises `ValidationError` for numbers below 1, a burst below capacity, more than 1e9 tokens a second,
    and a bucket that would take over 100 years to fill; `InvalidNameError` for the name.
    """

    name: str
    capacity: int
    burst: int
    refill_amount: int
    refill_period_seconds: int
    unit: str = "requests"
    header_suffix: str | None = None
    rate: bucket.Rate = field(init=False, repr=False, compare=False, default=(1, 1))
    fill_ns: int = field(init=False, repr=False, compare=False, default=1)

    def __post_init__(self) -> None:
        check_limit_name(self.name)
        check_unit(self.unit)
        if self.header_suffix is not None:
            check_unit(self.header_suffix)
        for name in ("capacity", "burst", "refill_amount", "refill_period_seconds"):
            _check_count(name, getattr(self, name))
        if self.burst < self.capacity:
            raise ValidationError("burst", str(self.burst), f"must be at least the capacity of {self.capacity}")
        period_ns = self.refill_period_seconds * bucket.NS_PER_SECOND
        if self.refill_amount > period_ns:
            raise ValidationError(
                "refill_amount",
                str(self.refill_amount),
                "at most 1e9 tokens a second; count in thousands above",
            )
        rate = bucket.lowest_terms(self.refill_amount, period_ns)
        fill = bucket.span(self.burst, rate)
        if fill > bucket.LONGEST_FILL_NS:
            raise ValidationError("burst", str(self.burst), "an empty bucket would take over 100 years to fill")
        object.__setattr__(self, "rate", rate)
        object.__setattr__(self, "fill_ns", fill)

    @classmethod
    def per_second(cls, name: str, capacity: int, burst: int | None = None, *, unit: str = "requests") -> Limit:
        """So many tokens a second; burst is the capacity if not given."""
        return cls.custom(name, capacity, capacity, 1, burst, unit=unit)

    @classmethod
    def per_minute(cls, name: str, capacity: int, burst: int | None = None, *, unit: str = "requests") -> Limit:
        """So many tokens a minute; burst is the capacity if not given."""
        return cls.custom(name, capacity, capacity, 60, burst, unit=unit)

    @classmethod
    def per_hour(cls, name: str, capacity: int, burst: int | None = None, *, unit: str = "requests") -> Limit:
        """So many tokens an hour; burst is the capacity if not given."""
        return cls.custom(name, capacity, capacity, 3_600, burst, unit=unit)

    @classmethod
    def per_day(cls, name: str, capacity: int, burst: int | None = None, *, unit: str = "requests") -> Limit:
        """So many tokens a day; burst is the capacity if not given."""
        return cls.custom(name, capacity, capacity, 86_400, burst, unit=unit)

    @classmethod
    def custom(
        cls,
        name: str,
        capacity: int,
        refill_amount: int,
        refill_period_seconds: int,
        burst: int | None = None,
        *,
        unit: str = "requests",
    ) -> Limit:
        """A limit whose rate is told apart from its capacity; burst is the capacity if not given."""
        most = capacity if burst is None else burst
        return cls(name, capacity, most, refill_amount, refill_period_seconds, unit)

    @classmethod
    def from_text(cls, text: str, *, unit: str = "requests") -> Limit:
        """One limit as text, such as `100/minute` or `tpm=90000/minute+120000`; several: `limits_from_text`."""
        limits = limits_from_text(text, unit=unit)
        if len(limits) != 1:
            raise ValidationError("limits", text, f"holds {len(limits)} limits, one is expected here")
        return limits[0]

    @classmethod
    def from_bucket_state(cls, state: BucketState) -> Limit:
        """The limit that a bucket's state was derived from, as far as whole tokens and seconds tell."""
        return cls(
            state.limit_name,
            state.capacity_milli // 1000,
            state.burst_milli // 1000,
            state.refill_amount_milli // 1000,
            state.refill_period_ms // 1000,
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Limit:
        """The limit that `to_dict` told; a missing or unknown key is a `ValidationError`."""
        missing = [key for key in _LIMIT_KEYS if key not in data]
        if missing:
            raise ValidationError("limit", ", ".join(missing), "the keys are missing")
        unknown = sorted(set(data) - {*_LIMIT_KEYS, "unit", "header_suffix"})
        if unknown:
            raise ValidationError("limit", ", ".join(unknown), "the keys are unknown")
        return cls(**data)

    def to_dict(self) -> dict[str, str | int]:
        """The limit as plain data; `unit` and `header_suffix` only where they are not the default."""
        data: dict[str, str | int] = {key: getattr(self, key) for key in _LIMIT_KEYS}
        if self.unit != "requests":
            data["unit"] = self.unit
        if self.header_suffix is not None:
            data["header_suffix"] = self.header_suffix
        return data

    @property
    def refill_rate(self) -> float:
        """Tokens a second."""
        return self.refill_amount / self.refill_period_seconds

    def as_text(self) -> str | None:
        """The text that `from_text` reads back; None when the capacity differs from the refill amount."""
        return rate_text(self.name, self.capacity, self.refill_amount, self.refill_period_seconds, self.burst)


_LIMIT_KEYS: Final = ("name", "capacity", "burst", "refill_amount", "refill_period_seconds")


def _check_count(name: str, value: object) -> None:
    if type(value) is not int:
        raise ValidationError(name, repr(value), f"must be an int, got {type(value).__name__}")
    if value < 1:
        raise ValidationError(name, str(value), "must be at least 1")


def limits_from_text(text: str, *, unit: str = "requests") -> tuple[Limit, ...]:
    """Every limit of a text such as `100/minute; 5000/day`.

    All of them count `unit`, "requests" if not given. Raises `ValidationError`, for two limits of one name too.
    """
    limits = tuple(
        Limit.custom(
            parsed.name,
            parsed.amount,
            parsed.amount,
            parsed.period_seconds,
            parsed.burst,
            unit=unit,
        )
        for parsed in parse_rates(text)
    )
    return check_limits(limits)


def check_limits(limits: Iterable[Limit]) -> tuple[Limit, ...]:
    """The limits of one bucket as a tuple; `ValidationError` for a wrong type, duplicates, or more than 30."""
    checked = tuple(limits)
    seen: set[str] = set()
    for limit in checked:
        if not isinstance(limit, Limit):
            raise ValidationError("limits", repr(limit), f"must hold Limits, got {type(limit).__name__}")
        if limit.name in seen:
            raise ValidationError("limits", limit.name, "two limits have this name; give each its own")
        seen.add(limit.name)
    if len(checked) > MOST_LIMITS:
        raise ValidationError("limits", str(len(checked)), f"a bucket holds at most {MOST_LIMITS} limits")
    return checked
