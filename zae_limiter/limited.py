"""The decorator behind `limiter.limited`: each call of a function is one charge."""

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar, cast

from zae_limiter.exceptions import ValidationError
from zae_limiter.models import Amounts

_NOT_SO: Final = (
    "no generator can be limited, since its body runs after the call; take a lease in it with acquire()."
    " Put @limited below @classmethod or @staticmethod, next to the function"
)

F = TypeVar("F", bound=Callable[..., Any])


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
        if isinstance(function, (classmethod, staticmethod)) or _is_generator(function):
            raise ValidationError("function", repr(function), _NOT_SO)
        if _is_coroutine_function(function) is not waits:
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


def _is_generator(function: Callable[..., Any]) -> bool:
    return any(inspect.isgeneratorfunction(each) or inspect.isasyncgenfunction(each) for each in _ways_in(function))


def _is_coroutine_function(function: Callable[..., Any]) -> bool:
    return any(inspect.iscoroutinefunction(each) for each in _ways_in(function))


def _ways_in(function: Any) -> tuple[Any, Any]:
    """A function, and of an object, also of one behind a partial function, its `__call__`."""
    behind = function
    while isinstance(behind, functools.partial):
        behind = behind.func
    return function, getattr(type(behind), "__call__", None)  # noqa: B004 - wanted is the function


def _limited_coroutine(
    function: Callable[..., Awaitable[Any]], charged: Callable[[tuple[Any, ...], dict[str, Any]], Any]
) -> Callable[..., Any]:
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        async with charged(args, kwargs):
            return await function(*args, **kwargs)

    return call
