"""Which limits apply: the levels at which they can be set, nearest first. Pure."""

from collections.abc import Iterable, Sequence
from typing import Final

from zae_limiter.models import ConfigSource, Limit

MOST_LEVELS: Final = 8
"""Entities that one charge may count at: the charged one and its parents."""


def nearest(
    levels: Iterable[tuple[ConfigSource, Sequence[Limit]]],
) -> tuple[tuple[Limit, ...], ConfigSource | None]:
    """The first level that has limits wins entirely; levels are never merged."""
    for source, limits in levels:
        if limits:
            return tuple(limits), source
    return (), None
