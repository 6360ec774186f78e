"""Settings from the environment and from files reach every framework, and a misspelt variable stops it."""

from pathlib import Path
from typing import Any

import pytest

from zae_limiter_django import conf
from zae_limiter_http import SettingsError
from zae_limiter_http.conformance import World


def test_variables_say_what_the_application_does_not(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZAE_LIMITER_HEADER_STYLE", '["x"]')
    monkeypatch.setenv("ZAE_LIMITER_EXPOSE_LIMITS", "true")
    world.serve(expose_limits=False)
    replies = [world.get() for _ in range(3)]
    assert (replies[0].header("x-ratelimit-limit"), replies[0].header("ratelimit")) == ("2", None)
    assert "limits" not in replies[2].json()


def test_rules_may_be_variables(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZAE_LIMITER_RULES", '[{"match": "/other", "key": "ip", "limits": "1/hour"}]')
    world.serve(rules=[])
    assert [world.get(path).status for path in ("/other", "/other", "/")] == [200, 429, 200]


def test_files_are_named_like_any_setting(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "limits.toml"
    file.write_text('header_style = ["x"]\n[[rules]]\nkey = "ip"\nlimits = "1/hour"\n', encoding="utf-8")
    variables = tmp_path / ".env"
    variables.write_text("ZAE_LIMITER_HEADER_STYLE=[]\nDEBUG=1\n", encoding="utf-8")
    world.serve(rules=[], toml_file=file, env_file=str(variables))
    replies = [world.get() for _ in range(2)]
    assert ([reply.status for reply in replies], replies[0].header("x-ratelimit-limit")) == ([200, 429], None)
    world.serve(rules=[], toml_file=file)
    assert world.get("/other").header("x-ratelimit-limit") == "1"


@pytest.mark.parametrize(
    ("variable", "text", "told"),
    [
        ("ZAE_LIMITER_HEADER_STILE", "x", "did you mean ZAE_LIMITER_HEADER_STYLE?"),
        ("ZAE_LIMITER_RULES", "[", "ZAE_LIMITER_RULES: must be JSON"),
    ],
)
def test_a_variable_that_cannot_be_meant_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch, variable: str, text: str, told: str
) -> None:
    monkeypatch.setenv(variable, text)
    if world.driver.letter in "WG":
        with pytest.raises(SettingsError) as failure:
            conf.read()
        assert told in str(failure.value)
        return
    with pytest.raises(SettingsError) as failure:
        _serve(world)
    assert told in str(failure.value)


def _serve(world: World) -> Any:
    world.serve()
    return world.get()
