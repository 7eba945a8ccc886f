"""Blocks of decoded sound: from any sample type to int16 or float32, from many channels to one.

Pure. A block has shape [frames, channels]; float sound lies in -1..1. Knows no file and no rate.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from voxfleet.core import ChannelMode

#: int16 where the file holds 16 bits or fewer, so that 16 kHz speech passes through untouched
SoundBlock: TypeAlias = NDArray[np.int16] | NDArray[np.float32]

#: far above any real overshoot, far below what makes a filter overflow
_LOUDEST = 8.0


def normalised(samples: NDArray[Any]) -> SoundBlock:
    """Samples of any numeric type as int16 or as finite float32; the shape stays."""
    kind = samples.dtype
    if kind == np.int16:
        return samples
    if kind == np.uint8:
        centred: NDArray[np.int16] = (samples.astype(np.int16) - 128) << 8
        return centred
    if kind == np.int8:
        return samples.astype(np.int16) << 8
    if kind.kind == "i":
        full_scale = 2.0 ** (8 * kind.itemsize - 1)
        return (samples * np.float64(1 / full_scale)).astype(np.float32)
    return _finite(samples)


def _finite(samples: NDArray[Any]) -> NDArray[np.float32]:
    """NaN becomes silence and absurd values are limited, so that no filter can be poisoned."""
    in_range = not samples.size or max(samples.max(), -samples.min()) <= _LOUDEST
    if not in_range:  # also true of NaN, which compares false
        samples = np.clip(np.nan_to_num(samples), -_LOUDEST, _LOUDEST)
    return samples.astype(np.float32, copy=False)


def select_channels(block: SoundBlock, mode: ChannelMode) -> SoundBlock:
    """[n, any] → [n, 1], or [n, 2] for split; a mono block stays mono."""
    channels = block.shape[1]
    if channels == 1:
        return block
    if mode is ChannelMode.MIX:
        return _averaged(block)
    if mode is ChannelMode.SPLIT:
        return block[:, :2]
    column = 0 if mode is ChannelMode.LEFT else 1
    return block[:, column : column + 1]


def _averaged(block: SoundBlock) -> NDArray[np.float32]:
    """The mean of all channels: it cannot clip. Column by column, which numpy does fastest."""
    mono = as_float(block[:, 0])
    if mono.base is not None or mono is block:
        mono = mono.copy()
    for column in range(1, block.shape[1]):
        mono += as_float(block[:, column])
    mono /= block.shape[1]
    return mono[:, np.newaxis]


def as_float(block: SoundBlock) -> NDArray[np.float32]:
    if block.dtype == np.int16:
        return block.astype(np.float32) * np.float32(1 / 32768)
    return block.astype(np.float32, copy=False)


def as_int16(block: SoundBlock) -> NDArray[np.int16]:
    """Rounded and clipped, never wrapped round; the inverse of `as_float`, without dither."""
    if block.dtype == np.int16:
        return block.astype(np.int16, copy=False)
    scaled = block * np.float32(32768)
    np.rint(scaled, out=scaled)
    np.clip(scaled, -32768, 32767, out=scaled)
    return scaled.astype(np.int16)
