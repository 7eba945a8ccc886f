"""The one folder a server keeps things in: locked, owner-only, cleared of what was left behind.

Knows which subfolders are scratch; knows nothing of what the others hold.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from voxfleet.errors import StartError

Made = TypeVar("Made")

_SCRATCH_PREFIX = "voxfleet-scratch-"
_SCRATCH_GRACE_S = 60.0


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


@contextmanager
def open_data_dir(root: Path) -> Iterator[DataDir]:
    """Create, lock and clear the folder; raises StartError when it cannot be used or is in use."""
    folder = DataDir(root.absolute())
    with _locked(folder.root):
        _as_start_error(folder.root, lambda: make_scratch(folder))
        try:
            yield folder
        finally:
            clear_scratch(folder)


@contextmanager
def open_scratch_dir() -> Iterator[DataDir]:
    """A folder for one command, gone afterwards; what killed commands left goes first."""
    home = _as_start_error(Path("TMPDIR"), lambda: Path(tempfile.gettempdir()))
    for left_over in home.glob(f"{_SCRATCH_PREFIX}*"):
        _remove_unless_in_use(left_over)
    root = _as_start_error(home, lambda: Path(tempfile.mkdtemp(prefix=_SCRATCH_PREFIX)))
    try:
        with open_data_dir(root) as folder:
            yield folder
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _remove_unless_in_use(left_over: Path) -> None:
    """Whoever works in a scratch folder holds its lock; what is not ours is let be.

    A young folder may belong to a command that is just about to take its lock.
    """
    try:
        ours = left_over.lstat().st_uid == os.geteuid() and not left_over.is_symlink()
        age_s = time.time() - (left_over / "lock").stat().st_mtime
        if ours and age_s > _SCRATCH_GRACE_S:
            with _locked(left_over):
                shutil.rmtree(left_over, ignore_errors=True)
    except (OSError, StartError):
        # gone by now, or in use: nothing to do here either way
        return


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    lock = _as_start_error(root, lambda: _open_lock(root))
    try:
        _as_start_error(root, lambda: _lock(lock, root))
        yield
    finally:
        os.close(lock)


def _open_lock(root: Path) -> int:
    try:
        str(root).encode()
    except UnicodeEncodeError:
        raise StartError(
            f"data directory {root!a}: its name is not UTF-8; choose another"
        ) from None
    # sound lies here: nobody else may look, nor hold the lock
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.open(root / "lock", os.O_RDWR | os.O_CREAT, 0o600)


def _as_start_error(root: Path, setup: Callable[[], Made]) -> Made:
    try:
        return setup()
    except OSError as fault:
        raise StartError(
            f"data directory {root}: {fault.strerror}; choose another with VOXFLEET_DATA_DIR"
            " (for `voxfleet transcribe`: TMPDIR)"
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


def _lock(lock: int, root: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(lock, 20, 0).decode(errors="replace").strip() or "another process"
        raise StartError(
            f"data directory {root} is in use by process {owner}; stop that server or choose"
            " another directory with VOXFLEET_DATA_DIR"
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
