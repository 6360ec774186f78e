"""`zae-limiter simulate`: what would be refused, given a rate of requests; nothing is stored or asked."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

import click

from zae_limiter.cli.options import errors_told
from zae_limiter.cli.parse import amounts_of, limits_of, seconds_of
from zae_limiter.cli.render import json_option, show_json, show_table

if TYPE_CHECKING:
    from zae_limiter.models import Limit

_MOST_REQUESTS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Simulation:
    """What became of requests that came evenly spaced: counts, refusals by limit, times in seconds."""

    requests: int
    granted: int
    refused: int
    refused_by: dict[str, int]
    first_refusal_seconds: float | None
    longest_wait_seconds: float | None
    """None where waiting would not help."""


@click.command()
@click.argument("limits", nargs=-1, required=True)
@click.option("--rate", required=True, help="How requests come, such as 5/second.")
@click.option("--for", "length", default="1m", show_default=True, help="For how long: 90s, 5m, 2h.")
@click.option("--consume", "-c", "amounts", multiple=True, metavar="[NAME=]NUMBER", help="What each costs.")
@json_option
def simulate(*, limits: tuple[str, ...], rate: str, length: str, amounts: tuple[str, ...], as_json: bool) -> None:
    """Show what LIMITS would refuse if requests came evenly at a rate; starts with a full bucket.

    For example: zae-limiter simulate "100/minute+20" --rate 5/second --for 2m
    """
    from zae_limiter.rates import parse_rates

    with errors_told():
        coming, *more = parse_rates(rate)
        if more:
            raise click.BadParameter(f"{rate!r}: requests come at one rate", param_hint="--rate")
        seconds = seconds_of(length, "--for")
        count = seconds * coming.amount // coming.period_seconds
        if not 1 <= count <= _MOST_REQUESTS:
            raise click.UsageError(f"that is {count:,} requests; choose --rate and --for so that it is 1 to a million")
        period_ns = coming.period_seconds * 1_000_000_000
        times = [number * period_ns // coming.amount for number in range(count)]
        found = simulated(limits_of(limits), amounts_of(amounts), times)
    if as_json:
        show_json(asdict(found))
        return
    wait = found.longest_wait_seconds
    by = ", ".join(f"{name}: {number:,}" for name, number in found.refused_by.items())
    rows = [
        ("requests", f"{found.requests:,}"),
        ("granted", f"{found.granted:,} ({found.granted / found.requests:.1%})"),
        ("refused", f"{found.refused:,}" + (f" ({by})" if by else "")),
        ("first refusal", "-" if found.first_refusal_seconds is None else f"after {found.first_refusal_seconds:.3f} s"),
        ("longest wait told", "for ever" if wait is None else f"{wait:.3f} s"),
    ]
    show_table(("what", "value"), rows)


def simulated(limits: "Sequence[Limit]", consume: int | Mapping[str, int], times_ns: Sequence[int]) -> Simulation:
    """Charge one bucket at each of the times; raises `ValidationError` for a cost of an unknown limit."""
    from zae_limiter import decision
    from zae_limiter.exceptions import ValidationError
    from zae_limiter.models import Debit, Granted, Image

    if isinstance(consume, int):
        amounts = {limit.name: consume if limit.unit == "requests" else 0 for limit in limits}
    else:
        amounts = dict(consume)
        unknown = sorted(set(amounts) - {limit.name for limit in limits})
        if unknown:
            raise ValidationError("consume", unknown[0], "no such limit among those that are simulated")
    debit = Debit("entity", "resource", tuple(limits), amounts)
    image: Image = {}
    refused_by: Counter[str] = Counter()
    granted, first, longest = 0, None, 0.0
    for now_ns in times_ns:
        decided = decision.decide([debit], [image], now_ns)
        if isinstance(decided, Granted):
            granted, image = granted + 1, decided.images[0]
            continue
        first = now_ns / 1e9 if first is None else first
        violated = [status for status in decision.statuses([debit], [image], now_ns) if status.exceeded]
        refused_by.update(status.limit_name for status in violated)
        longest = max(longest, *(status.retry_after_seconds for status in violated))
    count = len(times_ns)
    wait = None if math.isinf(longest) else longest
    return Simulation(count, granted, count - granted, dict(refused_by), first, wait)
