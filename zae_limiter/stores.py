"""A limiter from the address of its store: `embedded:///var/lib/app/limits.db`, `memory:`, `dynamodb://my-app`.

One form for frameworks, commands and programs; the only module that knows every store.
"""

from typing import Any, Final, NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from zae_limiter.embedded import EmbeddedRepository, SyncEmbeddedRepository
from zae_limiter.exceptions import ValidationError
from zae_limiter.limiter import RateLimiter
from zae_limiter.repository import Repository
from zae_limiter.sync_limiter import SyncRateLimiter
from zae_limiter.sync_repository import SyncRepository

_FORMS: Final = "write 'embedded:///path/to/limits.db', 'memory:' or 'dynamodb://table?region=eu-central-1'"
_LIMITER_OPTIONS: Final = ("clock", "timeout", "observers")


class _Store(NamedTuple):
    """A kind of store: its class on each face, and what an address of it may say behind the question mark."""

    kind: type[Any]
    twin: type[Any]
    options: tuple[str, ...]


_EMBEDDED: Final = _Store(EmbeddedRepository, SyncEmbeddedRepository, ("namespace",))
_DYNAMODB: Final = _Store(Repository, SyncRepository, ("region", "namespace", "endpoint_url"))


def open_limiter(address: str, **options: Any) -> RateLimiter:
    """A limiter over the store at an address; `async with` opens and closes it.

    Options are those of `RateLimiter` and of the repository. `?namespace=name` may stand in any address,
    `region` and `endpoint_url` in that of a DynamoDB table, which has to be there.
    Raises `ValidationError` for an address of no known form.
    """
    store, place, found = _parsed(address, options)
    return RateLimiter(store.kind(place, **_for_repository(found)), **_for_limiter(found))


def open_sync_limiter(address: str, **options: Any) -> SyncRateLimiter:
    """The blocking twin of `open_limiter`; `with` opens and closes it."""
    store, place, found = _parsed(address, options)
    return SyncRateLimiter(store.twin(place, **_for_repository(found)), **_for_limiter(found))


def check_address(address: str) -> None:
    """Raise `ValidationError` for an address of no known form; nothing is made or asked."""
    _parsed(address, {})


def _for_limiter(options: dict[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in _LIMITER_OPTIONS if name in options}


def _for_repository(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name != "observers"}


def _parsed(address: str, options: dict[str, Any]) -> tuple[_Store, str, dict[str, Any]]:
    if not isinstance(address, str) or not address:
        raise ValidationError("store", str(address), _FORMS)
    parts = _parts(address)
    store, place = _placed(address, parts.scheme, parts.netloc, parts.path)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = sorted(set(query) - set(store.options))
    if unknown:
        takes = " and ".join(repr(name) for name in store.options)
        raise ValidationError("store", ", ".join(unknown), f"no such option; such an address takes {takes}")
    return store, place, {**query, **options}


def _parts(address: str) -> SplitResult:
    try:
        parts = urlsplit(address)
    except ValueError as error:
        raise ValidationError("store", address, _FORMS) from error
    # Left out without a word otherwise, which makes it the address of another file.
    if "#" in address or not set("\t\r\n").isdisjoint(address):
        raise ValidationError("store", address, "write # as %23, a tab as %09 and the end of a line as %0A")
    return parts


def _placed(address: str, scheme: str, netloc: str, path: str) -> tuple[_Store, str]:
    if scheme == "memory" and not netloc and not path.strip("/"):
        return _EMBEDDED, ":memory:"
    if scheme == "embedded" and not netloc and path.strip("/"):
        return _EMBEDDED, unquote(path)
    if scheme == "dynamodb" and not path.strip("/"):
        # Without a name the environment has it, or the repository says what to do.
        return _DYNAMODB, unquote(netloc)
    raise ValidationError("store", address, _FORMS)
