"""The tags by which stacks of the library are found, and what they tell of its versions. Pure."""

import re
from collections.abc import Mapping
from typing import Any, Final

from zae_limiter import __version__
from zae_limiter.schema import SCHEMA_VERSION

MANAGED_BY: Final = "ManagedBy"
NAME: Final = "zae-limiter:name"
TYPE: Final = "zae-limiter:type"
VERSION: Final = "zae-limiter:version"
SCHEMA: Final = "zae-limiter:schema-version"
LAMBDA: Final = "zae-limiter:lambda-version"
OURS: Final = "zae-limiter"


def managed_tags(stack_name: str) -> dict[str, str]:
    """The tags of a stack that this version of the library makes."""
    return {
        MANAGED_BY: OURS,
        NAME: stack_name.removeprefix("ZAEL-"),
        TYPE: "limiter",
        VERSION: __version__,
        SCHEMA: SCHEMA_VERSION,
        LAMBDA: __version__,
    }


def missing_tags(tags: Mapping[str, str], wanted: Mapping[str, str]) -> set[str]:
    """The tags that are wanted and not there; of the versions, whatever they tell is good."""
    return {
        key for key, value in wanted.items() if key not in tags or (key in (MANAGED_BY, NAME) and tags[key] != value)
    }


def tag_list(tags: Mapping[str, str]) -> list[dict[str, Any]]:
    """Tags as CloudFormation takes them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def is_newer(tags: Mapping[str, str], version: str) -> bool:
    """Whether the stack was made by a newer version of the library; unknown versions are not."""
    made, own = _numbers(tags.get(VERSION, "")), _numbers(version)
    return made is not None and own is not None and made > own


def newer_reason(tags: Mapping[str, str]) -> str | None:
    """Why this version of the library changes nothing of the stack: a newer one made it; None if it may."""
    if not is_newer(tags, __version__):
        return None
    return f"was made by version {tags[VERSION]} of the library, this is {__version__}; install that one"


def _numbers(version: str) -> tuple[int, ...] | None:
    found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", version)
    return None if found is None else tuple(map(int, found.groups()))
