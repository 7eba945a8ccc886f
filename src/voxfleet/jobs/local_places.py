"""Files of this machine that references name: found only where they really lie in allowed folders.

A path is resolved first, with all its links. What it leads to is then walked to from the allowed
folder without following any: a folder that is swapped for a link in between leads nowhere. All of
it blocks.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from voxfleet.jobs.place_faults import away, no_file
from voxfleet.jobs.source_rules import not_allowed

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: a pipe is opened without waiting for its other end
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class FoundFile:
    """`folder` is open: what is done through it is done in the folder that was checked."""

    path: Path
    folder: int
    size_bytes: int
    changed_ns: int

    @property
    def name(self) -> str:
        return self.path.name


@contextmanager
def found_file(place: str, folders: Sequence[str], name: str) -> Iterator[FoundFile]:
    """Raises OSError, or RequestError for what is no plain file in one of the folders.

    `name` is what its owner calls it.
    """
    path = Path(os.path.realpath(place))
    top = _top_of(path, folders)
    if top is None:
        raise not_allowed(place)
    with _opened(top, path.parent.relative_to(top).parts, name) as folder:
        found = _plain_file(path.name, folder, name)
        yield FoundFile(path, folder, found.st_size, found.st_mtime_ns)


def _top_of(path: Path, folders: Sequence[str]) -> Path | None:
    """The allowed folder it lies in; where a file itself is allowed, its folder."""
    for folder in folders:
        top = Path(os.path.realpath(folder))
        if path == top:
            return top.parent
        if path.is_relative_to(top):
            return top
    return None


@contextmanager
def _opened(top: Path, below: Sequence[str], name: str) -> Iterator[int]:
    try:
        folder = os.open(top, _FOLDER)
    except FileNotFoundError:
        # the file may be there still: what it lies on is not mounted, say
        raise away(name, "its allowed folder is missing") from None
    try:
        for part in below:
            inner = os.open(part, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)


def _plain_file(file_name: str, folder: int, name: str) -> os.stat_result:
    """Opened for a moment: only so it is known that this server may read it."""
    # devices are not even opened: some of them do something then
    _check_plain(os.stat(file_name, dir_fd=folder, follow_symlinks=False), name)
    file = os.open(file_name, _FILE, dir_fd=folder)
    try:
        found = os.fstat(file)
    finally:
        os.close(file)
    _check_plain(found, name)
    return found


def _check_plain(found: os.stat_result, name: str) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise no_file(name)
