"""Sound that arrives while it is spoken: how its bytes are to be read, and what was heard in it.

Values only. Positions are samples at 16 kHz from the start of the stream, whatever its own rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from voxfleet.audio.speech import SpeechUpdate
from voxfleet.core import SAMPLE_RATE_HZ, VadMode


class SoundEncoding(StrEnum):
    """Of one channel: int16 little-endian, or G.711 with a byte for each sample."""

    PCM16 = "pcm16"
    ULAW = "ulaw"
    ALAW = "alaw"


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """`threshold` is the probability from which on a detector that has one hears speech."""

    encoding: SoundEncoding = SoundEncoding.PCM16
    sample_rate_hz: int = SAMPLE_RATE_HZ
    vad: VadMode = VadMode.AUTO
    threshold: float = 0.5

    @property
    def bytes_per_s(self) -> int:
        width = 2 if self.encoding is SoundEncoding.PCM16 else 1
        return width * self.sample_rate_hz


@dataclass(frozen=True, slots=True)
class Heard:
    """What is known when all sound before `position` was heard; `speech` as detectors say it."""

    position: int
    speech: SpeechUpdate
