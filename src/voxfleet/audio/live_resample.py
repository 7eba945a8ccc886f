"""Sound of a live stream at 16 kHz, as early as the filter allows: at most some 15 ms late.

soxr's own stream keeps back up to 115 ms. A block is one product of its samples and a matrix that
holds the filter, always of one shape: slicing changes no bit. Knows no speech.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from voxfleet.audio.live_rate import RateChange
from voxfleet.core import SAMPLE_RATE_HZ

#: of the lower rate: where the filter has half its strength
_CUT_OFF = 0.46
#: stops what would be mirrored by 80 dB
_KAISER_BETA = 7.86
_Array = NDArray[np.float32]


class LiveResampler:
    """For one channel of int16."""

    def __init__(self, change: RateChange) -> None:
        self._change = change
        #: what the next block looks back at, then what has arrived of it
        self._held: _Array = np.zeros(change.reach, np.float32)

    def push(self, samples: NDArray[np.int16]) -> NDArray[np.int16]:
        if self._change.reach == 0:
            return samples
        self._held = np.concatenate((self._held, samples.astype(np.float32)))
        return self._make()

    def finish(self, missing: int) -> NDArray[np.int16]:
        """The last `missing` samples of a stretch, with silence after it.

        The next stretch looks back at this one, so that going on makes no click.
        """
        change = self._change
        if change.reach == 0:
            return np.empty(0, np.int16)
        heard = self._held
        self._held = np.concatenate((heard, np.zeros(change.reach + change.block_in, np.float32)))
        made = self._make()[:missing]
        self._held = heard[len(heard) - change.reach :].copy()
        return made

    def _make(self) -> NDArray[np.int16]:
        change, kernel = self._change, _kernel(self._change)
        width = len(kernel)
        blocks = max(0, (len(self._held) - 2 * change.reach) // change.block_in)
        made = np.empty((blocks, change.block_out), np.float32)
        for block in range(blocks):
            begin = block * change.block_in
            np.dot(self._held[begin : begin + width], kernel, out=made[block])
        self._held = self._held[blocks * change.block_in :].copy()
        np.rint(made, out=made)
        np.clip(made, -32768, 32767, out=made)
        return made.reshape(-1).astype(np.int16)


@cache
def _kernel(change: RateChange) -> _Array:
    """What each sample of a block, and of those around it, adds to each that is made."""
    lower = min(change.sample_rate_hz, SAMPLE_RATE_HZ) / change.sample_rate_hz
    given = np.arange(-change.reach, change.block_in + change.reach)[:, np.newaxis]
    distance = given - np.arange(change.block_out) * (change.down / change.up)
    inside = np.clip(1 - np.square(distance / change.reach), 0, None)
    window = np.where(np.abs(distance) <= change.reach, np.i0(_KAISER_BETA * np.sqrt(inside)), 0)
    taps = np.sinc(2 * _CUT_OFF * lower * distance) * window
    scaled: _Array = (taps / taps.sum(axis=0)).astype(np.float32)
    return scaled
