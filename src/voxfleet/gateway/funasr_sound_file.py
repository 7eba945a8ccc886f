"""Sound of a connection gathered in a file, which is read as a whole when the client has sent it.

The file exists only inside `gathered`. Knows the upload folder; knows no message.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

from voxfleet.core import RawPcm
from voxfleet.gateway.multipart_form import too_large
from voxfleet.gateway.spool_file import WRITE_BYTES, WRITE_PIECES, SpoolFile

_RIFF, _WAVE = b"RIFF", b"WAVE"


class GatheredSound:
    """`add` raises AudioTooLargeError, and OverloadError where the disk is full."""

    def __init__(self, spool: SpoolFile, max_mb: int) -> None:
        self._spool = spool
        self._max_mb = max_mb
        self._pending: list[memoryview] = []
        self._pending_bytes = 0
        self._begin = b""
        self.size_bytes = 0

    @property
    def path(self) -> Path:
        return self._spool.path

    async def add(self, sound: bytes) -> None:
        self.size_bytes += len(sound)
        if self.size_bytes > self._max_mb * 1_000_000:
            raise too_large("the sound", self._max_mb)
        if len(self._begin) < 12:
            self._begin += sound[:12]
        self._pending.append(memoryview(sound))
        self._pending_bytes += len(sound)
        if self._pending_bytes >= WRITE_BYTES or len(self._pending) >= WRITE_PIECES:
            await self.write()

    async def write(self) -> None:
        """All that was added is in the file."""
        pieces, self._pending, self._pending_bytes = self._pending, [], 0
        if pieces:
            await asyncio.to_thread(self._spool.write, pieces)

    def raw_pcm(self, *, announced: bool, sample_rate_hz: int) -> RawPcm | None:
        """How to read it; None where it has a header, announced or not."""
        is_wav = self._begin[:4] == _RIFF and self._begin[8:12] == _WAVE
        return RawPcm(sample_rate_hz=sample_rate_hz) if announced and not is_wav else None


@asynccontextmanager
async def gathered(folder: Path, max_mb: int) -> AsyncIterator[GatheredSound]:
    spool = SpoolFile(folder / f"{uuid4().hex}.upload")
    try:
        yield GatheredSound(spool, max_mb)
    finally:
        await spool.remove()
