"""How much room a disk has left, looked at now and then so that whoever asks never waits for it.

Knows one folder; what too little of it means is for others to say.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from voxfleet.observe.system_info import read_disk

_log = logging.getLogger(__name__)

_LOOK_EVERY_S = 5.0


class DiskWatch:
    """`free_mb` is None while nobody could look, which is no sign of a full disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.free_mb: int | None = None

    async def follow(self) -> None:
        """For ever: looks again every few seconds. A disk that hangs only stops this task."""
        while True:
            self.look(await asyncio.to_thread(free_mb, self._folder))
            await asyncio.sleep(_LOOK_EVERY_S)

    def look(self, free_mb: int | None) -> None:
        if free_mb is None and self.free_mb is not None:
            _log.warning("the disk of %s cannot be read any more", self._folder)
        self.free_mb = free_mb


def free_mb(folder: Path) -> int | None:
    """What a user without privileges may still write there, in MB (10^6 bytes); blocks."""
    disk = read_disk(folder)
    return disk.free_mb if disk else None
