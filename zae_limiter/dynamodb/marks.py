"""Marks: each write carries one of its own, by which a repeat sees that its first try has landed."""

import itertools
import os
import secrets
import string
from typing import Final

_DIGITS: Final = string.ascii_letters + string.digits + "-_"
_COUNTER: Final = 64**4


class Marks:
    """Four characters for the process and four that count, 24 bits each; drawn anew in a child after a fork."""

    __slots__ = ("_count", "_pid", "_process")

    def __init__(self) -> None:
        self._draw()

    def _draw(self) -> None:
        self._pid = os.getpid()
        self._process = _text(secrets.randbelow(_COUNTER))
        self._count = itertools.count(secrets.randbelow(_COUNTER))

    def next(self) -> str:
        """A mark that no other write of this process has had lately, and one of no other process but by chance."""
        if self._pid != os.getpid():
            self._draw()
        return self._process + _text(next(self._count) % _COUNTER)


def _text(number: int) -> str:
    return _DIGITS[number >> 18] + _DIGITS[(number >> 12) & 63] + _DIGITS[(number >> 6) & 63] + _DIGITS[number & 63]
