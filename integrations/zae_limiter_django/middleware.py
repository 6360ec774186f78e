"""ZaeLimiterMiddleware: lets a request in or answers it, for plain and async stacks alike.

Which of the two it serves is decided once, when Django makes it.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from asgiref.sync import markcoroutinefunction

from zae_limiter.blocking import run
from zae_limiter_django import conf
from zae_limiter_django.guard import CANCELLED_BY_THE_CLIENT
from zae_limiter_django.limits import KEY, WRITTEN_OUTSIDE, Lent, RequestLimits
from zae_limiter_django.responses import RefusedResponse, write_fields
from zae_limiter_django.views import is_async, rules_of


class ZaeLimiterMiddleware:
    """Puts the limiter in front of the views; `ZAE_LIMITER` says how.

    It stands below `AuthenticationMiddleware` where users are keys, and below CORS.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response
        self._is_async = is_async(get_response)
        # Chosen here: Django would run the plain form in a thread of an async stack.
        self.process_view: Callable[..., Any] = self._plain_view
        if self._is_async:
            markcoroutinefunction(self)
            self.process_view = self._async_view

    def __call__(self, request: Any) -> Any:
        """Serve one request."""
        limits: RequestLimits[Any] | None = getattr(request, KEY, None)
        if limits is not None and not limits._is_ended:
            # Installed a second time, further in: everything is done by the outer one.
            return self.get_response(request)
        return self._served_async(request) if self._is_async else self._served(request)

    def _served(self, request: Any) -> Any:
        guard = conf.guard(is_async=False)
        limits = guard.begin(request)
        refused = run(guard.enter(limits))
        if refused is not None:
            return refused
        try:
            with Lent(limits):
                response = self.get_response(request)
        except BaseException:
            run(guard.end(limits, None))
            raise
        run(guard.finish(limits, response))
        return response

    async def _served_async(self, request: Any) -> Any:
        guard = conf.guard(is_async=True)
        limits = guard.begin(request)
        refused = await guard.enter(limits)
        if refused is not None:
            return refused
        try:
            with Lent(limits):
                response = await self.get_response(request)
        except asyncio.CancelledError:
            await guard.end(limits, CANCELLED_BY_THE_CLIENT)
            raise
        except BaseException:
            await guard.end(limits, None)
            raise
        await guard.finish(limits, response)
        return response

    def _plain_view(self, request: Any, view: Any, *_: Any) -> RefusedResponse | None:
        limits: RequestLimits[Any] = getattr(request, KEY)
        limits._view = view
        rules = rules_of(view, request.method)
        return run(limits._guard.at_view(limits, rules)) if rules else None

    async def _async_view(self, request: Any, view: Any, *_: Any) -> RefusedResponse | None:
        limits: RequestLimits[Any] = getattr(request, KEY)
        limits._view = view
        rules = rules_of(view, request.method)
        return await limits._guard.at_view(limits, rules) if rules else None

    def process_exception(self, request: Any, exception: Exception) -> RefusedResponse | None:
        """The answer where a view did not catch one of the limiter's own errors, such as a refused `lease.consume`."""
        limits: RequestLimits[Any] = getattr(request, KEY)
        return limits._guard.answer(limits, exception)


class ZaeLimiterHeaderMiddleware:
    """Writes the header fields outside a cache, so that it never replays those of one client to another.

    It stands above `UpdateCacheMiddleware`, with `ZaeLimiterMiddleware` below it.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response
        self._is_async = is_async(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any:
        """Serve one request."""
        setattr(request, WRITTEN_OUTSIDE, True)
        if self._is_async:
            return self._served_async(request)
        return _written(request, self.get_response(request))

    async def _served_async(self, request: Any) -> Any:
        return _written(request, await self.get_response(request))


def _written(request: Any, response: Any) -> Any:
    # A response from the cache was served without the limiter: there is nothing to write.
    limits: RequestLimits[Any] | None = getattr(request, KEY, None)
    if limits is not None:
        write_fields(response, limits._fields)
    return response
