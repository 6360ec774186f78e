"""Whether the file of an embedded store lies on a network disk, by the table of mounts of this machine."""

import os
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

MOUNTS: Final = Path("/proc/self/mounts")
_NETWORK: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "ncpfs"}
)


def network_disk(store: str, mounts: Path = MOUNTS) -> str | None:
    """The kind of network disk under a store; None for a local one, another store, and where nobody tells."""
    address = urlsplit(store)
    if address.scheme != "embedded":
        return None
    path = os.path.realpath(unquote(address.path))
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    nearest, kind = "", ""
    for line in lines:
        _, place, found, *_ = line.split(" ")
        place = place.replace("\\040", " ")
        is_above = path == place or path.startswith(place.rstrip("/") + "/")
        if is_above and len(place) >= len(nearest):
            nearest, kind = place, found
    is_network = kind in _NETWORK or kind.startswith("fuse.s3") or kind in ("fuse.sshfs", "fuse.rclone")
    return kind if is_network else None
