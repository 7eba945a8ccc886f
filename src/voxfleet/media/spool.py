"""The folder decoded sound lies in while it is needed: `<file_id>/<index>.pcm`.

Knows nothing of who writes or reads there.
"""

from __future__ import annotations

import errno
import hashlib
import re
import shutil
import uuid
from contextlib import suppress
from pathlib import Path

from voxfleet.errors import OverloadError, StartError

#: 128 bits
_DIGEST_HEX = 32
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_OURS = re.compile(r"f[0-9a-f]{16}|media-\d+\.\d+\.turn")


def new_file_id() -> str:
    return f"f{uuid.uuid4().hex[:16]}"


def prepare(spool_dir: Path) -> None:
    """Make the folder, and remove what a server that was killed left in it; raises StartError."""
    try:
        spool_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in spool_dir.iterdir():
            if _OURS.fullmatch(path.name):
                remove(path)
    except OSError as fault:
        raise StartError(
            f"{fault.filename}: not usable for decoded sound ({fault.strerror});"
            " choose another data_dir or correct its permissions"
        ) from fault


def write_sound(path: Path, sound: bytes | memoryview, name: str) -> str:
    """Write a segment's PCM, in a folder that is made for it, and give the sound's digest.

    Raises OverloadError when the disk is full; `name` is whose sound it is, for the message.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_bytes(sound)
    except OSError as fault:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        if fault.errno not in _DISK_FULL:
            raise
        raise OverloadError(
            f"{name}: no disk space is left for decoded sound;"
            " free some where data_dir lies, or try again later"
        ) from fault
    # processors have instructions for SHA-256, which makes it twice as fast as BLAKE2
    return hashlib.sha256(sound, usedforsecurity=False).hexdigest()[:_DIGEST_HEX]


def remove_empty(folder: Path) -> bool:
    """Remove a folder that holds nothing, in no time; False when there is more to be done."""
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def remove(path: Path) -> None:
    """Remove a folder and all in it, or a file, if it is there."""
    while path.is_dir():
        # whoever reads a segment removes it too, perhaps at this moment
        with suppress(FileNotFoundError):
            shutil.rmtree(path)
    path.unlink(missing_ok=True)
