"""A private file that takes what is fetched from elsewhere, of bounded size, gone afterwards.

Knows neither where the bytes come from nor what they are.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

from voxfleet.errors import AudioTooLargeError, CancelledError
from voxfleet.jobs.place_faults import faults_of

_MB = 1_000_000


class ScratchCopy:
    """Its methods block and belong in a thread.

    A cancelled task leaves its writing thread behind. The lock keeps the descriptor from being
    closed under that thread's hands, and the next `write` after `discard` ends the thread.
    """

    def __init__(self, path: Path, name: str, max_bytes: int) -> None:
        self.path = path
        self.name = name
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._size_bytes = 0
        self._discarded = False

    def check_size(self, size_bytes: int) -> None:
        """Asked early where the size is known before the bytes come."""
        if size_bytes > self.max_bytes:
            raise AudioTooLargeError(
                f"{self.name}: more than the {self.max_bytes / _MB:g} MB that this server fetches"
                " (server.max_upload_mb); store it compressed (opus, mp3, flac) or in parts",
                param="file",
            )

    def write(self, piece: bytes) -> None:
        """Raises VoxfleetError: too large, no room on the disk, or nobody wants it any more."""
        with self._lock, faults_of(self.name):
            if self._discarded:
                raise CancelledError(f"{self.name}: is not wanted any more")
            self.check_size(self._size_bytes + len(piece))
            if self._descriptor is None:
                self._descriptor = self._open()
            left = memoryview(piece)
            while left:
                left = left[os.write(self._descriptor, left) :]
            self._size_bytes += len(piece)

    def discard(self) -> None:
        with self._lock:
            self._discarded = True
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None
                self.path.unlink(missing_ok=True)

    def _open(self) -> int:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)


@asynccontextmanager
async def scratch_copy(folder: Path, name: str, max_bytes: int) -> AsyncIterator[ScratchCopy]:
    """A copy under a free name; the file is there from the first `write`, which may be empty."""
    copy = ScratchCopy(folder / f"source-{uuid4().hex}", name, max_bytes)
    try:
        yield copy
    finally:
        # shielded: it must happen even when the task is cancelled a second time
        discarding = asyncio.get_running_loop().run_in_executor(None, copy.discard)
        await asyncio.shield(discarding)
