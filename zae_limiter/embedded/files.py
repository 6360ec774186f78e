"""The file of a store as its disk shows it: whether it can be used by this user, and whether it is still the same."""

import os
import stat
from pathlib import Path
from typing import Final

from zae_limiter.exceptions import InfrastructureAccessError, InfrastructureNotFoundError

# SQLite keeps its log and an index of that beside the file, and needs them as much.
_PARTS: Final = ("", "-wal", "-shm")
_EFFECTIVE: Final = os.access in os.supports_effective_ids

Identity = tuple[int, int]


def check(path: str, address: str) -> None:
    """Raise `InfrastructureNotFoundError` or `InfrastructureAccessError` unless this user can keep a store there."""
    folder = str(Path(path).parent)
    try:
        if not stat.S_ISDIR(os.stat(folder).st_mode):  # noqa: PTH116 - what Path asks differs between its versions
            raise NotADirectoryError
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InfrastructureNotFoundError(address, f"needs the folder {folder!r}; create it first") from error
    except OSError as error:
        raise InfrastructureAccessError(address, f"the path cannot be looked at: {error.strerror}") from error
    if not _may(folder, os.R_OK | os.W_OK | os.X_OK):
        raise InfrastructureAccessError(
            address, f"this user may not write in the folder {folder!r}, where its log is kept; give it access to that"
        )
    for part in _PARTS:
        _check_part(path + part, address)


def _check_part(path: str, address: str) -> None:
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - as above
    except FileNotFoundError:
        return
    except OSError as error:
        raise InfrastructureAccessError(address, f"the path cannot be looked at: {error.strerror}") from error
    if stat.S_ISDIR(mode):
        raise InfrastructureAccessError(address, "the path is a folder; name a file in it")
    if not _may(path, os.R_OK | os.W_OK):
        raise InfrastructureAccessError(
            address, f"this user may not read and write {path!r}; change its owner or its mode"
        )


def _may(path: str, mode: int) -> bool:
    return os.access(path, mode, effective_ids=_EFFECTIVE)


def identity(path: str) -> Identity | None:
    """What tells this file from another one of its name; None where there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 - asked once a second, and quicker so
    except OSError:
        return None
    return found.st_dev, found.st_ino
