"""Sound of any rate to 16 kHz, block by block with no seam. Knows no file and no channel meaning.

The caller's blocks may have any length: the filter's state crosses them.
"""

from __future__ import annotations

import numpy as np
import soxr  # type: ignore[import-untyped]
from numpy.typing import NDArray

from voxfleet.core import SAMPLE_RATE_HZ


class Resampler:
    """Feeds soxr with float32; for sound that has 16 kHz already there is no need of one."""

    def __init__(self, sample_rate_hz: int, channels: int) -> None:
        self._stream = soxr.ResampleStream(
            sample_rate_hz, SAMPLE_RATE_HZ, channels, dtype="float32", quality="HQ"
        )
        self._empty = np.zeros((0, channels), np.float32)

    def push(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """The next sound, shape [n, channels]; what comes out is late by the filter's length."""
        return self._shaped(self._stream.resample_chunk(np.ascontiguousarray(block)))

    def finish(self) -> NDArray[np.float32]:
        """What the filter still holds; the recording has ended."""
        return self._shaped(self._stream.resample_chunk(self._empty, last=True))

    def _shaped(self, resampled: NDArray[np.float32]) -> NDArray[np.float32]:
        return resampled.reshape(-1, self._empty.shape[1])
