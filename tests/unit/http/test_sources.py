"""Settings from arguments, the environment, a .env file and TOML: which goes first, and every mistake at once."""

from pathlib import Path

import pytest

from zae_limiter_http import SettingsError, read_settings


def of_rules(text: str) -> str:
    return f'[{{"key": "ip", "limits": "{text}"}}]'


def test_arguments_go_before_the_environment_before_a_file_before_toml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "limits.toml").write_text(
        'store = "memory:"\nipv6_prefix = 48\nreset_format = "delta"\non_error = "deny"\nexpose_limits = true\n'
    )
    (tmp_path / ".env").write_text(
        "ZAE_LIMITER_IPV6_PREFIX=52\nZAE_LIMITER_RESET_FORMAT=epoch\nZAE_LIMITER_ON_ERROR=allow\n"
    )
    monkeypatch.setenv("ZAE_LIMITER_IPV6_PREFIX", "56")
    monkeypatch.setenv("ZAE_LIMITER_RESET_FORMAT", "http-date")
    found = read_settings({"ipv6_prefix": 60}, env_file=tmp_path / ".env", toml_file=tmp_path / "limits.toml")

    assert (found.ipv6_prefix, found.reset_format, found.on_error) == (60, "http-date", "allow")
    assert (found.store, found.expose_limits, found.cors_expose) == ("memory:", True, False)


def test_lists_and_mappings_are_json_and_nesting_is_two_underscores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZAE_LIMITER_RULES", of_rules("5/minute"))
    monkeypatch.setenv("ZAE_LIMITER_ENABLED", "off")
    monkeypatch.setenv("ZAE_LIMITER_PROXY__SOURCE", "forwarded")
    monkeypatch.setenv("ZAE_LIMITER_PROXY__TRUSTED_PROXIES", '["10.0.0.0/8"]')
    found = read_settings()

    assert found.rules[0].limits[0].capacity == 5
    assert not found.enabled
    assert found.proxy is not None
    assert (found.proxy.source, found.proxy.trusted_proxies) == ("forwarded", ("10.0.0.0/8",))


def test_a_nested_setting_of_one_source_joins_that_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZAE_LIMITER_PROXY__SOURCE", "forwarded")
    found = read_settings({"proxy": {"trusted_proxies_count": 2}})
    assert found.proxy is not None
    assert (found.proxy.source, found.proxy.trusted_proxies_count) == ("forwarded", 2)


def test_whoever_says_where_to_count_says_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZAE_LIMITER_STORE", "memory:")
    found = read_settings({"limiter": object})
    assert found.store is None
    assert read_settings({"store": "embedded:///x.db"}).store == "embedded:///x.db"
    assert read_settings({"store": None}).store == "memory:"


def test_a_pyproject_has_a_table_for_it(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text('[project]\nname = "x"\n[tool.zae_limiter]\nrules = [{key = "ip", limits = "5/minute"}]\n')
    assert read_settings(toml_file=path).rules[0].key == "ip"
    path.write_text('[tool.zae_limiter]\nname = "my-app"\nregion = "eu-west-1"\nexpose_limits = true\n')
    assert read_settings(toml_file=path).expose_limits
    path.write_text("[tool]\nzae_limiter = 5\n")
    assert read_settings(toml_file=path).rules == ()


def test_c97_unknown_names_of_every_source_are_told_with_the_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZAE_LIMITER_HEADER_STILE", "x")
    monkeypatch.setenv("ZAE_LIMITER_PROXY__SORCE", "xff")
    (tmp_path / ".env").write_text("ZAE_LIMITER_RULE=[]\nOTHER=1\nEMPTY\n")
    (tmp_path / "limits.toml").write_text('strore = "memory:"\n')
    with pytest.raises(SettingsError) as told:
        read_settings({"exempt_path": []}, env_file=tmp_path / ".env", toml_file=tmp_path / "limits.toml")

    assert sorted(told.value.mistakes) == [
        ".env: the environment variable ZAE_LIMITER_RULE is not known; did you mean ZAE_LIMITER_RULES?",
        "ZAE_LIMITER_HEADER_STILE is not known; did you mean ZAE_LIMITER_HEADER_STYLE?",
        "exempt_path: no such setting; did you mean 'exempt_paths'?",
        "proxy.sorce: no such setting; did you mean 'source'?",
        "strore: no such setting; did you mean 'store'?",
    ]


def test_what_is_no_json_is_told_by_name_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZAE_LIMITER_RULES", "very-secret")
    monkeypatch.setenv("ZAE_LIMITER_HEADER_STYLE", "x")
    with pytest.raises(SettingsError) as told:
        read_settings()
    assert told.value.mistakes == [
        'ZAE_LIMITER_HEADER_STYLE: must be JSON, such as ["…"]',
        'ZAE_LIMITER_RULES: must be JSON, such as ["…"]',
    ]


@pytest.mark.parametrize(
    ("text", "told"), [(None, "cannot be read"), (b"store = ", "is no TOML"), (b"\xff", "is no TOML")]
)
def test_a_file_that_cannot_be_used_is_told(tmp_path: Path, text: bytes | None, told: str) -> None:
    path = tmp_path / "limits.toml"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(SettingsError, match=told):
        read_settings(toml_file=path)
    with pytest.raises(SettingsError, match="env_file: there is no file"):
        read_settings(env_file=tmp_path / "no.env")


def test_c98_a_secret_beside_a_mistake_is_in_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZAE_LIMITER_HASH_SECRET", "very-secret")
    monkeypatch.setenv("ZAE_LIMITER_IPV6_PREFIX", "7")
    with pytest.raises(SettingsError) as told:
        read_settings({"html_template": 5, "rules": [{"key": "ipp"}]})
    assert len(told.value.mistakes) == 3
    assert "very-secret" not in f"{told.value!r}{told.value}{told.value.__cause__!r}{told.value.__context__!r}"
