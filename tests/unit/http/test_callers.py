"""Chains of keys: who is charged, by the first kind that answers; a key of a stranger never stands alone."""

from typing import Any

import pytest

from zae_limiter import ValidationError
from zae_limiter.blocking import run
from zae_limiter_http.addresses import Addresses, Proxies
from zae_limiter_http.callers import EXEMPT, Callers, chain_of, checked_key
from zae_limiter_http.facts import HttpRequest
from zae_limiter_http.naming import keyed

IP = "ip4:203.0.113.7"


def charged(
    key: Any, *headers: tuple[str, str], user: Any = None, validated: Any = None, secret: str | None = None
) -> tuple[str, ...]:
    request = HttpRequest("GET", "/", headers, "203.0.113.7", user_of=lambda _: user)
    callers = Callers(Addresses(Proxies()), secret)
    return run(callers.entities(chain_of(checked_key(key)), request, validated=validated))


@pytest.mark.parametrize("key", ["auto", "user", "user_or_ip", ["user", "ip"], ["auto"]])
def test_a_user_goes_before_the_address(key: Any) -> None:
    assert charged(key, user=42) == ("user:42",)
    assert charged(key, user="a b") == ("user.b64:YSBi",)
    for nobody in (None, ""):
        assert charged(key, user=nobody) == (IP,)


def test_a_key_that_nobody_has_validated_is_charged_besides_the_address() -> None:
    header = ("x-api-key", "sk-one")
    assert charged("header:X-API-Key", header) == (keyed("sk-one", None), IP)
    assert charged("header:x-api-key", header, secret="s") == (keyed("sk-one", "s"), IP)
    assert charged("header:X-API-Key", header, validated=lambda key: key == "sk-one") == (keyed("sk-one", None),)
    assert charged("header:X-API-Key", header, validated=lambda _: False) == (IP,)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("x-api-key", "")],
        [("x-api-key", "   ")],
        [("x-api-key", "x" * 4_097)],
        [("x-api-key", "x" * 65_536)],
        [("x-api-key", "sk-one"), ("x-api-key", "sk-one")],
        [("x-api-key", "sk-one"), ("x-api-key", "sk-two")],
    ],
)
def test_a_key_that_is_empty_too_long_or_repeated_is_none(headers: list[tuple[str, str]]) -> None:
    assert charged("header:X-API-Key", *headers, validated=lambda _: True) == (IP,)


def test_spaces_around_a_key_are_no_part_of_it_and_its_case_is() -> None:
    first, spaced, other = (
        charged("header:X-API-Key", ("x-api-key", value), validated=lambda _: True)
        for value in ("sk-one", "\t sk-one ", "SK-one")
    )
    assert spaced == first
    assert other != first


@pytest.mark.parametrize("value", ["Bearer sk-one", "bearer  sk-one", "BEARER sk-one "])
def test_a_bearer_token_is_the_key(value: str) -> None:
    found = charged("header:Authorization", ("authorization", value), validated=lambda key: key == "sk-one")
    assert found == (keyed("sk-one", None),)


def test_the_first_of_a_chain_that_answers_is_charged() -> None:
    def tenant(_: Any) -> str | None:
        return None

    chain = [tenant, "header:X-API-Key", "user"]
    assert charged(chain, user=7) == ("user:7",)
    assert charged(chain, ("x-api-key", "k"), user=7) == (keyed("k", None), IP)
    assert charged([lambda _: "", "ip"]) == (IP,)
    assert charged([lambda _: EXEMPT, "ip"]) == ()


@pytest.mark.parametrize("value", ["a\r\nx-evil: 1", "a\0b", "ü", " ", "x" * 300, 3, 2.5, ("a", "b"), ["a"], b"ab"])
def test_whatever_a_key_function_gives_is_one_identifier(value: Any) -> None:
    (found,) = charged(lambda _: value)
    assert found.isprintable()
    assert found.isascii()
    assert charged(lambda _: value) == (found,)


def test_parts_of_a_key_cannot_pass_for_one_another() -> None:
    keys: list[Any] = [("a\x1fb", "c"), ("a", "b\x1fc"), ("a", "b", "c"), "a"]
    assert len({charged(lambda _, key=key: key) for key in keys}) == len(keys)
    assert charged(lambda _: 42) == ("custom:42",)


@pytest.mark.parametrize(
    "key", ["ipp", "header:", "header:a b", "header:ключ", "header:x²", "", [], None, 5, ["ip", "nobody"]]
)
def test_a_key_of_no_known_kind_is_a_mistake(key: Any) -> None:
    with pytest.raises(ValidationError, match=r'texts are "auto", "ip", "user", "user_or_ip" and "header:<name>"'):
        checked_key(key)
