"""What is repeated, kept in a file: `zae-limiter.toml`, or `[tool.zae_limiter]` of `pyproject.toml`.

The file of the folder is read, or of the nearest folder above that has one. An option of a command goes before the
environment, and that before the file. A key that nobody knows is a mistake.
"""

import difflib
import tomllib
from pathlib import Path
from typing import Any, Final

import click

from zae_limiter import environment

KEYS: Final = ("store", "name", "region", "endpoint_url", "namespace", "principal")
_FILES: Final = (("zae-limiter.toml", ()), ("pyproject.toml", ("tool", "zae_limiter")))


def profile(folder: Path | None = None) -> dict[str, str]:
    """The keys of the profile that a command reads; `click.UsageError` for what cannot be meant."""
    here = folder or Path.cwd()
    for place in (here, *here.parents):
        for file, keys in _FILES:
            found = _table(place / file, keys)
            if found:
                return _checked(found, place / file)
    return {}


def _table(path: Path, keys: tuple[str, ...]) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        table: Any = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise click.UsageError(f"{path} cannot be read: {error}") from error
    for key in keys:
        table = table.get(key, {}) if isinstance(table, dict) else {}
    return table if isinstance(table, dict) else {}


def _checked(table: dict[str, Any], path: Path) -> dict[str, str]:
    # The settings of an application stand in the same table; they are its own to check.
    others = {name.removeprefix(environment.PREFIX).lower() for name in environment.known()}
    for key, value in table.items():
        if key in KEYS:
            if not isinstance(value, str) or not value:
                raise click.UsageError(f"{path}: {key!r} must be a text, got {value!r}")
        elif key not in others:
            nearest = difflib.get_close_matches(key, [*KEYS, *others], n=1, cutoff=0.6)
            hint = f"did you mean {nearest[0]!r}?" if nearest else f"a command reads {', '.join(KEYS)}"
            raise click.UsageError(f"{path}: {key!r} is not known; {hint}")
    return {key: value for key, value in table.items() if key in KEYS}
