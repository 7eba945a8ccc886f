"""Loudness of sound in 10 ms frames, as streamed int16 samples arrive.

Serves the segmenter (where to cut) and the energy detector. Knows nothing of speech or files.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FRAME_SAMPLES = 160
_FULL_SCALE = 32768.0


def frame_levels(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """Power of each complete 10 ms frame, full scale = 1, without its constant offset."""
    count = len(samples) // FRAME_SAMPLES
    frames = samples[: count * FRAME_SAMPLES].astype(np.float32).reshape(count, FRAME_SAMPLES)
    frames *= np.float32(1 / _FULL_SCALE)
    power = np.einsum("ij,ij->i", frames, frames) / FRAME_SAMPLES
    # an offset of the recording device is not loudness
    power -= np.square(frames.mean(axis=1))
    levels: NDArray[np.float32] = np.maximum(power, np.float32(0))
    return levels


class FrameLevels:
    """`frame_levels` over a stream: keeps the samples of the frame that is not complete yet."""

    def __init__(self) -> None:
        self._rest = np.empty(0, np.int16)

    def push(self, samples: NDArray[np.int16]) -> NDArray[np.float32]:
        sound = np.concatenate((self._rest, samples)) if len(self._rest) else samples
        used = len(sound) - len(sound) % FRAME_SAMPLES
        self._rest = sound[used:].copy()
        return frame_levels(sound[:used])
