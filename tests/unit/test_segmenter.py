"""The segmenter's promises, on any speech and any slicing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from voxfleet.audio.loudness import FrameLevels, frame_levels
from voxfleet.audio.quiet_point import CutWindow, quiet_point
from voxfleet.audio.segmenter import Segmenter, SegmentLimits
from voxfleet.audio.speech import SpeechSpan, SpeechUpdate

RATE = 16_000


class ScriptedDetector:
    """Reports given speech as a detector would: the start and the end of it with a delay."""

    def __init__(self, spans: list[SpeechSpan], total: int, start_lag: int, end_lag: int) -> None:
        self._spans, self._total = spans, total
        self._start_lag, self._end_lag = start_lag, end_lag
        self._told = 0

    def at(self, heard: int) -> SpeechUpdate:
        first = self._told
        while (
            self._told < len(self._spans) and self._spans[self._told].end + self._end_lag <= heard
        ):
            self._told += 1
        closed = tuple(self._spans[first : self._told])
        floor = self._spans[self._told - 1].end if self._told else 0
        if self._told < len(self._spans):
            speech = self._spans[self._told]
            if speech.start + self._start_lag <= heard:
                until = max(speech.start, min(speech.end, heard - self._end_lag))
                return SpeechUpdate(closed, speech.start, speech.start, until)
        return SpeechUpdate(closed, None, max(floor, heard - self._start_lag))

    def end(self) -> SpeechUpdate:
        return SpeechUpdate(tuple(self._spans[self._told :]), None, self._total)


def run(
    spans: list[SpeechSpan],
    samples: NDArray[np.int16],
    cuts: list[int],
    limits: SegmentLimits,
    lags: tuple[int, int] = (0, 0),
) -> list[SpeechSpan]:
    total = len(samples)
    detector = ScriptedDetector(spans, total, *lags)
    segmenter, levels = Segmenter(limits), FrameLevels()
    segments: list[SpeechSpan] = []
    begin = 0
    for cut in [*cuts, total]:
        needed = segmenter.needed_from
        fresh = segmenter.push(detector.at(cut), levels.push(samples[begin:cut]))
        assert all(segment.start >= needed for segment in fresh)
        assert segmenter.needed_from >= needed
        segments += fresh
        begin = cut
    needed = segmenter.needed_from
    fresh = segmenter.finish(detector.end(), np.empty(0, np.float32))
    assert all(segment.start >= needed for segment in fresh)
    return segments + fresh


def noise(total: int, seed: int = 0) -> NDArray[np.int16]:
    rng = np.random.default_rng(seed)
    loudness = np.repeat(rng.integers(1, 3000, total // 800 + 1), 800)[:total]
    return (rng.uniform(-1, 1, total) * loudness).astype(np.int16)


@st.composite
def recordings(draw: st.DrawFn) -> tuple[list[SpeechSpan], int]:
    gaps_and_lengths = draw(
        st.lists(
            st.tuples(
                st.sampled_from([1, 1000, 1700, 3000, 6000, 6500, 20_000]),
                st.sampled_from([1, 800, 3000, 5000, 12_000, 22_000, 25_000, 60_000]),
                st.integers(0, 400),
            ),
            max_size=8,
        )
    )
    spans, at = [], draw(st.sampled_from([0, 0, 5000])) - 1
    for gap, length, jitter in gaps_and_lengths:
        start = at + gap + jitter
        at = start + length
        spans.append(SpeechSpan(start, at))
    return spans, max(at, 0) + draw(st.integers(0, 5000))


LIMITS = SegmentLimits(
    max_s=1.5, min_silence_s=0.1, padding_s=0.08, merge_below_s=0.3, merge_gap_s=0.4
)
USUAL = SegmentLimits(max_s=30.0, min_silence_s=0.25, padding_s=0.1, merge_below_s=1.0)


@settings(max_examples=300, deadline=None)
@given(
    recordings(),
    st.integers(200, 20_000),
    st.sampled_from([(0, 0), (6400, 10400), (480, 1600), (0, 16000)]),
    st.integers(0, 5),
)
def test_any_slicing_gives_the_same_sound_segments(
    recording: tuple[list[SpeechSpan], int],
    step: int,
    lags: tuple[int, int],
    seed: int,
) -> None:
    spans, total = recording
    samples = noise(total, seed)
    whole = run(spans, samples, [], LIMITS)
    cuts = list(range(step, total, step))
    assert run(spans, samples, cuts, LIMITS, lags) == whole
    assert_sound(whole, spans, total, round(LIMITS.max_s * RATE))


def assert_sound(
    segments: list[SpeechSpan], spans: list[SpeechSpan], total: int, longest: int
) -> None:
    bounds = [edge for segment in segments for edge in (segment.start, segment.end)]
    assert bounds == sorted(bounds), "segments are ordered and do not overlap"
    assert all(0 <= edge <= total for edge in bounds)
    assert all(0 < segment.end - segment.start <= longest for segment in segments)
    covered = np.zeros(total, bool)
    for segment in segments:
        covered[segment.start : segment.end] = True
    assert all(covered[span.start : span.end].all() for span in spans), "nothing spoken is lost"


def spoken(*seconds: tuple[float, float]) -> list[SpeechSpan]:
    return [SpeechSpan(round(a * RATE), round(b * RATE)) for a, b in seconds]


def in_seconds(segments: list[SpeechSpan]) -> list[tuple[float, float]]:
    return [(round(s.start / RATE, 3), round(s.end / RATE, 3)) for s in segments]


def segmented(total_s: float, *speech: tuple[float, float]) -> list[tuple[float, float]]:
    samples = noise(round(total_s * RATE))
    return in_seconds(run(spoken(*speech), samples, [], USUAL))


def test_speech_is_padded_within_the_recording() -> None:
    assert segmented(10, (0.05, 3), (5, 9.95)) == [(0, 3.1), (4.9, 10)]


def test_neighbours_split_the_pause_between_them() -> None:
    limits = replace(USUAL, padding_s=0.5)
    segments = run(spoken((1, 3), (3.6, 6)), noise(10 * RATE), [], limits)
    assert in_seconds(segments) == [(0.5, 3.3), (3.3, 6.5)]


def test_a_short_pause_does_not_separate() -> None:
    assert segmented(10, (1, 3), (3.2, 6)) == [(0.9, 6.1)]


def test_scraps_join_a_near_neighbour_only() -> None:
    assert segmented(20, (1, 1.2), (1.6, 6), (6.5, 6.7), (9, 9.2)) == [(0.9, 6.8), (8.9, 9.3)]


def test_no_join_grows_beyond_the_limit() -> None:
    assert segmented(40, (0.5, 30), (30.4, 30.9)) == [(0.4, 30.1), (30.3, 31.0)]


def test_long_speech_is_cut_where_it_is_quietest_and_pieces_adjoin() -> None:
    samples = noise(40 * RATE)
    samples[round(24.9 * RATE) : round(25.2 * RATE)] = 0
    segments = run(spoken((0, 40)), samples, [], USUAL)
    assert len(segments) == 2
    assert segments[0].end == segments[1].start
    assert abs(segments[0].end / RATE - 25.05) < 0.02


def test_long_speech_flows_out_while_it_goes_on() -> None:
    segmenter, levels = Segmenter(USUAL), FrameLevels()
    samples, ready = noise(RATE * 10), 0
    for heard in range(10, 601, 10):
        update = SpeechUpdate((), 0, 0, heard * RATE)
        ready += len(segmenter.push(update, levels.push(samples)))
        assert heard * RATE - segmenter.needed_from <= 40 * RATE
    assert ready >= 19


def test_silence_needs_no_memory() -> None:
    segmenter = Segmenter(USUAL)
    levels = np.zeros(3000, np.float32)
    for heard in range(30, 301, 30):
        assert segmenter.push(SpeechUpdate((), None, heard * RATE), levels) == []
        assert segmenter.needed_from >= heard * RATE - RATE // 5


def test_the_middle_of_a_pause_is_its_quiet_point() -> None:
    levels = np.ones(1000, np.float32)
    levels[600:661] = 0
    window = CutWindow(start=0, earliest=80_000, latest=140_000, end=160_000)
    assert quiet_point(levels, 0, window) == 630 * 160 + 80


def test_levels_are_power_without_offset_for_any_slicing() -> None:
    time = np.arange(1600)
    tone = (16384 * np.sin(2 * np.pi * 500 * time / RATE)).astype(np.int16)
    levels = frame_levels((tone + 5000).astype(np.int16))
    np.testing.assert_allclose(levels, 0.125, rtol=1e-3)
    sliced = FrameLevels()
    parts = [sliced.push((tone + 5000)[at : at + 77].astype(np.int16)) for at in range(0, 1600, 77)]
    np.testing.assert_array_equal(np.concatenate(parts), levels)
