"""A limiter from the address of its store: `embedded:///var/lib/app/limits.db` or `memory:`.

One form for frameworks, commands and programs; the only module that knows every store.
"""

from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from zae_limiter.embedded import EmbeddedRepository, SyncEmbeddedRepository
from zae_limiter.exceptions import ValidationError
from zae_limiter.limiter import RateLimiter
from zae_limiter.sync_limiter import SyncRateLimiter

_FORMS: Final = "write 'embedded:///path/to/limits.db' or 'memory:'"
_LIMITER_OPTIONS: Final = ("clock", "timeout", "observers")


def open_limiter(address: str, **options: Any) -> RateLimiter:
    """A limiter over the store at an address; `async with` opens and closes it.

    Options are those of `RateLimiter` and of the repository; `?namespace=name` may stand in the address.
    Raises `ValidationError` for an address of no known form.
    """
    path, found = _parsed(address, options)
    return RateLimiter(EmbeddedRepository(path, **_for_repository(found)), **_for_limiter(found))


def open_sync_limiter(address: str, **options: Any) -> SyncRateLimiter:
    """The blocking twin of `open_limiter`; `with` opens and closes it."""
    path, found = _parsed(address, options)
    return SyncRateLimiter(SyncEmbeddedRepository(path, **_for_repository(found)), **_for_limiter(found))


def _for_limiter(options: dict[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in _LIMITER_OPTIONS if name in options}


def _for_repository(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name != "observers"}


def _parsed(address: str, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    if not isinstance(address, str) or not address:
        raise ValidationError("store", str(address), _FORMS)
    parts = urlsplit(address)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = sorted(set(query) - {"namespace"})
    if unknown:
        raise ValidationError("store", ", ".join(unknown), "no such option; an address takes 'namespace'")
    found = {**query, **options}
    if parts.scheme == "memory" and not parts.netloc and not parts.path.strip("/"):
        return ":memory:", found
    if parts.scheme == "embedded" and not parts.netloc and parts.path.strip("/"):
        return unquote(parts.path), found
    if parts.scheme == "dynamodb":
        raise ValidationError("store", address, f"this release has no such store; {_FORMS}")
    raise ValidationError("store", address, _FORMS)
