"""What a view is made of, for marks that stand on a part of it."""

import functools
from collections.abc import Iterator
from types import FunctionType
from typing import Any


def layers(view: Any) -> Iterator[Any]:
    """A view, the function of a partial one, and the `__call__` of an object."""
    yield view
    while isinstance(view, functools.partial):
        view = view.func
        yield view
    if not isinstance(view, (FunctionType, type)):
        yield getattr(type(view), "__call__", None)  # noqa: B004 - wanted is the function, not whether there is one
