"""Firing frames against a plain loop in exact fractions; spans of tokens, also where all fails."""

from __future__ import annotations

from fractions import Fraction
from itertools import chain, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from voxfleet.paraformer.timestamps import FIRE_THRESHOLD, fire_frames, token_spans

UNIT_S = 0.02
#: nearer to the threshold than that, float64 may go either way
TIE = Fraction(1, 10**9)

weights = st.one_of(
    st.just(0.0),
    st.floats(0, 0.25, width=32),
    st.floats(0, 4, width=32),
    st.sampled_from([0.25, 0.5, 1.0, 2.0]),
)
curves = st.lists(weights, max_size=80)
broken = st.lists(
    st.one_of(weights, st.floats(width=32), st.sampled_from([-1.0, 1e-45, 1e38])), max_size=40
)


def array(values: list[float]) -> NDArray[np.float32]:
    return np.array(values, np.float32)


def sequential(alphas: NDArray[np.float32], threshold: float) -> tuple[list[int], bool]:
    """The rule as it is told: frame after frame. And whether a sum was too near to tell."""
    limit, total, fires, tied = Fraction(threshold), Fraction(0), [], False
    for frame, alpha in enumerate(alphas.tolist()):
        total += Fraction(alpha)
        tied = tied or 0 < abs(total - limit) < TIE
        if total >= limit:
            fires.append(frame)
            total -= limit
    return fires, tied


@given(curves, st.sampled_from([FIRE_THRESHOLD, 1.0, 0.5]))
def test_fires_are_those_of_the_loop(values: list[float], threshold: float) -> None:
    expected, tied = sequential(array(values), threshold)
    if not tied:
        assert fire_frames(array(values), threshold).tolist() == expected


def test_a_large_weight_fires_once_per_frame_and_keeps_the_rest() -> None:
    assert fire_frames(array([0.0, 3.5, 0.0, 0.0, 0.0, 0.6]), 1.0).tolist() == [1, 2, 3, 5]


def test_an_unused_frame_is_not_made_up_for() -> None:
    assert fire_frames(array([0, 0, 0, 2, 0, 0]), 1.0).tolist() == [3, 4]


def test_fires_of_an_hour_do_not_drift() -> None:
    alphas = np.full(180_000, 0.125, np.float32)
    assert np.array_equal(fire_frames(alphas, 1.0), np.arange(7, 180_000, 8))


def test_no_frames_no_fires() -> None:
    fires = fire_frames(array([]))
    assert fires.tolist() == []
    assert fires.dtype == np.int64


def at_frames(frames: list[int], frame_count: int) -> NDArray[np.float32]:
    alphas = np.zeros(frame_count, np.float32)
    alphas[frames] = 1
    return alphas


def test_a_token_lasts_from_its_fire_to_the_next() -> None:
    spans = token_spans(at_frames([10, 20, 30], 32), 2, UNIT_S)
    # the last ends with the sound where little is left of it
    assert np.allclose(spans, [(0.17, 0.37), (0.37, 0.64)])


def test_a_long_token_is_cut_and_the_rest_is_silence() -> None:
    spans = token_spans(at_frames([10, 40, 50], 50 + 3), 2, UNIT_S)
    assert np.allclose(spans[0], (0.17, 0.17 + 0.24))
    assert spans[1][0] == pytest.approx(0.77)


def test_half_of_a_long_tail_belongs_to_the_last_token() -> None:
    spans = token_spans(at_frames([10, 20], 58), 1, UNIT_S)
    assert np.allclose(spans, [(0.17, (58 + 18.5) / 2 * UNIT_S)])


def test_the_tail_is_not_the_last_tokens_where_that_was_cut() -> None:
    assert np.allclose(token_spans(at_frames([10, 40], 90), 1, UNIT_S), [(0.17, 0.41)])


def test_units_are_the_callers() -> None:
    assert np.allclose(token_spans(at_frames([2, 4], 5), 1, 0.06), [(0.03, 0.3)])


def test_another_number_of_fires_is_rescaled() -> None:
    alphas = np.full(40, 0.05, np.float32)
    spans = token_spans(alphas, 3, UNIT_S)
    assert np.allclose(spans, [(0.15, 0.35), (0.35, 0.55), (0.55, 0.8)])


def test_the_threshold_is_for_the_first_firing() -> None:
    # at 1 the sum fires on frame 3, a little below it on frame 2
    alphas = array([0, 0, 0.99995, 0.5, 0, 0, 0, 0.6])
    assert np.allclose(token_spans(alphas, 1, 0.06, threshold=1.0), [(0.09, 0.48)])
    assert np.allclose(token_spans(alphas, 1, 0.06), [(0.03, 0.48)])


def test_what_was_rescaled_fires_at_the_usual_threshold() -> None:
    alphas = np.full(40, 0.05, np.float32)
    assert token_spans(alphas, 3, UNIT_S, threshold=0.9) == token_spans(alphas, 3, UNIT_S)


def test_a_broken_weight_is_no_weight() -> None:
    alphas = array([np.inf, np.nan, -1.0, 0.5, 0.5, 1.0])
    assert fire_frames(alphas, 1.0).tolist() == [4, 5]


def test_spans_end_with_the_sound() -> None:
    spans = token_spans(at_frames([10, 20, 30], 32), 2, UNIT_S, duration_s=0.61)
    assert spans[-1][1] == 0.61


@pytest.mark.parametrize("count", [0, -1])
def test_no_tokens_no_spans(count: int) -> None:
    assert token_spans(at_frames([1, 2], 9), count, UNIT_S) == []


def test_without_any_weight_tokens_share_the_sound() -> None:
    spans = token_spans(np.zeros(20, np.float32), 4, UNIT_S)
    assert np.allclose(spans, [(0, 0.1), (0.1, 0.2), (0.2, 0.3), (0.3, 0.4)])


def test_tokens_without_a_fire_share_what_remains() -> None:
    # all the weight in the last two frames: no more than two fires whatever the scale
    alphas = at_frames([16, 17], 20)
    spans = token_spans(alphas, 6, UNIT_S)
    assert np.allclose(spans[0], (14.5 * UNIT_S, 15.5 * UNIT_S))
    assert len(spans) == 6
    lengths = [end - start for start, end in spans]
    assert min(lengths) > 0


@settings(max_examples=300)
@given(
    broken,
    st.integers(0, 60),
    st.sampled_from([0.02, 0.06]),
    st.one_of(st.none(), st.floats(0, 3)),
)
def test_every_token_has_a_span_inside_the_sound(
    values: list[float], count: int, unit_s: float, duration_s: float | None
) -> None:
    spans = token_spans(array(values), count, unit_s, duration_s=duration_s)
    assert len(spans) == count
    edges = list(chain.from_iterable(spans))
    limit_s = len(values) * unit_s if duration_s is None else duration_s
    assert all(0 <= edge <= limit_s for edge in edges)
    assert all(before <= after for before, after in pairwise(edges))
