"""`@rate_limit(...)` and `@rate_limit_exempt`: what a view says of itself.

They mark the view, and the middleware charges it. What the middleware cannot see, such as a method of a class-based
view, or a view that is called without it, is charged where it is called.
"""

import functools
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

from django.utils.decorators import method_decorator

from zae_limiter_django.at_call import called, called_async
from zae_limiter_django.views import EXEMPT, RULES, is_async
from zae_limiter_http import Rule, placed

V = TypeVar("V", bound=Callable[..., Any])
_PARENTHESES: Final = "write @rate_limit(...) with parentheses, such as @rate_limit('5/minute')"


def rate_limit(limits: Any = None, **words: Any) -> Callable[[V], V]:
    """A decorator that charges a rule once a request; takes the words of `Rule` but `match`.

    It is for function views and methods of class-based views, plain or async, and for classes themselves. The
    resource is the route unless one is named. Raises `SettingsError` with all mistakes.
    """
    rule = placed(limits, words)

    def decorated(view: V) -> V:
        if not callable(view):  # without parentheses the view was taken for the limits, and this is its request
            raise TypeError(_PARENTHESES)
        if isinstance(view, type):
            return cast("V", method_decorator(_limited(rule), name="dispatch")(view))
        return _limited(rule)(view)

    return decorated


def rate_limit_exempt(view: V) -> V:
    """A decorator: the view is never limited and never charged, whatever the rules say."""
    if isinstance(view, type):
        return cast("V", method_decorator(rate_limit_exempt, name="dispatch")(view))
    # A wrapper, so that the mark stays off the view itself: it may be served without it elsewhere.
    exempt = _wrapped(view, _passed_on, _passed_on)
    setattr(exempt, EXEMPT, True)
    return exempt


def _limited(rule: Rule) -> Callable[[V], V]:
    def decorated(view: V) -> V:
        limited = _wrapped(view, functools.partial(called, rule), functools.partial(called_async, rule))
        setattr(limited, RULES, (*getattr(view, RULES, ()), rule))
        return limited

    return decorated


def _passed_on(view: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    return view(*args, **kwargs)


def _wrapped(view: V, call: Callable[..., Any], call_async: Callable[..., Any]) -> V:
    """A view around a view, async where that is."""
    if is_async(view):

        @functools.wraps(view)
        async def awaiting(*args: Any, **kwargs: Any) -> Any:
            return await call_async(view, args, kwargs)

        return cast("V", awaiting)

    @functools.wraps(view)
    def calling(*args: Any, **kwargs: Any) -> Any:
        return call(view, args, kwargs)

    return cast("V", calling)
