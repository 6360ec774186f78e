"""Django Ninja: a throttle that asks the limiter, for plain and async operations, and the answer to its refusals.

Imported only by projects that use the framework.
"""

import asyncio
from contextvars import ContextVar
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from ninja.throttling import BaseThrottle

from zae_limiter.blocking import run
from zae_limiter_django import conf
from zae_limiter_django.facts import user_of_view
from zae_limiter_django.limits import RequestLimits, limits_of
from zae_limiter_django.responses import RefusedResponse
from zae_limiter_http import Refusal, placed

# One throttle serves all requests, and `wait` is asked right after `allow_request`, without the request.
_SECONDS: Final[ContextVar[int | None]] = ContextVar("zae_limiter_ninja", default=None)


class ZaeThrottle(BaseThrottle):
    """`throttle=ZaeThrottle("100/minute", key="user")` for an API, a router or an operation; takes the words of `Rule`.

    `key="user"` is what the operation's own authentication found (`request.auth`), else the user of the session.
    `ZaeLimiterMiddleware` must be installed. An async operation needs a store that answers at once, such as a file:
    the framework asks throttles on the event loop, which must not wait.
    """

    def __init__(self, limits: Any = None, **words: Any) -> None:
        self._rules = (placed(limits, words, place="ZaeThrottle"),)

    def allow_request(self, request: HttpRequest) -> bool:
        """Whether the request may go on."""
        limits = limits_of(request)
        if limits is None:
            raise ImproperlyConfigured(
                "ZaeThrottle needs 'zae_limiter_django.ZaeLimiterMiddleware' in MIDDLEWARE, which ends what it begins"
            )
        limits._facts.user_of = _user
        refusal = self._asked_on_the_loop(limits) if _is_on_a_loop() else self._asked(limits)
        _SECONDS.set(None if refusal is None else refusal.wait_seconds)
        return refusal is None

    def wait(self) -> float | None:
        """Seconds until the request could be granted; None where it never can."""
        return _SECONDS.get()

    def _asked(self, limits: RequestLimits[Any]) -> Refusal | None:
        guard = limits._guard
        return guard.blocking(guard.enter_further(limits, self._rules))

    def _asked_on_the_loop(self, limits: RequestLimits[Any]) -> Refusal | None:
        guard = limits._guard
        if not guard.answers_inline or (guard.is_async and guard.settings.limiter is not None):
            raise ImproperlyConfigured(
                "an async operation cannot wait for this store in a throttle; put @rate_limit on its function instead"
            )
        # The same store in its blocking form: a file that is busy is waited for, for milliseconds.
        guard = conf.guard(is_async=False)
        limits._facts.is_async = False
        try:
            return run(guard.enter_further(limits, self._rules))
        finally:
            limits._facts.is_async = limits._guard.is_async


def _is_on_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _user(request: Any) -> Any:
    found = getattr(request, "auth", None)
    return user_of_view(request) if found is None else getattr(found, "pk", found)


def exception_handler(request: HttpRequest, exc: Any) -> HttpResponse:
    """The limiter's own answer to a refusal: `api.add_exception_handler(Throttled, exception_handler)`."""
    limits = limits_of(request)
    if limits is None or limits.refusal is None:
        raise exc
    return RefusedResponse(limits.refusal)
