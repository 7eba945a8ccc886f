"""Resampling keeps length and pitch and knows no seams between blocks."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.unit.made_sound import tone
from voxfleet.audio.resample import Resampler


def _resampled(wave: NDArray[np.float32], rate: int, block: int) -> NDArray[np.float32]:
    resampler = Resampler(rate, wave.shape[1])
    parts = [resampler.push(wave[i : i + block]) for i in range(0, len(wave), block)]
    return np.concatenate([*parts, resampler.finish()])


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
def test_length_and_pitch(rate: int) -> None:
    wave = tone(1.0, rate).astype(np.float32)[:, np.newaxis]
    out = _resampled(wave, rate, 4096)
    expected = tone(1.0, 16_000)
    assert abs(len(out) - 16_000) <= 1
    middle = slice(1_000, 15_000)
    assert np.max(np.abs(out[middle, 0] - expected[middle])) < 0.001


def test_two_channels_stay_apart() -> None:
    wave = np.stack([tone(0.5, 8_000), np.zeros(4_000)], axis=1).astype(np.float32)
    out = _resampled(wave, 8_000, 1_000)
    assert np.abs(out[:, 0]).max() > 0.25
    assert np.abs(out[:, 1]).max() == 0


def test_block_sizes_make_no_audible_seam() -> None:
    wave = tone(2.0, 44_100).astype(np.float32)[:, np.newaxis]
    assert np.allclose(_resampled(wave, 44_100, 777), _resampled(wave, 44_100, 50_000), atol=1e-6)
