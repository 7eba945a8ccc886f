"""What tests of live sound need: a running host, streams fed and listened to, its process."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voxfleet.audio.speech import SpeechSpan
from voxfleet.core import SAMPLE_RATE_HZ, SpooledSegment
from voxfleet.media.live_host import LiveHost
from voxfleet.media.live_settings import LiveHostSettings
from voxfleet.media.live_sound import Heard
from voxfleet.media.live_stream import LiveStream

LIMIT_S = 30.0


@asynccontextmanager
async def running_host(
    settings: LiveHostSettings | None = None, log_path: Path | None = None
) -> AsyncIterator[LiveHost]:
    # not pytest's folder: the path of a socket must be short
    with tempfile.TemporaryDirectory(prefix="voxfleet-") as folder:
        host = LiveHost(
            settings or LiveHostSettings(),
            socket_path=Path(folder) / "live.sock",
            spool_dir=Path(folder) / "live",
            log_path=log_path,
        )
        await host.start()
        try:
            yield host
        finally:
            await asyncio.wait_for(host.stop(), LIMIT_S)
        assert not (Path(folder) / "live").exists()


def process_id(host: LiveHost) -> int:
    assert host.child is not None
    return host.child.process.pid


def speech(sample_clip: Path, times: int = 1) -> NDArray[np.int16]:
    """The clip, each time with a second of stillness before it and after the last."""
    clip = np.frombuffer(sample_clip.read_bytes()[44:], "<i2").astype(np.int16)
    still = np.zeros(SAMPLE_RATE_HZ, np.int16)
    return np.concatenate([part for _ in range(times) for part in (still, clip)] + [still])


def pcm(samples: NDArray[np.int16]) -> bytes:
    return samples.astype("<i2").tobytes()


def taken(segment: SpooledSegment) -> NDArray[np.int16]:
    sound = np.frombuffer(segment.path.read_bytes(), "<i2").astype(np.int16)
    segment.path.unlink()
    assert len(sound) == segment.sample_count
    return sound


@dataclass
class Listener:
    """Gathers all that is heard of a stream, and checks that positions only grow."""

    stream: LiveStream
    spans: list[SpeechSpan] = field(default_factory=list)
    last: Heard | None = None
    count: int = 0

    async def until(self, position: int) -> None:
        async with asyncio.timeout(LIMIT_S):
            while self.last is None or self.last.position < position:
                self._take(await self.stream.heard())

    async def flushed(self) -> list[SpeechSpan]:
        """Everything that was fed is heard; all spans so far."""
        async with asyncio.timeout(LIMIT_S):
            await self.stream.flush()
            self._take(await self.stream.heard())
        return self.spans

    def _take(self, heard: Heard) -> None:
        assert self.last is None or heard.position >= self.last.position
        self.spans += heard.speech.spans
        self.last = heard
        self.count += 1


async def play(stream: LiveStream, sound: bytes, step_bytes: int) -> None:
    """Feed in pieces, giving way after each."""
    for at in range(0, len(sound), step_bytes):
        stream.feed(sound[at : at + step_bytes])
        await asyncio.sleep(0)
