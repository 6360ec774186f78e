"""The limiter of an application: handed in, or made from the address of its store; one setting for every framework."""

from pathlib import Path
from typing import Any, Final

from zae_limiter.exceptions import ValidationError
from zae_limiter.limiter import RateLimiter
from zae_limiter.stores import open_limiter, open_sync_limiter
from zae_limiter.sync_limiter import SyncRateLimiter
from zae_limiter_http.rule import SettingsError
from zae_limiter_http.settings import Settings

DEVELOPMENT_FILE: Final = "zae-limiter.db"
_CHOICES: Final = (
    "store: say where to count: store='embedded:///var/lib/app/limits.db' for a file that processes share,"
    " store='memory:' for one process, or limiter=... for one made by hand"
)


def limiter_of(settings: Settings, *, development: bool = False) -> RateLimiter:
    """The limiter that `store` or `limiter` names, not opened yet.

    Without either it is a file in the current folder where an application is being developed, else a
    `SettingsError` that names the choices.
    """
    if settings.limiter is None:
        return open_limiter(_address(settings, development=development))
    found = _made(settings.limiter)
    if not isinstance(found, RateLimiter):
        raise SettingsError([f"limiter: must be a RateLimiter here, or make one; got {type(found).__name__}"])
    return found


def sync_limiter_of(settings: Settings, *, development: bool = False) -> SyncRateLimiter:
    """The blocking twin of `limiter_of`."""
    if settings.limiter is None:
        return open_sync_limiter(_address(settings, development=development))
    found = _made(settings.limiter)
    if not isinstance(found, SyncRateLimiter):
        raise SettingsError([f"limiter: must be a SyncRateLimiter here, or make one; got {type(found).__name__}"])
    return found


def _made(limiter: Any) -> Any:
    # A function makes one in the process that uses it: what is open before a fork is not shared by it.
    return limiter() if callable(limiter) else limiter


def _address(settings: Settings, *, development: bool) -> str:
    if settings.store is None:
        if not development:
            raise SettingsError([_CHOICES])
        return f"embedded://{(Path.cwd() / DEVELOPMENT_FILE).as_posix()}"
    try:
        open_limiter(settings.store)
    except ValidationError as error:
        raise SettingsError([f"store: {error.reason}"]) from None
    return settings.store
