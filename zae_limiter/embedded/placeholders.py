"""Placeholders with numbers, such as `?1`, for the releases of Python that take them for names and warn of each."""

import functools
import re
import sqlite3
import sys
from collections.abc import Sequence
from typing import Any, Final

_NUMBERED: Final = re.compile(r"\?([0-9]+)")


@functools.lru_cache(maxsize=256)
def _in_turn(sql: str) -> tuple[str, tuple[int, ...]]:
    """A statement whose placeholders have no numbers, and the place among the parameters of each of them."""
    return _NUMBERED.sub("?", sql), tuple(int(found) - 1 for found in _NUMBERED.findall(sql))


class InTurn(sqlite3.Connection):
    """A connection that hands over the parameters of a statement in the order in which they are used."""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Run one statement."""
        text, places = _in_turn(sql)
        if places and isinstance(parameters, Sequence):
            return super().execute(text, [parameters[place] for place in places])
        return super().execute(sql, parameters)


# https://github.com/python/cpython/issues/117995
CONNECTION: Final[type[sqlite3.Connection]] = InTurn if (3, 12) <= sys.version_info < (3, 12, 4) else sqlite3.Connection
