"""Texts from requests as identifiers: the encoders of the conventions' 2.2 and 2.3, to the letter."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zae_limiter.naming import check_identifier, check_resource
from zae_limiter_http.naming import encode, keyed, mixed, resource_name

X300 = "x" * 300


@pytest.mark.parametrize(
    ("raw", "identifier"),
    [
        ("42", "user:42"),
        ("alice@example.com", "user:alice@example.com"),
        ("alice+x@example.com", "user.b64:YWxpY2UreEBleGFtcGxlLmNvbQ"),
        ("user-1\n", "user.b64:dXNlci0xCg"),
        ("auth0|abc", "user.b64:YXV0aDB8YWJj"),
        ("", "user.b64:"),
        ("a b", "user.b64:YSBi"),
        ("\0", "user.b64:AA"),
        ("é", "user.b64:w6k"),
        ("\udcff", "user.b64:_w"),
        (X300, f"user.sha256:{hashlib.sha256(X300.encode()).hexdigest()}"),
        ("x" * 251, f"user:{'x' * 251}"),
        ("x" * 252, f"user.sha256:{hashlib.sha256(b'x' * 252).hexdigest()}"),
    ],
)
def test_an_identifier_is_the_text_or_an_encoding_or_a_digest(raw: str, identifier: str) -> None:
    assert encode("user", raw) == identifier


@given(st.text(alphabet=st.characters(exclude_categories=[]), max_size=300))
def test_whatever_comes_an_identifier_is_valid_or_empty(raw: str) -> None:
    found = encode("custom", raw)
    assert check_identifier(found) == found


@given(st.lists(st.text(max_size=400), min_size=2, max_size=2, unique=True))
def test_different_texts_have_different_identifiers(texts: list[str]) -> None:
    first, second = (encode("user", text) for text in texts)
    assert first != second


@given(st.text(max_size=400))
def test_whatever_comes_a_resource_is_valid(text: str) -> None:
    found = resource_name(text)
    assert check_resource(found) == found


def test_an_api_key_is_a_digest_under_the_secret() -> None:
    expected = hmac.new(b"secret", b"sk-one", hashlib.sha256).hexdigest()[:32]
    assert keyed("sk-one", "secret") == f"key:{expected}"
    assert keyed("sk-one", None) == f"key:{hashlib.sha256(b'sk-one').hexdigest()[:32]}"
    assert len({keyed(key, secret) for key in ("sk-one", "sk-One", "sk-one ") for secret in ("a", "b", None)}) == 9


def test_parts_are_one_identifier_and_cannot_be_cut_otherwise() -> None:
    found = {mixed(parts) for parts in (("a", "b"), ("ab", ""), ("", "ab"), ("a\x1fb",), ("a", "b", ""), ("b", "a"))}
    assert len(found) == 6
    assert all(check_identifier(each) for each in found)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("/items/{id}", "items/_id_"),
        ("/items/{id:int}/x", "items/_id_/x"),
        ("/items/<int:id>", "items/_id_"),
        ("/items/<id>", "items/_id_"),
        ("shop:checkout", "shop/checkout"),
        ("GET/items", "GET/items"),
        ("/", "root"),
        ("", "root"),
        ("/1/x", "r-1/x"),
        ("/über", "r--ber"),
        ("/a b", "a-b"),
        ("/" + "a" * 65, "a" * 51 + "-" + hashlib.sha256(b"/" + b"a" * 65).hexdigest()[:12]),
    ],
)
def test_a_resource_is_made_from_a_template(text: str, name: str) -> None:
    assert resource_name(text) == name
    assert check_resource(name) == name
