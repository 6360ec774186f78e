"""Clean environments of Python: links to distributions that are installed here, so that no network is asked."""

import importlib.metadata
import venv
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def needed(requirements: list[str], extras: frozenset[str] = frozenset()) -> set[str]:
    """The names of all distributions that these requirements bring, their own requirements included."""
    found: dict[tuple[str, frozenset[str]], None] = {}
    waiting = [(Requirement(text), extras) for text in requirements]
    while waiting:
        requirement, wanted = waiting.pop()
        markers = [{"extra": extra} for extra in wanted or {""}]
        if requirement.marker and not any(requirement.marker.evaluate(marker) for marker in markers):
            continue
        key = (requirement.name, frozenset(requirement.extras))
        if key not in found:
            found[key] = None
            asked = importlib.metadata.requires(requirement.name) or []
            waiting += [(Requirement(text), key[1]) for text in asked]
    return {canonicalize_name(name) for name, _ in found}


def top_level_files(distribution: str) -> Iterator[Path]:
    files = importlib.metadata.files(distribution) or []
    for top in sorted({file.parts[0] for file in files if file.parts[0] not in {"..", "__pycache__"}}):
        yield Path(str(importlib.metadata.distribution(distribution).locate_file(top)))


def environment(folder: Path, distributions: set[str]) -> Path:
    """An environment with these distributions and no others; the path of its interpreter."""
    venv.create(folder, symlinks=True)
    site_packages = next(folder.glob("lib/python*/site-packages"))
    for distribution in distributions:
        for file in top_level_files(distribution):
            link = site_packages / file.name
            if not link.is_symlink():  # a namespace folder belongs to several distributions
                link.symlink_to(file)
    return folder / "bin" / "python"
