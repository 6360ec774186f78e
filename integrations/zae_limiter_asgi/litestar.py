"""The limiter in Litestar: a plugin, and `opt={"zae_limiter": rate_limit(...)}` at handlers, controllers and routers.

The plugin puts the middleware behind the application's own, so that authentication has found the user.
"""

from collections.abc import AsyncGenerator, MutableMapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Unpack

from zae_limiter.exceptions import MissingExtraError
from zae_limiter.limiter import RateLimiter
from zae_limiter_asgi.middleware import ZaeLimiterMiddleware, refusal_of
from zae_limiter_http import (
    EXEMPT,
    Lease,
    Passed,
    RateLimiterUnavailable,
    RateLimitExceeded,
    Rule,
    SettingsError,
    current_lease,
    placed,
    read_settings,
)
from zae_limiter_http.words import SettingWords

try:
    from litestar.config.app import AppConfig
    from litestar.connection import Request
    from litestar.plugins import InitPlugin
    from litestar.response import Response
except ImportError as error:
    raise MissingExtraError("litestar", "zae_limiter_asgi.litestar") from error

__all__ = [
    "EXEMPT",
    "Lease",
    "Passed",
    "RateLimitExceeded",
    "RateLimiterUnavailable",
    "Rule",
    "SettingsError",
    "ZaeLimiterMiddleware",
    "ZaeLimiterPlugin",
    "current_lease",
    "rate_limit",
]


def rate_limit(limits: Any = None, **words: Any) -> Rule:
    """A rule for `opt={"zae_limiter": ...}`; takes the words of `Rule` but `match`.

    The resource is the route unless one is named. Raises `SettingsError` with all mistakes.
    """
    return placed(limits, words)


class ZaeLimiterPlugin(InitPlugin):
    """Puts the limiter in front of every route of an application; takes the words of `ZaeLimiterMiddleware`.

    The limiter is opened before the application starts and closed after its end. A refusal that a handler causes
    is answered like any other, unless the application has an exception handler for `RateLimitExceeded`.

    Raises `SettingsError` with all mistakes.
    """

    __slots__ = ("_words",)

    def __init__(
        self,
        *,
        store: str | None = None,
        limiter: RateLimiter | None = None,
        rules: Sequence[Rule | dict[str, Any]] = (),
        **settings: Unpack[SettingWords],
    ) -> None:
        self._words: dict[str, Any] = {"store": store, "limiter": limiter, "rules": rules, **settings}
        read_settings({**self._words, "rules": rules or None})

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Hang the limiter into an application."""
        guard = ZaeLimiterMiddleware(_Unplaced(debug=app_config.debug), **self._words)
        # Litestar makes its middleware anew for each route; all of them share one limiter.
        around: Any = guard.around
        app_config.middleware = [*app_config.middleware, around]
        app_config.lifespan = [_opened(guard), *app_config.lifespan]
        app_config.on_shutdown = [*app_config.on_shutdown, guard.opening.close]
        app_config.exception_handlers = dict(app_config.exception_handlers)
        answer_refusals(app_config.exception_handlers)
        return app_config


def _opened(guard: ZaeLimiterMiddleware) -> Any:
    @asynccontextmanager
    async def opened(_: Any) -> AsyncGenerator[None, None]:
        await guard.opening.open()
        yield  # closed by a hook instead: Litestar calls the hooks for the shutdown after the end of all lifespans

    return opened


def answer_refusals(handlers: MutableMapping[Any, Any]) -> None:
    """Add exception handlers for the refusals that a handler causes; those of the application's own stand."""
    for kind in (RateLimitExceeded, RateLimiterUnavailable):
        handlers.setdefault(kind, _answered)


class _Unplaced:
    def __init__(self, *, debug: bool) -> None:
        self.debug = debug

    async def __call__(self, *_: Any) -> None:
        raise RuntimeError("the limiter stands around no application")  # pragma: no cover - Litestar gives it routes


def _answered(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    refusal = refusal_of(error, request.scope)  # type: ignore[arg-type]
    if refusal is None:
        raise error
    headers = [(name, value) for name, value in refusal.headers if name != "Content-Length"]
    media = dict(headers)["Content-Type"]
    return Response(refusal.body, status_code=refusal.status, headers=dict(headers), media_type=media)
