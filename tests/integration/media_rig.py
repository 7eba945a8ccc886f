"""What tests of the media processes need: made recordings, running pools, waits with a limit."""

from __future__ import annotations

import asyncio
import tempfile
import wave
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

from voxfleet.core import SAMPLE_RATE_HZ, AudioOptions, SpooledSegment, VadMode
from voxfleet.media.media_file import MediaFile
from voxfleet.media.media_pool import MediaPool
from voxfleet.media.media_settings import MediaSettings

ENERGY = AudioOptions(vad=VadMode.ENERGY)
LIMIT_S = 30.0

#: where a segment lies and its sound
Piece = tuple[int, float, bytes]


def write_wav(path: Path, samples: NDArray[np.int16], channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, 2, SAMPLE_RATE_HZ, 0, "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())
    return path


def bursts(
    count: int, loud_s: float = 1.5, still_s: float = 1.0, seed: int = 1
) -> NDArray[np.int16]:
    """Noise and stillness in turn: as many segments as there are bursts."""
    noise = np.random.default_rng(seed)
    loud = noise.integers(-9000, 9000, (count, int(loud_s * SAMPLE_RATE_HZ)))
    still = np.zeros((count, int(still_s * SAMPLE_RATE_HZ)), np.int64)
    return np.concatenate((still, loud, still), axis=1).astype(np.int16).reshape(-1)


def write_stillness(path: Path, hours: float) -> Path:
    """A long recording that takes no room on the disk: only its header is written."""
    size = int(hours * 3600 * SAMPLE_RATE_HZ) * 2
    write_wav(path, np.empty(0, np.int16))
    with path.open("r+b") as file:
        file.seek(4)
        file.write((36 + size).to_bytes(4, "little"))
        file.seek(40)
        file.write(size.to_bytes(4, "little"))
        file.truncate(44 + size)
    return path


class Rig:
    """A running pool and the folder it may leave nothing in."""

    def __init__(self, pool: MediaPool, spool_dir: Path) -> None:
        self.pool = pool
        self.spool_dir = spool_dir

    def left_over(self) -> list[str]:
        return sorted(path.name for path in self.spool_dir.iterdir() if path.is_dir())

    def processes(self) -> list[psutil.Process]:
        children = psutil.Process().children(recursive=True)
        return [child for child in children if self._is_ours(child)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return any(part.startswith(str(self.spool_dir)) for part in process.cmdline())
        except psutil.NoSuchProcess:
            # it has ended since it was listed
            return False


@asynccontextmanager
async def running_pool(settings: MediaSettings, log_path: Path | None = None) -> AsyncIterator[Rig]:
    # not pytest's folder: the path of a socket must be short
    with tempfile.TemporaryDirectory(prefix="voxfleet-") as folder:
        spool_dir = Path(folder) / "spool"
        pool = MediaPool(settings, Path(folder) / "media.sock", spool_dir, log_path)
        await pool.start()
        try:
            yield Rig(pool, spool_dir)
        finally:
            await asyncio.wait_for(pool.stop(), LIMIT_S)
        assert list(spool_dir.iterdir()) == []


async def until(condition: Callable[[], bool], limit_s: float = LIMIT_S) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():
            await asyncio.sleep(0.005)


def taken(segment: SpooledSegment) -> Piece:
    """Read a segment as its consumer does, and remove it."""
    sound = segment.path.read_bytes()
    segment.path.unlink()
    return segment.channel, segment.start_s, sound


async def read_all(file: MediaFile) -> list[Piece]:
    async with asyncio.timeout(LIMIT_S), file:
        return [taken(segment) async for segment in file]
