"""Where settings come from: arguments before the environment, before a .env file, before TOML, before the defaults."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from dotenv import dotenv_values
from pydantic import create_model
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as Unreadable

from zae_limiter import environment
from zae_limiter_http.rule import SettingsError
from zae_limiter_http.settings import Settings

_NESTED: Final = "__"
_FORM: Final = SettingsConfigDict(
    env_prefix=environment.PREFIX, env_nested_delimiter=_NESTED, env_ignore_empty=True, extra="ignore"
)


def read_settings(
    values: Mapping[str, Any] | None = None,
    *,
    env_file: str | Path | None = None,
    toml_file: str | Path | None = None,
) -> Settings:
    """The settings of all sources together.

    `values` go first, then variables such as `ZAE_LIMITER_STORE`, those of `env_file`, and the keys of `toml_file`
    (in a `pyproject.toml` those of `[tool.zae_limiter]`); both files may stand among the values, too. Inside a
    setting stands `__`, as in `ZAE_LIMITER_PROXY__SOURCE`; lists and mappings are JSON.

    Raises `SettingsError` with every mistake, a variable that nobody knows among them.
    """
    merged, mistakes = gathered({"env_file": env_file, "toml_file": toml_file, **(values or {})})
    try:
        found = Settings.of(merged)
    except SettingsError as error:
        raise SettingsError(mistakes + error.mistakes) from None
    if mistakes:
        raise SettingsError(mistakes)
    return found


def gathered(values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """What all sources say, by the names of settings, and what is wrong with the sources themselves."""
    mistakes = [_unprefixed(mistake) for mistake in environment.unknown()]
    merged: dict[str, Any] = {}
    own = {name: value for name, value in values.items() if value is not None}
    toml_file, env_file = own.pop("toml_file", None), own.pop("env_file", None)
    if toml_file is not None:
        merged = _of_toml(Path(toml_file), mistakes)
    if env_file is not None:
        merged = _over(merged, _of_file(Path(env_file), mistakes))
    merged = _over(merged, _of(EnvSettingsSource(_model()), os.environ, mistakes))
    return _over(merged, own), mistakes


def _model() -> type[BaseSettings]:
    fields: dict[str, Any] = {name: (field.annotation, field) for name, field in Settings.model_fields.items()}

    class Form(BaseSettings):
        model_config = _FORM

    return create_model("Variables", __base__=Form, **fields)


def _of(source: EnvSettingsSource, variables: Mapping[str, str | None], mistakes: list[str]) -> dict[str, Any]:
    try:
        # A .env file holds the variables of others, too.
        return {name: value for name, value in source().items() if name in Settings.model_fields}
    except Unreadable:
        # Its message names one field; whoever has several wants all of them.
        mistakes += [
            f'{name}: must be JSON, such as ["…"]' for name in sorted(variables) if _is_unreadable(name, variables)
        ]
        return {}


def _is_unreadable(name: str, variables: Mapping[str, str | None]) -> bool:
    source = EnvSettingsSource(_model())
    source.env_vars = {name.lower(): variables[name]}
    try:
        source()
    except Unreadable:
        return True
    return False


def _of_file(path: Path, mistakes: list[str]) -> dict[str, Any]:
    if not path.is_file():
        mistakes.append(f"env_file: there is no file {path}")
        return {}
    values = dotenv_values(path)
    mistakes += [f"{path.name}: {mistake}" for mistake in environment.unknown(_texts(values))]
    return _of(DotEnvSettingsSource(_model(), env_file=path), values, mistakes)


def _texts(values: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value or "" for name, value in values.items()}


def _of_toml(path: Path, mistakes: list[str]) -> dict[str, Any]:
    try:
        found: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        mistakes.append(f"toml_file: {path} cannot be read: {error.strerror}")
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        mistakes.append(f"toml_file: {path} is no TOML: {error}")
        return {}
    table = found if path.name != "pyproject.toml" else found.get("tool", {}).get("zae_limiter", {})
    # The commands keep theirs in the same file: name, region and so on.
    return {name: value for name, value in table.items() if not _is_of_others(name)} if isinstance(table, dict) else {}


def _is_of_others(name: str) -> bool:
    return name not in Settings.model_fields and f"{environment.PREFIX}{name.upper()}" in environment.known()


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Two sources, the second before the first; settings inside a setting are merged likewise."""
    merged = dict(below)
    if above.get("store") or above.get("limiter"):
        # One place says where to count, in whichever of its two forms.
        merged = {name: value for name, value in merged.items() if name not in ("store", "limiter")}
    for name, value in above.items():
        other = merged.get(name)
        merged[name] = _over(other, value) if isinstance(other, Mapping) and isinstance(value, Mapping) else value
    return merged


def _unprefixed(mistake: str) -> str:
    return mistake.removeprefix("the environment variable ")
