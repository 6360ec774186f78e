"""A request of Flask as facts: what a rule may know of it."""

import asyncio
import inspect
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Final, overload

from flask import Request, current_app

from zae_limiter_http import HttpRequest, SettingsError

_NEEDS_EXTRA: Final = "is a coroutine function; Flask runs those with its extra: pip install 'flask[async]'"


class EnvironHeaders(Sequence[tuple[str, str]]):
    """The headers of a WSGI environment, read when somebody asks; servers have joined the lines of one name."""

    __slots__ = ("_environ", "_pairs")

    def __init__(self, environ: Mapping[str, Any]) -> None:
        self._environ = environ
        self._pairs: list[tuple[str, str]] | None = None

    def _all(self) -> list[tuple[str, str]]:
        if self._pairs is None:
            self._pairs = [
                (name[5:].replace("_", "-").lower(), value)
                for name, value in self._environ.items()
                if name.startswith("HTTP_")
            ]
        return self._pairs

    def line(self, name: str) -> str | None:
        """The value of one header, without a look at the others."""
        found: str | None = self._environ.get(f"HTTP_{name.upper().replace('-', '_')}")
        return found

    @overload
    def __getitem__(self, index: int) -> tuple[str, str]: ...

    @overload
    def __getitem__(self, index: slice) -> list[tuple[str, str]]: ...

    def __getitem__(self, index: int | slice) -> tuple[str, str] | list[tuple[str, str]]:
        return self._all()[index]

    def __len__(self) -> int:
        return len(self._all())

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._all())


class FlaskRequest(HttpRequest):
    """The facts of a request of Flask."""

    __slots__ = ()

    def lines(self, name: str) -> list[str]:
        """The line of a header, in a list; empty where there is none."""
        headers: Any = self.headers
        found = headers.line(name)
        return [] if found is None else [found]

    def ask(self, function: Callable[[Any], Any], argument: Any) -> Any:
        """Call what a user has written; a coroutine is run to its end, by the application's way for async views."""
        found = function(argument)
        return _finished(found) if inspect.isawaitable(found) else found


def _finished(found: Awaitable[Any]) -> Any:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return current_app.async_to_sync(_awaited)(found)
    if inspect.iscoroutine(found):
        found.close()
    raise RuntimeError("inside an async view nothing else is awaited: give the limit of a block plain functions")


async def _awaited(found: Awaitable[Any]) -> Any:
    return await found


def refuse_coroutines(places: Sequence[str]) -> None:
    """Raise `SettingsError` for the places of coroutine functions where Flask cannot run them."""
    if places and find_spec("asgiref") is None:
        raise SettingsError([f"{place}: {_NEEDS_EXTRA}" for place in places])


def facts(request: Request) -> HttpRequest:
    """The facts of a request; its route and view are known, because Flask has matched it already."""
    rule = request.url_rule
    environ = request.environ
    return FlaskRequest(
        request.method,
        request.path,
        EnvironHeaders(environ),
        environ.get("REMOTE_ADDR") or None,
        None if rule is None else rule.rule,
        None if rule is None else rule.endpoint,
        request,
        _user,
    )


def _user(_: Request) -> Any:
    """The identity of the user that Flask-Login knows, or None."""
    login = sys.modules.get("flask_login")
    if login is None or not hasattr(current_app, "login_manager"):
        return None
    user = login.current_user
    return user.get_id() if user.is_authenticated else None
