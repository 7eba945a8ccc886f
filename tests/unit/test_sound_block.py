"""Channels are mixed without clipping, picked without mixing, and int16 survives the way round."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from voxfleet.audio.sound_block import as_float, as_int16, normalised, select_channels
from voxfleet.core import ChannelMode


def _stereo(left: int, right: int) -> NDArray[np.int16]:
    return np.array([[left, right]] * 3, np.int16)


def _mixed(block: NDArray[np.int16]) -> int:
    return int(as_int16(select_channels(block, ChannelMode.MIX))[0, 0])


def test_mixing_is_the_mean_and_cannot_overflow() -> None:
    assert _mixed(_stereo(32767, 32767)) == 32767
    assert _mixed(_stereo(-32768, -32768)) == -32768
    assert _mixed(_stereo(1000, -1000)) == 0
    assert _mixed(np.array([[3000, 0, 0, 0, 0, 0]], np.int16)) == 500


def test_mixing_leaves_the_block_as_it_was() -> None:
    block = np.array([[0.5, -0.25]], np.float32)
    select_channels(block, ChannelMode.MIX)
    assert block.tolist() == [[0.5, -0.25]]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [(ChannelMode.LEFT, [[1]]), (ChannelMode.RIGHT, [[2]]), (ChannelMode.SPLIT, [[1, 2]])],
)
def test_channels_are_picked(mode: ChannelMode, expected: list[list[int]]) -> None:
    assert select_channels(np.array([[1, 2, 3]], np.int16), mode).tolist() == expected


@pytest.mark.parametrize("mode", ChannelMode)
def test_mono_is_mono_in_every_mode(mode: ChannelMode) -> None:
    assert select_channels(np.array([[7], [8]], np.int16), mode).tolist() == [[7], [8]]


def test_every_int16_survives_the_way_through_float() -> None:
    every = np.arange(-32768, 32768).astype(np.int16).reshape(-1, 1)
    assert np.array_equal(as_int16(as_float(every)), every)


def test_overshoot_is_clipped_and_never_wraps() -> None:
    assert as_int16(np.array([[1.5], [-1.5]], np.float32)).tolist() == [[32767], [-32768]]


def test_wide_integers_keep_their_scale() -> None:
    block = normalised(np.array([[1 << 30, -(1 << 31)]], np.int32))
    assert block.dtype == np.float32
    assert block.tolist() == [[0.5, -1.0]]
