"""A bucket's record as an image, and its rates as text. Pure."""

from functools import lru_cache
from typing import Any

from zae_limiter.bucket import Rate
from zae_limiter.dynamodb.items import Item
from zae_limiter.models import Balance
from zae_limiter.schema import CARRIED_AT, FULL_AT, RATE


def image_of(item: Item | None) -> dict[str, Balance]:
    """The balances of a bucket; none where there is no record."""
    if item is None:
        return {}
    carried: Any = item.get(CARRIED_AT)
    carried_at = 0 if carried is None else int(carried["N"])
    return {
        name[len(FULL_AT) :]: Balance(
            int(attribute["N"]), rate_of(item[f"{RATE}{name[len(FULL_AT) :]}"]["S"]), carried_at
        )
        for name, attribute in item.items()
        if name.startswith(FULL_AT)
    }


@lru_cache(maxsize=4_096)
def rate_of(text: str) -> Rate:
    """A rate as it is stored: `amount:period`, in lowest terms."""
    amount, _, period = text.partition(":")
    return int(amount), int(period)


@lru_cache(maxsize=4_096)
def rate_text(rate: Rate) -> str:
    """A rate as it is stored."""
    return f"{rate[0]}:{rate[1]}"
