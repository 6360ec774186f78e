"""The one setting, `ZAE_LIMITER`, read here and nowhere else; a guard for each process and each event loop."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from typing import Any, Final
from weakref import WeakKeyDictionary

from django.conf import settings as django_settings

from zae_limiter.blocking import run
from zae_limiter.limiter import RateLimiter
from zae_limiter.sync_limiter import SyncRateLimiter
from zae_limiter_django.guard import Guard
from zae_limiter_http import Settings, SettingsError, limiter_of, sync_limiter_of
from zae_limiter_http.per_process import PerProcess
from zae_limiter_http.sources import gathered

SETTING: Final = "ZAE_LIMITER"
MEMORY: Final = "memory:"


def read() -> Settings:
    """The settings; `SettingsError` with every mistake, each with its place below `ZAE_LIMITER` or its variable."""
    written = getattr(django_settings, SETTING, None)
    if not isinstance(written, Mapping):
        raise SettingsError([f"{SETTING}: must be a dict such as {{'store': 'memory:'}}, got {type(written).__name__}"])
    words, mistakes = gathered({str(name): value for name, value in written.items()})
    try:
        found = Settings.of(words)
    except SettingsError as error:
        raise SettingsError([*mistakes, *(f"{SETTING}.{mistake}" for mistake in error.mistakes)]) from None
    if mistakes:
        raise SettingsError(mistakes)
    return found


class Configuration:
    """The setting as one process reads it, with what serves by it."""

    def __init__(self) -> None:
        self.settings = read()
        self._lock = threading.Lock()
        self._blocking: Guard | None = None
        self._by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, Guard] = WeakKeyDictionary()
        self._memory: SyncRateLimiter | None = None

    def blocking(self) -> Guard:
        """The guard for code that blocks."""
        found = self._blocking
        if found is None:
            with self._lock:
                found = self._blocking = self._blocking or self._guard(is_async=False)
        return found

    def awaited(self) -> Guard:
        """The guard of the event loop that runs: a connection belongs to one loop."""
        loop = asyncio.get_running_loop()
        found = self._by_loop.get(loop)
        if found is None:
            with self._lock:
                found = self._by_loop[loop] = self._guard(is_async=True)
        return found

    def _guard(self, *, is_async: bool) -> Guard:
        return Guard(self.settings, self._limiter(is_async=is_async), is_async=is_async)

    def _limiter(self, *, is_async: bool) -> RateLimiter | SyncRateLimiter:
        settings = self.settings
        if settings.store == MEMORY or (not settings.enabled and settings.store is None and settings.limiter is None):
            # Blocking or awaited, it is the same memory: nobody has to wait for it.
            if self._memory is None:
                self._memory = sync_limiter_of(settings.model_copy(update={"store": MEMORY}))
            return RateLimiter(self._memory.repository._core) if is_async else self._memory  # type: ignore[attr-defined]
        development = django_settings.DEBUG
        return (
            limiter_of(settings, development=development)
            if is_async
            else sync_limiter_of(settings, development=development)
        )

    def close(self) -> None:
        """Close what this configuration has opened, as far as no event loop is needed for it."""
        for guard in self._guards() if self.settings.is_limiter_made_here else ():
            if not guard.is_async or guard.answers_inline:
                run(guard.limiter.close())

    def _guards(self) -> Iterator[Guard]:
        if self._blocking is not None:
            yield self._blocking
        yield from self._by_loop.values()


_current: PerProcess[Configuration] = PerProcess(Configuration)


def guard(*, is_async: bool) -> Guard:
    """The guard that serves here; made in the process, and on the event loop, that first asks for it."""
    configuration = _current.get()
    return configuration.awaited() if is_async else configuration.blocking()


def forget(*, setting: str, **_: Any) -> None:
    """Read the setting anew for the next request; a receiver of `setting_changed`."""
    global _current  # noqa: PLW0603 - one for each process, replaced as a whole
    if setting in (SETTING, "ROOT_URLCONF"):
        made = _current.made
        _current = PerProcess(Configuration)
        if made is not None:
            made.close()
