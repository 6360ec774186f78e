"""Where an application counts: one setting for every framework."""

from pathlib import Path

import pytest

from zae_limiter import RateLimiter, SyncEmbeddedRepository, SyncRateLimiter
from zae_limiter.testing import memory_limiter
from zae_limiter_http import Settings, SettingsError, limiter_of, sync_limiter_of


def test_an_address_gives_a_limiter_of_either_face() -> None:
    settings = Settings.of({"store": "memory:"})

    assert isinstance(limiter_of(settings), RateLimiter)
    assert isinstance(sync_limiter_of(settings), SyncRateLimiter)


def test_one_made_by_hand_or_made_by_a_function_is_taken() -> None:
    made = memory_limiter()
    blocking = SyncRateLimiter(SyncEmbeddedRepository(":memory:"))

    assert limiter_of(Settings.of({"limiter": made})) is made
    assert limiter_of(Settings.of({"limiter": lambda: made})) is made
    assert sync_limiter_of(Settings.of({"limiter": blocking})) is blocking


def test_the_other_face_is_told() -> None:
    with pytest.raises(SettingsError, match="limiter: must be a RateLimiter here, or make one; got SyncRateLimiter"):
        limiter_of(Settings.of({"limiter": SyncRateLimiter(SyncEmbeddedRepository(":memory:"))}))
    with pytest.raises(SettingsError, match="limiter: must be a SyncRateLimiter here, or make one; got RateLimiter"):
        sync_limiter_of(Settings.of({"limiter": memory_limiter()}))


def test_without_a_store_the_choices_are_named() -> None:
    with pytest.raises(SettingsError, match=r"store: say where to count: .*memory:.*limiter="):
        limiter_of(Settings.of({}))


def test_in_development_a_file_of_the_current_folder_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with sync_limiter_of(Settings.of({}), development=True) as limiter:
        limiter.set_system_defaults([])

    assert (tmp_path / "zae-limiter.db").is_file()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"store": "memory:", "limiter": memory_limiter()}, "store, limiter: give one of the two"),
        ({"store": "redis://x"}, "store: "),
        ({"limiter": "no.such.module:limiter"}, "limiter: 'no.such.module:limiter' cannot be imported"),
    ],
)
def test_a_store_that_cannot_be_is_told(settings: dict[str, object], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        limiter_of(Settings.of(settings))
