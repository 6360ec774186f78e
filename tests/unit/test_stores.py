"""A limiter from an address: which store it means, what may stand in it, and what is said of any other text."""

from typing import Any

import pytest

from zae_limiter import ValidationError, open_limiter, open_sync_limiter

PLACES = [
    ("memory:", "memory:"),
    ("embedded:///tmp/a%20b/limits.db", "embedded:///tmp/a%20b/limits.db"),
    ("dynamodb://my-app", "dynamodb://my-app"),
    ("dynamodb://my_App.v2?region=eu-central-1", "dynamodb://my_App.v2?region=eu-central-1"),
    (
        "dynamodb://my-app?endpoint_url=http%3A%2F%2F127.0.0.1%3A8000&namespace=api",
        "dynamodb://my-app?namespace=api&endpoint_url=http://127.0.0.1:8000",
    ),
]


@pytest.fixture(autouse=True)
def nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NAME", "REGION", "NAMESPACE", "ENDPOINT_URL"):
        monkeypatch.delenv(f"ZAE_LIMITER_{name}", raising=False)


@pytest.mark.parametrize(("address", "told"), PLACES)
@pytest.mark.parametrize("opener", [open_limiter, open_sync_limiter])
def test_an_address_is_told_back(opener: Any, address: str, told: str) -> None:
    assert opener(address).repository.address == told
    assert opener(told).repository.address == told


def test_what_the_address_says_goes_behind_what_the_call_says() -> None:
    limiter = open_limiter("dynamodb://my-app?region=eu-central-1", region="eu-west-1", config_cache_ttl=5, timeout=2)
    assert limiter.repository.address == "dynamodb://my-app?region=eu-west-1"
    assert limiter.repository.get_cache_stats().ttl_seconds == 5


def test_a_table_may_be_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZAE_LIMITER_NAME", "from-env")
    assert open_limiter("dynamodb://").repository.address == "dynamodb://from-env"


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("", "dynamodb://table"),
        (None, "dynamodb://table"),
        ("redis://localhost", "memory:"),
        ("embedded:", "embedded:///path"),
        ("embedded:///tmp/a#b.db", "write # as %23"),
        ("embedded:///tmp/a#", "write # as %23"),
        ("embedded:///tmp/a\nb.db", "as %0A"),
        ("embedded://host/path", "embedded:///path"),
        ("memory:x/y", "memory:"),
        ("dynamodb://[", "dynamodb://table"),
        ("dynamodb://my-app/path", "dynamodb://table"),
        ("dynamodb://", "ZAE_LIMITER_NAME"),
        ("dynamodb://my-app?endpoint=x", "'region' and 'namespace' and 'endpoint_url'"),
        ("memory:?region=x", "'namespace'"),
    ],
)
def test_any_other_text_is_told_what_to_write(address: Any, words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        open_limiter(address)
    assert words in str(caught.value)
