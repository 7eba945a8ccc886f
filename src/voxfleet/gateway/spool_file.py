"""A file that takes what a client sends while it arrives, and that nobody else can read."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from pathlib import Path

from voxfleet.errors import OverloadError

#: bytes gathered before a thread writes them: few thread switches, and the loop never waits for a
#: disk that is slow
WRITE_BYTES = 1_000_000
#: as many as the kernel takes in one call (IOV_MAX)
WRITE_PIECES = 1024
#: what a file system forgets in less time than a thread takes to be asked: about 100 µs
_SMALL_BYTES = 2_000_000
_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_DISK_FULL_RETRY_S = 60.0


class SpoolFile:
    """A new file that only its owner can read; what blocks belongs in a thread.

    A cancelled task leaves its writing thread behind. The lock keeps the descriptor from being
    closed, and its number from being given to another file, under that thread's hands; and a
    thread that comes late, after `discard`, makes no file that nobody would delete.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._written_bytes = 0
        self._discarded = False

    def write(self, pieces: list[memoryview]) -> None:
        """Append to the file, which the first write makes; a full disk is told as an overload."""
        try:
            with self._lock:
                if not self._discarded:
                    self._write_all(pieces)
        except OSError as error:
            if error.errno not in _DISK_FULL:
                raise
            raise OverloadError(
                "the server's disk has no room for the upload; try later, and tell its operator",
                retry_after_s=_DISK_FULL_RETRY_S,
            ) from error

    async def remove(self) -> None:
        """Discard without holding up the loop."""
        if not self.discard_small():
            # shielded: it must happen even when the task is cancelled a second time
            discarding = asyncio.get_running_loop().run_in_executor(None, self.discard)
            await asyncio.shield(discarding)

    def discard(self) -> None:
        """May take long: a thread may be writing still, and gigabytes are freed slowly."""
        with self._lock:
            self._discard()

    def discard_small(self) -> bool:
        """Discard what takes less time than a thread would; False when there is more to be done."""
        if self._written_bytes > _SMALL_BYTES or not self._lock.acquire(blocking=False):
            return False
        try:
            self._discard()
        finally:
            self._lock.release()
        return True

    def _discard(self) -> None:
        self._discarded = True
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
            self.path.unlink(missing_ok=True)

    def _write_all(self, left: list[memoryview]) -> None:
        if self._descriptor is None:
            self._descriptor = self._open()
        while left:
            written = os.writev(self._descriptor, left[:WRITE_PIECES])
            self._written_bytes += written
            left = without(left, written)

    def _open(self) -> int:
        how = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        try:
            return os.open(self.path, how, 0o600)
        except FileNotFoundError:
            # the first upload of all, or somebody has removed the folder
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.open(self.path, how, 0o600)


def without(pieces: list[memoryview], size_bytes: int) -> list[memoryview]:
    """What is left of them after their first bytes."""
    for number, piece in enumerate(pieces):
        if size_bytes < len(piece):
            return [piece[size_bytes:], *pieces[number + 1 :]]
        size_bytes -= len(piece)
    return []
