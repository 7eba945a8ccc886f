"""The one folder a server keeps things in: locked, owner-only, cleared of what was left behind.

Knows which subfolders are scratch; knows nothing of what the others hold.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from voxfleet.errors import StartError


@dataclass(frozen=True, slots=True)
class DataDir:
    """`spool`, `uploads` and `run` (sockets) are scratch and empty at each start; `logs` stay."""

    root: Path

    @property
    def spool(self) -> Path:
        return self.root / "spool"

    @property
    def uploads(self) -> Path:
        return self.root / "uploads"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def models(self) -> Path:
        return self.root / "models"


@contextmanager
def open_data_dir(root: Path) -> Iterator[DataDir]:
    """Create, lock and clear the folder; raises StartError when it cannot be used or is in use."""
    folder = DataDir(root.absolute())
    try:
        folder.root.mkdir(parents=True, exist_ok=True)
        with (folder.root / "lock").open("a+") as lock:
            _lock(lock, folder.root)
            make_scratch(folder)
            yield folder
            clear_scratch(folder)
    except OSError as fault:
        raise StartError(
            f"data directory {root}: {fault.strerror}; choose another with VOXFLEET_DATA_DIR"
        ) from fault


def make_scratch(folder: DataDir) -> None:
    """Empty scratch folders that only this user may look into: sound and sockets lie there."""
    clear_scratch(folder)
    for scratch in (folder.spool, folder.uploads, folder.run):
        scratch.mkdir(mode=0o700)
    folder.logs.mkdir(mode=0o700, exist_ok=True)


def clear_scratch(folder: DataDir) -> None:
    for scratch in (folder.spool, folder.uploads, folder.run):
        shutil.rmtree(scratch, ignore_errors=True)


def _lock(lock: IO[str], root: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        owner = lock.read().strip() or "another process"
        raise StartError(
            f"data directory {root} is in use by process {owner}; stop that server or choose"
            " another directory with VOXFLEET_DATA_DIR"
        ) from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
