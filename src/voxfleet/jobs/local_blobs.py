"""Uploaded files of jobs in a folder of this machine, one subfolder for each job. All blocks.

Files appear whole and are on the disk when `put` returns. Several servers may share the folder:
keys are unique, and whatever else is made is under a random name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from voxfleet.jobs.durable_move import PART_SUFFIX, make_folder, move_durably, opened_folder

_PRIVATE = 0o700
#: a job's folder may be removed, as it is empty, the moment before a file comes into it
_TRIES = 10


class LocalBlobs:
    """Keys are checked by whoever asks."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path_of(self, key: str) -> Path:
        return self._root / key

    def put(self, path: Path, key: str) -> None:
        """The file at `path` is gone from there afterwards. Raises OSError."""
        make_folder(self._root, _PRIVATE)
        with opened_folder(path.parent) as folder:
            os.chmod(path.name, 0o600, dir_fd=folder)
            self._moved(folder, path, self.path_of(key))

    def _moved(self, folder: int, path: Path, target: Path) -> None:
        for left in reversed(range(_TRIES)):
            try:
                move_durably(folder, path.name, target, folder_mode=_PRIVATE)
                return
            except FileNotFoundError:
                if not left or not path.exists():
                    raise

    def remove(self, key: str) -> None:
        """It may be gone already."""
        path = self.path_of(key)
        path.unlink(missing_ok=True)
        with suppress(OSError):
            # the last file of its job
            path.parent.rmdir()

    def older_than(self, before_s: float) -> Iterator[str]:
        """Whatever lies two folders deep; what a killed server left unfinished is removed."""
        for folder in _entries(self._root):
            for entry in _entries(Path(folder.path)):
                with suppress(FileNotFoundError):
                    if entry.stat(follow_symlinks=False).st_mtime >= before_s:
                        continue
                    if entry.name.endswith(PART_SUFFIX):
                        Path(entry.path).unlink()
                    else:
                        yield f"{folder.name}/{entry.name}"


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except (FileNotFoundError, NotADirectoryError):
        return []
