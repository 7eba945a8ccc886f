"""The energy detector on tones, music and silence; and the gate it shares with Silero."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from voxfleet.audio.detectors import make_detector
from voxfleet.audio.speech import SpeechDetector, SpeechSpan
from voxfleet.audio.speech_gate import GateLimits, SpeechGate
from voxfleet.audio.vad_energy import EnergyDetector
from voxfleet.core import VadMode

RATE = 16_000


def tone(hz: float, seconds: float, amplitude: float = 8000.0) -> NDArray[np.int16]:
    time = np.arange(round(seconds * RATE)) / RATE
    return (amplitude * np.sin(2 * np.pi * hz * time)).astype(np.int16)


def pause(seconds: float) -> NDArray[np.int16]:
    return np.zeros(round(seconds * RATE), np.int16)


def found(
    detector: SpeechDetector, samples: NDArray[np.int16], step: int = 10**9
) -> list[SpeechSpan]:
    spans: list[SpeechSpan] = []
    for at in range(0, len(samples), step):
        spans += detector.push(samples[at : at + step]).spans
    return spans + list(detector.finish().spans)


@pytest.mark.parametrize("hz", [50, 110, 440, 1000, 3000, 7500])
@pytest.mark.parametrize("amplitude", [300.0, 8000.0, 32000.0])
@pytest.mark.parametrize("gap_s", [0.12, 0.2, 1.0])
def test_each_tone_is_found_where_it_is(hz: float, amplitude: float, gap_s: float) -> None:
    once = np.concatenate((tone(hz, 0.3, amplitude), pause(gap_s)))
    spans = found(EnergyDetector(), np.tile(once, 20))
    assert len(spans) == 20
    for index, span in enumerate(spans):
        begin = index * len(once)
        assert abs(span.start - begin) <= 160
        assert abs(span.end - (begin + 4800)) <= 160


def test_music_without_a_pause_stays_sound() -> None:
    samples = tone(440, 60.0)
    assert found(EnergyDetector(), samples) == [SpeechSpan(0, len(samples))]


def test_digital_silence_is_never_speech() -> None:
    assert found(EnergyDetector(), pause(60)) == []
    assert found(EnergyDetector(), np.full(RATE * 60, 1234, np.int16)) == [], "nor is an offset"


def test_steady_noise_becomes_background_and_a_tone_stands_out() -> None:
    noise = np.random.default_rng(0).normal(0, 120, RATE * 30).astype(np.int16)
    noise[RATE * 20 : RATE * 21] += tone(500, 1.0)
    late = [span for span in found(EnergyDetector(), noise) if span.end > RATE * 10]
    assert [(round(s.start / RATE, 1), round(s.end / RATE, 1)) for s in late] == [(20.0, 21.0)]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 40_000), max_size=20), st.integers(0, 100))
def test_slicing_changes_nothing(places: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    loudness = np.repeat(10 ** rng.uniform(0, 4, 40), 1000)
    samples = (loudness * rng.uniform(-1, 1, 40_000)).astype(np.int16)
    detector, spans = EnergyDetector(), list[SpeechSpan]()
    edges = [0, *sorted(places), len(samples)]
    for a, b in itertools.pairwise(edges):
        spans += detector.push(samples[a:b]).spans
    spans += detector.finish().spans
    assert spans == found(EnergyDetector(), samples)


def test_off_is_everything() -> None:
    detector = make_detector(VadMode.OFF, None, 30.0)
    assert detector.push(pause(0)).open_since is None
    assert detector.push(pause(1)).open_since == 0
    assert detector.finish().spans == (SpeechSpan(0, RATE),)
    assert make_detector(VadMode.OFF, None, 30.0).finish().spans == ()


GATE = GateLimits(frame=10, min_silence=30, min_speech=40)


def gate_step_by_step(verdicts: list[int]) -> list[SpeechSpan]:
    """1: speech, -1: silence, 0: neither; the published hysteresis, one frame after the other."""
    spans, start, quiet = [], None, None
    for frame, verdict in enumerate(verdicts):
        if verdict == 1:
            start = frame if start is None else start
            quiet = None
        elif verdict == -1 and start is not None:
            quiet = frame if quiet is None else quiet
            if (frame - quiet) * 10 >= 30:
                spans.append(SpeechSpan(start * 10, quiet * 10))
                start = quiet = None
    if start is not None:
        spans.append(SpeechSpan(start * 10, len(verdicts) * 10))
    return [span for span in spans if span.end - span.start > 40]


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([1, 0, -1]), st.integers(1, 9)), max_size=25),
    st.lists(st.integers(0, 120), max_size=8),
)
def test_the_gate_follows_the_rules_in_any_slicing(
    runs: list[tuple[int, int]], places: list[int]
) -> None:
    verdicts = [verdict for verdict, length in runs for _ in range(length)]
    array = np.array(verdicts, np.int64)
    gate, spans = SpeechGate(GATE), list[SpeechSpan]()
    edges = [0, *sorted(place for place in places if place < len(array)), len(array)]
    since: int | None = None
    until, settled = 0, 0
    for a, b in itertools.pairwise(edges):
        update = gate.push(array[a:b] == 1, array[a:b] == -1)
        assert all(span.start >= settled for span in update.spans)
        if since is not None:
            following = update.spans[0] if update.spans else None
            assert (following.start if following else update.open_since) == since
            assert following is None or following.end >= until
        since, until, settled = update.open_since, update.open_until or 0, update.settled
        spans += update.spans
    spans += gate.finish(len(array) * 10).spans
    assert spans == gate_step_by_step(verdicts)
