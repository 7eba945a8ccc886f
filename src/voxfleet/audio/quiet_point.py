"""Where to cut speech that is too long: at its quietest moment. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voxfleet.audio.loudness import FRAME_SAMPLES

#: loudness is smoothed over so many frames on either side, lest a cut fall into a closed consonant
_SMOOTHING_FRAMES = 7


@dataclass(frozen=True, slots=True)
class CutWindow:
    """In samples: the speech begins at `start`, the cut lies between `earliest` and `latest`, and
    no sound from `end` on is looked at."""

    start: int
    earliest: int
    latest: int
    end: int


def quiet_point(levels: NDArray[np.float32], levels_from: int, window: CutWindow) -> int:
    """The sample at which the frames around are quietest, the middle one among equals.

    `levels` are the powers of 10 ms frames from frame `levels_from` on.
    """
    middle = FRAME_SAMPLES // 2
    first = -(-(window.earliest - middle) // FRAME_SAMPLES)
    last = (window.latest - middle) // FRAME_SAMPLES
    begin = max(first - _SMOOTHING_FRAMES, -(-window.start // FRAME_SAMPLES))
    end = min(last + _SMOOTHING_FRAMES + 1, window.end // FRAME_SAMPLES)
    heard = levels[max(0, begin - levels_from) : max(0, end - levels_from)]
    smooth = _smoothed(heard)[max(0, first - begin) : last + 1 - begin]
    if not len(smooth):
        return window.latest
    equals = np.flatnonzero(smooth == smooth.min())
    return int(max(first, begin) + equals[len(equals) // 2]) * FRAME_SAMPLES + middle


def _smoothed(levels: NDArray[np.float32]) -> NDArray[np.float64]:
    """The mean over the frames around each, of those there are."""
    width = 2 * _SMOOTHING_FRAMES + 1
    if not len(levels):
        return np.empty(0)
    padded = np.pad(levels.astype(np.float64), _SMOOTHING_FRAMES, constant_values=np.nan)
    around = np.lib.stride_tricks.sliding_window_view(padded, width)
    means: NDArray[np.float64] = np.nanmean(around, axis=1)
    return means
