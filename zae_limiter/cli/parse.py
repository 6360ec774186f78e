"""What commands are given as text: limits, amounts, metadata, lengths of time."""

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from zae_limiter.models import Limit

limit_option: Final = click.option(
    "--limit",
    "-l",
    "texts",
    multiple=True,
    required=True,
    metavar="NAME:RATE[:BURST[:UNIT]]",
    help="A limit, such as rpm:100/minute:150 or tpm:90000/minute::tokens; may be repeated.",
)

_COLONS: Final = re.compile(r"(?P<name>[^:=/;\s]+):(?P<rate>[^:]+)(?::(?P<burst>\d*))?(?::(?P<unit>[^:]+))?")
_AMOUNT: Final = re.compile(r"[0-9]{1,18}")
_LENGTH: Final = re.compile(r"(?P<number>[0-9]{1,12})\s*(?P<unit>[smhd]?)")
_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}


class Seconds(click.FloatRange):
    """A number of seconds in a range; what compares with no number is none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number; `click.UsageError` for any other text."""
        found = super().convert(value, param, ctx)
        if math.isnan(found):
            self.fail(f"{value!r} is no number of seconds.", param, ctx)
        return found


def limits_of(texts: Sequence[str]) -> "tuple[Limit, ...]":
    """The limits of the texts `name:rate[:burst[:unit]]`; what `rates` reads is read too. Raises `ValidationError`."""
    from zae_limiter.models import check_limits

    return check_limits([limit for text in texts for limit in _limits_in(text)])


def _limits_in(text: str) -> "tuple[Limit, ...]":
    from zae_limiter.exceptions import InvalidNameError, ValidationError
    from zae_limiter.models import limits_from_text

    match = _COLONS.fullmatch(text.strip())
    if match is None:
        return limits_from_text(text)
    rate = f"{match['name']}={match['rate']}" + (f"+{match['burst']}" if match["burst"] else "")
    try:
        return limits_from_text(rate, unit=match["unit"] or "requests")
    except InvalidNameError:
        raise
    except ValidationError as error:
        # In the words in which it was written.
        raise ValidationError(error.field, text, error.reason) from error


def amounts_of(texts: Sequence[str]) -> int | dict[str, int]:
    """What a charge costs: one number, or `name=number` for each limit; 1 if nothing is given."""
    if len(texts) == 1 and _AMOUNT.fullmatch(texts[0]):
        return int(texts[0])
    amounts: dict[str, int] = {}
    for text in texts:
        name, _, number = text.partition("=")
        if not name or not _AMOUNT.fullmatch(number):
            raise click.BadParameter(f"{text!r}: write a number, or NAME=NUMBER for each limit", param_hint="--consume")
        if name in amounts:
            raise click.BadParameter(f"{name!r} is given twice", param_hint="--consume")
        amounts[name] = int(number)
    return amounts or 1


def metadata_of(texts: Sequence[str], hint: str = "--metadata") -> dict[str, str] | None:
    """Metadata from `KEY=VALUE` texts; None if nothing is given."""
    found: dict[str, str] = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not key or not separator:
            raise click.BadParameter(f"{text!r}: write KEY=VALUE", param_hint=hint)
        if key in found:
            raise click.BadParameter(f"{key!r} is given twice", param_hint=hint)
        found[key] = value
    return found or None


def seconds_of(text: str, hint: str) -> int:
    """A length of time: `90`, `90s`, `5m`, `2h`, `1d`."""
    match = _LENGTH.fullmatch(text.strip())
    if match is None or not int(match["number"]):
        raise click.BadParameter(f"{text!r}: write a length of time, such as 90s, 5m or 2h", param_hint=hint)
    return int(match["number"]) * _SECONDS[match["unit"]]
