"""Live sound at 16 kHz: true to the sound, early, the same in any slicing, and across a flush."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.unit.made_sound import int16_tone
from voxfleet.audio.live_rate import rate_change
from voxfleet.audio.live_resample import LiveResampler
from voxfleet.errors import ParameterError

RATES = (8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)


def resampled(samples: NDArray[np.int16], rate: int, edges: list[int]) -> NDArray[np.int16]:
    change = rate_change(rate)
    resampler = LiveResampler(change)
    made = [
        resampler.push(samples[begin:end])
        for begin, end in itertools.pairwise([0, *sorted(edges), len(samples)])
    ]
    assert sum(map(len, made)) == change.made_of(len(samples))
    made.append(resampler.finish(change.position(len(samples)) - sum(map(len, made))))
    return np.concatenate(made)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("hertz", [300, 1000, 3300])
def test_a_tone_stays_the_tone_it_was(rate: int, hertz: int) -> None:
    made = resampled(int16_tone(1.0, rate, hertz), rate, [])
    expected = int16_tone(1.0, 16_000, hertz)
    assert len(made) == 16_000
    assert np.abs(made[200:-200].astype(int) - expected[200:-200]).max() <= 2


@pytest.mark.parametrize("rate", [22_050, 24_000, 44_100, 48_000])
@pytest.mark.parametrize("hertz", [8_100, 9_000, 10_500])
def test_what_16_khz_cannot_hold_is_not_mirrored(rate: int, hertz: int) -> None:
    made = resampled(int16_tone(0.5, rate, hertz), rate, [])
    assert np.abs(made[200:-200]).max() <= 4


@pytest.mark.parametrize("rate", RATES)
def test_sound_is_made_early(rate: int) -> None:
    change = rate_change(rate)
    late = [second / rate - change.made_of(second) / 16_000 for second in range(rate, rate + 2000)]
    assert max(late) < (0.013 if rate % 8_000 == 0 else 0.045)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(RATES), st.lists(st.integers(0, 9_000), max_size=8))
def test_slicing_changes_no_sample(rate: int, edges: list[int]) -> None:
    samples = np.random.default_rng(1).integers(-32768, 32767, 9_000).astype(np.int16)
    assert np.array_equal(resampled(samples, rate, edges), resampled(samples, rate, []))


def test_going_on_after_the_end_of_a_stretch_makes_no_click() -> None:
    tone = int16_tone(1.0, 24_000, 400)
    resampler = LiveResampler(rate_change(24_000))
    before = resampler.push(tone[:12_000])
    before = np.concatenate((before, resampler.finish(8_000 - len(before))))
    after = resampler.push(tone[12_000:])
    made = np.concatenate((before, after)).astype(int)
    expected = int16_tone(1.0, 16_000, 400)[: len(made)]
    assert len(before) == 8_000
    # what ends with silence is rounded off for two milliseconds; what goes on is not
    assert np.abs(made - expected)[200:7_960].max() <= 2
    assert np.abs(made - expected)[8_000:].max() <= 2


@pytest.mark.parametrize("rate", [-8_000, 0, 1, 7_999, 16_001, 48_001, 10**9])
def test_a_rate_nobody_speaks_at_is_refused(rate: int) -> None:
    with pytest.raises(ParameterError, match=str(rate)):
        rate_change(rate)
