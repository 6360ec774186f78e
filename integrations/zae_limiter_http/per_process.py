"""PerProcess: something that each process makes for itself, so that a connection is never shared over a fork.

Servers that load an application before they fork (gunicorn with --preload, uWSGI) need it.
"""

import os
import threading
import weakref
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class PerProcess(Generic[T]):
    """What `make` returns, made once in each process when it is first asked for there."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._forget()
        _EVERY.add(self)

    def _forget(self) -> None:
        # The lock too: another thread of the parent may have held it at the moment of the fork.
        self._lock = threading.Lock()
        self._made: tuple[T] | None = None

    def get(self) -> T:
        """The one of this process."""
        made = self._made
        if made is None:
            with self._lock:
                made = self._made
                if made is None:
                    made = self._made = (self._make(),)
        return made[0]

    @property
    def made(self) -> T | None:
        """The one of this process, if somebody has asked for it."""
        return None if self._made is None else self._made[0]


_EVERY: "weakref.WeakSet[PerProcess[Any]]" = weakref.WeakSet()


def _after_fork() -> None:
    for each in list(_EVERY):
        each._forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
