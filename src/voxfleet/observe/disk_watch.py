"""How much room a disk has left, looked at now and then so that whoever asks never waits for it.

Knows one folder; what too little of it means is for others to say.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from pathlib import Path

_log = logging.getLogger(__name__)

_LOOK_EVERY_S = 5.0
_BYTES_PER_MB = 1_000_000


class DiskWatch:
    """`free_mb` is None while nobody could look, which is no sign of a full disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.free_mb: int | None = None

    async def follow(self) -> None:
        """For ever: looks again every few seconds. A disk that hangs only stops this task."""
        while True:
            self.free_mb = await asyncio.to_thread(free_mb, self._folder)
            await asyncio.sleep(_LOOK_EVERY_S)


def free_mb(folder: Path) -> int | None:
    """What a user without privileges may still write there, in MB (10^6 bytes); blocks."""
    try:
        return shutil.disk_usage(folder).free // _BYTES_PER_MB
    except OSError as fault:
        _log.warning("the disk of %s cannot be read: %s", folder, fault.strerror)
        return None
