"""Sound against a tracked noise floor: works on tones and music, which speech models ignore.

Knows nothing of speech: whatever is louder than the background counts. Digital silence never does.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

from voxfleet.audio.loudness import FRAME_SAMPLES, FrameLevels
from voxfleet.audio.speech import SpeechUpdate
from voxfleet.audio.speech_gate import GateLimits, SpeechGate
from voxfleet.core import SAMPLE_RATE_HZ

#: decibels below full scale between which the floor may lie. Above the upper one everything is
#: sound, so that music without a pause does not become its own background.
_FLOOR_DB = (-65.0, -40.0)
#: assumed until enough has been heard
_FIRST_FLOOR_DB = -62.0
_MARGIN_DB = 10.0
#: the floor is the quietest frame of the last five seconds, in blocks of half a second
_BLOCK_FRAMES = 50
_MEMORY_BLOCKS = 10
_LIMITS = GateLimits(
    frame=FRAME_SAMPLES,
    min_silence=SAMPLE_RATE_HZ // 10,
    min_speech=SAMPLE_RATE_HZ * 3 // 100,
)


def _power(decibels: float) -> float:
    return math.pow(10.0, decibels / 10.0)


class NoiseFloor:
    """The quietest frame lately, from a stream of frame powers."""

    def __init__(self) -> None:
        self._blocks = deque([_power(_FIRST_FLOOR_DB)] * _MEMORY_BLOCKS, maxlen=_MEMORY_BLOCKS)
        self._current = np.inf
        self._filled = 0

    def push(self, levels: NDArray[np.float32]) -> NDArray[np.float64]:
        """The floor at each frame, itself included, within what a floor may be."""
        floors = np.empty(len(levels), np.float64)
        at = 0
        while at < len(levels):
            taken = min(_BLOCK_FRAMES - self._filled, len(levels) - at)
            quietest = np.minimum.accumulate(levels[at : at + taken], dtype=np.float64)
            np.minimum(quietest, self._current, out=quietest)
            np.minimum(quietest, min(self._blocks), out=floors[at : at + taken])
            self._keep(float(quietest[-1]), taken)
            at += taken
        return np.clip(floors, _power(_FLOOR_DB[0]), _power(_FLOOR_DB[1]))

    def _keep(self, quietest: float, taken: int) -> None:
        self._current = quietest
        self._filled += taken
        if self._filled == _BLOCK_FRAMES:
            self._blocks.append(quietest)
            self._current, self._filled = np.inf, 0


class EnergyDetector:
    """Finds sound in one channel."""

    def __init__(self) -> None:
        self._levels = FrameLevels()
        self._floor = NoiseFloor()
        self._gate = SpeechGate(_LIMITS)
        self._samples = 0

    def push(self, samples: NDArray[np.int16]) -> SpeechUpdate:
        self._samples += len(samples)
        levels = self._levels.push(samples)
        loud = levels > self._floor.push(levels) * _power(_MARGIN_DB)
        return self._gate.push(loud, ~loud)

    def finish(self) -> SpeechUpdate:
        return self._gate.finish(self._samples)
