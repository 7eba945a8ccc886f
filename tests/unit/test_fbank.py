"""Filter banks against Kaldi's own."""

from __future__ import annotations

import itertools

import kaldi_native_fbank as knf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from voxfleet.audio.fbank import Fbank


def kaldi(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    options = knf.FbankOptions()
    options.frame_opts.dither = 0.0
    options.frame_opts.window_type = "hamming"
    options.mel_opts.num_bins = 80
    options.energy_floor = 0.0
    bank = knf.OnlineFbank(options)
    bank.accept_waveform(16_000, samples.astype(np.float32).tolist())
    bank.input_finished()
    return np.stack([bank.get_frame(frame) for frame in range(bank.num_frames_ready)])


def chirp(seconds: float) -> NDArray[np.int16]:
    time = np.arange(round(seconds * 16_000)) / 16_000
    rng = np.random.default_rng(1)
    sound = 9000 * np.sin(2 * np.pi * (60 * time + 900 * time**2)) * np.abs(np.sin(3 * time))
    return (sound + rng.normal(0, 20, len(time))).astype(np.int16)


def quiet_with_offset() -> NDArray[np.int16]:
    return (np.random.default_rng(2).normal(9000, 30, 16_000)).astype(np.int16)


@pytest.mark.parametrize(
    "samples",
    [
        chirp(4.0),
        quiet_with_offset(),
        np.zeros(4000, np.int16),
        np.full(4000, -32768, np.int16),
        np.random.default_rng(3).integers(-32768, 32768, 16_000).astype(np.int16),
    ],
    ids=["chirp", "offset", "silence", "constant", "loud noise"],
)
def test_features_equal_kaldi(samples: NDArray[np.int16]) -> None:
    ours = Fbank().push(samples)
    np.testing.assert_allclose(ours, kaldi(samples), atol=1e-3)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 32_000), max_size=12))
def test_slicing_changes_nothing(places: list[int]) -> None:
    samples = chirp(2.0)
    edges = [0, *sorted(places), len(samples)]
    sliced = Fbank()
    parts = [sliced.push(samples[a:b]) for a, b in itertools.pairwise(edges)]
    np.testing.assert_allclose(np.concatenate(parts), Fbank().push(samples), atol=1e-5)


@pytest.mark.parametrize(("samples", "frames"), [(0, 0), (399, 0), (400, 1), (559, 1), (560, 2)])
def test_a_frame_needs_all_its_samples(samples: int, frames: int) -> None:
    assert Fbank().push(np.ones(samples, np.int16)).shape == (frames, 80)
