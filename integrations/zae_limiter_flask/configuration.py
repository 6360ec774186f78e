"""The words of an application: those of `app.config` before those of the constructor.

`ZAE_LIMITER` is a mapping of all words; `ZAE_LIMITER_RULES` and its like go before it. `app.config.from_prefixed_env()`
writes both, with names of any case.
"""

from collections.abc import Mapping
from typing import Any, Final

from flask import Flask

from zae_limiter_http import Rule, Settings, SettingsError
from zae_limiter_http.sources import gathered

_NAME: Final = "ZAE_LIMITER"
_NO: Final = frozenset({"", "0", "f", "false", "n", "no", "off"})


def words_of(app: Flask, given: Mapping[str, Any]) -> dict[str, Any]:
    """The words in force; `SettingsError` where `app.config` has no mapping."""
    configured = _configured(app)
    found = {**given, **configured}
    for name, other in (("store", "limiter"), ("limiter", "store")):
        # What the configuration names takes the place of the other one in the code.
        if configured.get(name) is not None and other not in configured:
            found[other] = None
    return found


def settings_of(words: Mapping[str, Any]) -> Settings:
    """The settings of the words, `default` being the last of the rules; `SettingsError` with all mistakes.

    What they do not say is read from variables such as `ZAE_LIMITER_STORE`, and from files that they name. A rule
    that is a mapping and names no key has that of the application.
    """
    given = {name: value for name, value in words.items() if name not in ("key", "default")}
    found, mistakes = gathered({**given, "rules": words.get("rules") or None})
    general = Rule(key=words["key"], limits=words.get("default"))
    mistakes += [
        f"default{told.removeprefix('limits')}" if told.startswith("limits") else told for told in general.mistakes
    ]
    rules = found.get("rules", ())
    if isinstance(rules, (list, tuple)):
        named = [{"key": general.key, **_lowered(rule)} if isinstance(rule, Mapping) else rule for rule in rules]
        found["rules"] = named if words.get("default") is None or mistakes else [*named, general]
    try:
        settings = Settings.of(found)
    except SettingsError as error:
        raise SettingsError([*mistakes, *error.mistakes]) from None
    if mistakes:
        raise SettingsError(mistakes)
    return settings


def _configured(app: Flask) -> dict[str, Any]:
    mapping = app.config.get(_NAME) or {}
    if not isinstance(mapping, Mapping):
        raise SettingsError([f"{_NAME}: must be a mapping of settings, got {type(mapping).__name__}"])
    flat = {name.lower(): value for name, value in app.config.get_namespace(f"{_NAME}_").items()}
    found: dict[str, Any] = {**_lowered(mapping), **flat}
    if isinstance(found.get("proxy"), Mapping):
        found["proxy"] = _lowered(found["proxy"])
    return found


def _lowered(value: Any) -> Any:
    return {str(name).lower(): each for name, each in value.items()} if isinstance(value, Mapping) else value


def is_enabled(app: Flask, otherwise: bool) -> bool:  # noqa: FBT001 - what holds where nobody has switched it
    """Whether requests are limited now; the configuration may be changed while the application serves."""
    found = app.config.get(f"{_NAME}_ENABLED")
    if found is None:
        mapping = app.config.get(_NAME)
        found = mapping.get("enabled", mapping.get("ENABLED")) if mapping else None
    if isinstance(found, str):
        return found.strip().lower() not in _NO
    return otherwise if found is None else bool(found)
