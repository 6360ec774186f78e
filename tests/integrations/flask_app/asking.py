"""Asks an application of Flask in process."""

import functools
from typing import Any

from flask import Flask

from zae_limiter_flask import ZaeLimiter

Pair = tuple[Flask, ZaeLimiter]


def statuses(app: Flask, path: str, times: int = 3, method: str = "GET", **words: Any) -> list[int]:
    """The status of each of so many requests."""
    client = app.test_client()
    return [client.open(path, method=method, **words).status_code for _ in range(times)]


def passed_through(view: Any) -> Any:
    """What a decorator that uses functools.wraps makes of a view."""

    @functools.wraps(view)
    def wrapper(*args: Any, **words: Any) -> Any:
        return view(*args, **words)

    return wrapper


def fresh() -> Any:
    """A view that nobody has put a limit on."""
    return lambda *_, **__: "x"
