"""Moves a file so that it is whole at its old place or at its new one, also after a power cut.

Knows no job. All of it blocks.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

#: behind names of files that are not whole yet
PART_SUFFIX = ".part"
#: a part that has not grown for so long is nobody's any more
_STALE_S = 3600.0
_BY_UMASK = 0o777


def move_durably(folder: int, name: str, target: Path, *, folder_mode: int = _BY_UMASK) -> None:
    """`name` lies in the open `folder`; a target that is there is replaced. Raises OSError.

    Folders up to the target are made. Across file systems it is a copy, and the source goes last.
    """
    make_folder(target.parent, folder_mode)
    _flush(name, folder)
    try:
        os.rename(name, target, src_dir_fd=folder)
    except OSError as fault:
        if fault.errno != errno.EXDEV:
            raise
        _copy(folder, name, target)
        os.unlink(name, dir_fd=folder)
    flush_folder(target.parent)
    os.fsync(folder)


def make_folder(folder: Path, mode: int = _BY_UMASK) -> None:
    """With all above it, each of them on the disk."""
    if folder.is_dir():
        return
    make_folder(folder.parent, mode)
    folder.mkdir(mode=mode, exist_ok=True)
    flush_folder(folder.parent)


def flush_folder(folder: Path) -> None:
    with opened_folder(folder) as descriptor:
        os.fsync(descriptor)


@contextmanager
def opened_folder(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def remove_stale_parts(folder: Path, clock: Callable[[], float] = time.time) -> None:
    """Of moves that were cut off."""
    for part in folder.glob(f".*{PART_SUFFIX}"):
        with suppress(FileNotFoundError):
            if clock() - part.lstat().st_mtime > _STALE_S:
                part.unlink()


def _flush(name: str, folder: int) -> None:
    file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _copy(folder: int, name: str, target: Path) -> None:
    """Whole under another name, then renamed."""
    part = target.with_name(f".{uuid4().hex}{PART_SUFFIX}")
    file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        with os.fdopen(file, "rb") as source, _private(part) as copy:
            shutil.copyfileobj(source, copy, 1_000_000)
            copy.flush()
            found = os.fstat(source.fileno())
            os.fchmod(copy.fileno(), found.st_mode & 0o777)
            os.utime(copy.fileno(), ns=(found.st_atime_ns, found.st_mtime_ns))
            os.fsync(copy.fileno())
            if copy.tell() != found.st_size:
                raise OSError(errno.EIO, "the file changed while it was copied")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _private(path: Path) -> BinaryIO:
    how = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    return os.fdopen(os.open(path, how, 0o600), "wb")
