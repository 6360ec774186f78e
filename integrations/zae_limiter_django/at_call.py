"""What a decorator does when its view is called: nothing where the middleware has charged its rule already."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from django.http import HttpRequest as DjangoRequest

from zae_limiter_django import conf
from zae_limiter_django.facts import through
from zae_limiter_django.guard import CANCELLED_BY_THE_CLIENT, Guard
from zae_limiter_django.limits import Lent, RequestLimits, limits_of
from zae_limiter_django.responses import RefusedResponse
from zae_limiter_http import Rule


def called(rule: Rule, view: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """The response of a plain view, or the refusal of its rule."""
    request = request_among(args)
    limits = limits_of(request)
    if limits is None or limits._is_ended:  # the same request may come again, in a test of its view
        return _alone(rule, view, request, args, kwargs)
    if limits._is_charged(rule):
        return view(*args, **kwargs)
    guard = limits._guard
    through(limits._facts, request, view)
    refusal = guard.blocking(guard.enter_further(limits, (rule,)))
    if refusal is not None:
        return RefusedResponse(refusal)
    with Lent(limits):
        return view(*args, **kwargs)


async def called_async(rule: Rule, view: Callable[..., Awaitable[Any]], args: Any, kwargs: Any) -> Any:
    """The response of an async view, or the refusal of its rule."""
    request = request_among(args)
    limits = limits_of(request)
    if limits is None or limits._is_ended:
        return await _alone_async(rule, view, request, args, kwargs)
    if limits._is_charged(rule):
        return await view(*args, **kwargs)
    through(limits._facts, request, view)
    refusal = await limits._guard.enter_further(limits, (rule,))
    if refusal is not None:
        return RefusedResponse(refusal)
    with Lent(limits):
        return await view(*args, **kwargs)


def _alone(rule: Rule, view: Callable[..., Any], request: Any, args: Any, kwargs: Any) -> Any:
    """The same where no middleware stands around the view: here its charge begins and ends."""
    guard = conf.guard(is_async=False)
    limits = _begun(guard, request, view)
    refused = guard.blocking(guard.enter_alone(limits, rule))
    if refused is not None:
        return refused
    try:
        with Lent(limits):
            response = view(*args, **kwargs)
    except BaseException as error:
        response = guard.answer(limits, error)
        if response is None:
            guard.blocking(guard.end(limits, None))
            raise
    guard.blocking(guard.finish(limits, response))
    return response


async def _alone_async(rule: Rule, view: Callable[..., Awaitable[Any]], request: Any, args: Any, kwargs: Any) -> Any:
    guard = conf.guard(is_async=True)
    limits = _begun(guard, request, view)
    refused = await guard.enter_alone(limits, rule)
    if refused is not None:
        return refused
    try:
        with Lent(limits):
            response = await view(*args, **kwargs)
    except BaseException as error:
        response = guard.answer(limits, error)
        if response is None:
            is_left = isinstance(error, asyncio.CancelledError)
            await guard.end(limits, CANCELLED_BY_THE_CLIENT if is_left else None)
            raise
    await guard.finish(limits, response)
    return response


def _begun(guard: Guard, request: Any, view: Any) -> RequestLimits[Any]:
    limits = guard.begin(getattr(request, "_request", request))
    through(limits._facts, request, view)
    return limits


def request_among(args: tuple[Any, ...]) -> Any:
    """The request of a call: the first argument of a function, the second of a method."""
    for each in args[:2]:
        if isinstance(getattr(each, "_request", each), DjangoRequest):
            return each
    raise TypeError("@rate_limit is for views: no request is among the first two arguments of this call")
