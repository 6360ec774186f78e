"""A request of Django as facts for rules, under WSGI and under ASGI."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from asgiref.sync import async_to_sync, sync_to_async
from django.core.exceptions import SynchronousOnlyOperation
from django.urls import Resolver404, ResolverMatch, get_resolver

from zae_limiter_http import HttpRequest


@dataclass(slots=True)
class RequestFacts(HttpRequest):
    """Facts that are read where Django keeps them, when a rule asks."""

    is_async: bool = False

    def lines(self, name: str) -> list[str]:
        """Every line of a header; Django has joined several to one list already."""
        place = name.upper().replace("-", "_")
        value = self.native.META.get(place if place in _WITHOUT_PREFIX else f"HTTP_{place}")
        return [] if value is None else [value]

    def ask(self, function: Callable[[Any], Any], argument: Any) -> Any:
        """Call what a user has written, plain or async, whoever serves the request."""
        if not self.is_async:
            found = function(argument)
            return async_to_sync(_awaited)(found) if inspect.isawaitable(found) else found
        if id(function) in _NEED_THREADS:
            return sync_to_async(function)(argument)
        try:
            return function(argument)
        except SynchronousOnlyOperation:
            # It reads the database, or the user of a session: from now on it gets a thread, as sync views do.
            _NEED_THREADS[id(function)] = function
            return sync_to_async(function)(argument)

    def place(self, match: ResolverMatch) -> None:
        """Tell the route and the view that the request will reach."""
        self.route = template(match.route)
        self.view = match.view_name


_WITHOUT_PREFIX: Final = frozenset({"CONTENT_TYPE", "CONTENT_LENGTH"})
# The functions themselves beside their numbers, which others would have once they are gone.
_NEED_THREADS: Final[dict[int, Any]] = {}


def facts(request: Any, *, is_async: bool) -> RequestFacts:
    """What a rule may know of a request before its view is known."""
    return RequestFacts(
        method=request.method or "GET",
        # Without the prefix below which a server has put the project: so it stands in the URLs, and in rules.
        path=request.path_info,
        peer=request.META.get("REMOTE_ADDR") or None,
        native=request,
        user_of=user_of_async_view if is_async else user_of_view,
        is_async=is_async,
    )


def through(known: RequestFacts, request: Any, view: Any) -> None:
    """Tell what a view knows when it is called: its name, and the request in the form that it was given."""
    if request is not known.native:
        # A framework over Django has wrapped the request, and knows the user by now.
        known.native, known.user_of = request, user_of_view
    if known.view is None:
        match = request.resolver_match
        if match is None:
            named = view if hasattr(view, "__qualname__") else type(view)
            known.view = f"{named.__module__}.{named.__qualname__}"
        else:
            known.place(match)


def template(route: str) -> str:
    """A route as it is told in every framework: with a slash before it."""
    return f"/{route.removeprefix('^').removesuffix('$').removeprefix('/')}"


def resolved(request: Any) -> ResolverMatch | None:
    """The view that a request will reach, as things stand before inner middleware; None for an unknown URL."""
    try:
        return get_resolver(getattr(request, "urlconf", None)).resolve(request.path_info)
    except Resolver404:
        return None


def user_of_view(request: Any) -> Any:
    """The user as a plain view knows it, or None."""
    return _identity(getattr(request, "user", None))


async def user_of_async_view(request: Any) -> Any:
    """The user as an async view knows it, or None."""
    # `request.user` would read the session, and the database, on the event loop.
    auser = getattr(request, "auser", None)
    return _identity(getattr(request, "user", None) if auser is None else await auser())


def _identity(user: Any) -> Any:
    return user.pk if user is not None and user.is_authenticated else None


async def _awaited(found: Awaitable[Any]) -> Any:
    return await found
