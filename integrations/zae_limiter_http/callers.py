"""Who is calling: keys in the short forms users write, turned into identifiers of entities."""

import inspect
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from zae_limiter.exceptions import ValidationError
from zae_limiter_http.addresses import Addresses
from zae_limiter_http.facts import HttpRequest
from zae_limiter_http.naming import encode, keyed, mixed

_LONGEST_KEY: Final = 4_096
_HEADER: Final = re.compile(r"header:[A-Za-z0-9-]+")


class _Exempt:
    """What a key function returns to let a request pass uncharged."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "EXEMPT"


EXEMPT: Final = _Exempt()

KeyFunction: TypeAlias = Callable[[Any], "Parts | Awaitable[Parts]"]
Parts: TypeAlias = "str | int | Sequence[str] | _Exempt | None"
Key: TypeAlias = "str | Sequence[str | KeyFunction] | KeyFunction"


@dataclass(frozen=True, slots=True)
class Callers:
    """Finds the entities of a request: usually one, none where it is exempt."""

    addresses: Addresses
    hash_secret: str | None = None

    async def entities(
        self, chain: tuple[Any, ...], request: HttpRequest, *, validated: Callable[[str], Any] | None = None
    ) -> tuple[str, ...]:
        """The identifiers to charge, by the first of a chain of kinds that answers.

        A header's value that nobody has validated is charged besides the address: an attacker who draws
        a new one each time would have a new bucket each time.
        """
        for kind in chain:
            if callable(kind):
                found = await answer(request, kind, request.native)
                if isinstance(found, _Exempt):
                    return ()
                if found is not None and found != "":
                    return (_from_parts(found),)
            elif kind == "ip":
                return (self.addresses.entity(request),)
            elif kind == "user":
                user = await self._user(request)
                if user is not None:
                    return (user,)
            else:
                value = _header_value(request, kind.partition(":")[2])
                if value is not None:
                    return await self._by_header(value, request, validated)
        return (self.addresses.entity(request),)

    async def _by_header(
        self, value: str, request: HttpRequest, validated: Callable[[str], Any] | None
    ) -> tuple[str, ...]:
        entity = keyed(value, self.hash_secret)
        if validated is None:
            return entity, self.addresses.entity(request)
        return (entity,) if await answer(request, validated, value) else (self.addresses.entity(request),)

    async def _user(self, request: HttpRequest) -> str | None:
        if request.user_of is None:
            return None
        found = await answer(request, request.user_of, request.native)
        return None if found is None or found == "" else encode("user", str(found))


async def answer(request: HttpRequest, function: Callable[[Any], Any], argument: Any) -> Any:
    """What a user's callable says, sync or async."""
    found = request.ask(function, argument)
    return await found if inspect.isawaitable(found) else found


def is_async(value: Any) -> bool:
    """Whether a callable, or one of a chain of keys, is a coroutine function."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return any(is_async(each) for each in value)
    return inspect.iscoroutinefunction(value) or inspect.iscoroutinefunction(
        type(value).__call__ if callable(value) else None
    )


def checked_key(key: Any) -> Key:
    """The key, or `ValidationError` for a kind that does not exist."""
    if callable(key):
        return key  # type: ignore[no-any-return]
    if isinstance(key, str):
        chain_of(key)
        return key
    if isinstance(key, Sequence) and key:
        for each in key:
            checked_key(each)
        return tuple(key)
    raise ValidationError("key", repr(key), f"must be a text, a list of them or a callable; {_KINDS}")


_KINDS: Final = 'texts are "auto", "ip", "user", "user_or_ip" and "header:<name>"'


def chain_of(key: Any) -> tuple[Any, ...]:
    """The kinds of a key in their order: "ip", "user", "header:…" and callables."""
    if callable(key):
        return (key,)
    if isinstance(key, str):
        if key in ("auto", "user_or_ip", "user"):
            return ("user", "ip")
        if key == "ip" or _HEADER.fullmatch(key):
            return (key,)
        raise ValidationError("key", key, f"no such kind; {_KINDS}")
    return tuple(kind for each in key for kind in _of_chain(each))


def _of_chain(each: Any) -> tuple[Any, ...]:
    # In a chain "user" must leave room for what follows; the address is the end of every chain anyway.
    return ("user",) if each in ("user", "auto") else chain_of(each)


def _header_value(request: HttpRequest, name: str) -> str | None:
    lines = request.lines(name.lower())
    if len(lines) != 1:
        return None
    value = lines[0].strip()
    if name.lower() == "authorization" and value[:7].lower() == "bearer ":
        value = value[7:].strip()
    return value if value and len(value) <= _LONGEST_KEY else None


def _from_parts(found: Any) -> str:
    if isinstance(found, str) or not isinstance(found, Sequence):
        return encode("custom", str(found))
    parts = tuple(str(part) for part in found)
    return encode("custom", parts[0]) if len(parts) == 1 else mixed(parts)
