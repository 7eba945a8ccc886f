"""Batches of any lengths become passes of few shapes, with little padding and nothing lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxfleet.paraformer.shape_buckets import (
    LONGEST_BUCKET,
    MOST_ITEMS,
    CapturePlan,
    Shape,
    Way,
    expected_shapes,
    frame_bucket,
    has_graph_size,
    item_bucket,
    split,
    token_bound,
)

MOST_FRAMES = 16_384
A, B, C = Shape(1, 16), Shape(2, 16), Shape(3, 16)


def test_at_most_an_eighth_of_a_bucket_is_padding() -> None:
    assert all((frame_bucket(n) - n) / frame_bucket(n) <= 1 / 8 for n in range(57, 3000))
    # below, a step is 8 frames: half a second
    assert all(frame_bucket(n) - n < 8 for n in range(16, 57))


def test_buckets_are_few_and_suit_kernels() -> None:
    buckets = {frame_bucket(n) for n in range(1, LONGEST_BUCKET + 1)}
    assert max(buckets) == LONGEST_BUCKET
    assert len(buckets) < 32
    assert all(bucket % 8 == 0 for bucket in buckets)
    assert all(frame_bucket(bucket) == bucket for bucket in buckets)


def test_item_buckets_waste_at_most_a_third() -> None:
    assert [item_bucket(n) for n in (1, 7, 9, 33)] == [1, 8, 10, 48]
    assert all(item_bucket(n) * 2 / 3 < n <= item_bucket(n) for n in range(2, MOST_ITEMS + 1))
    with pytest.raises(ValueError, match="257 items"):
        item_bucket(257)


def test_tokens_are_bounded_as_nobody_speaks_faster() -> None:
    assert token_bound(16) == 16
    assert token_bound(500) == 264
    assert all(token_bound(n) >= n / 2 + 8 for n in range(1, 600))


@given(
    st.lists(st.integers(1, 2000), max_size=300),
    st.sampled_from([1, 500, MOST_FRAMES]),
    st.sampled_from([0, 1200, 10**9]),
)
def test_every_item_is_in_one_pass_that_has_room(
    lengths: list[int], max_frames: int, pass_frames: int
) -> None:
    passes = split(lengths, max_frames, pass_frames)
    places = [place for part in passes for place in part.places]
    assert sorted(places) == list(range(len(lengths)))
    # the order in which the BLSTM takes them
    assert [lengths[place] for place in places] == sorted(lengths, reverse=True)
    for part in passes:
        assert len(part.places) <= part.shape.items
        assert max(lengths[place] for place in part.places) <= part.shape.frames
        assert part.shape.padded_frames <= max_frames or len(part.places) == 1


def test_what_a_pass_costs_decides_how_many_there_are() -> None:
    lengths = [500, 20] * 8
    assert len(split(lengths, MOST_FRAMES, pass_frames=10**9)) == 1
    apart = split(lengths, MOST_FRAMES, pass_frames=100)
    assert [part.shape for part in apart] == [Shape(8, 512), Shape(8, 24)]
    # two short items are not worth a pass of their own
    assert [len(part.places) for part in split([500, 20, 20], MOST_FRAMES)] == [3]


def test_items_of_one_length_are_padded_by_their_bucket_alone() -> None:
    shapes = {part.shape for part in split([100] * 40, 4000)}
    assert shapes == {Shape(32, 104), Shape(8, 104)}
    assert split([], MOST_FRAMES) == []


def test_the_padding_of_a_mixed_batch_is_worth_its_passes() -> None:
    lengths = list(range(35, 500, 5))
    passes = split(lengths, MOST_FRAMES, pass_frames=300)
    assert sum(part.shape.padded_frames for part in passes) < 1.2 * sum(lengths)
    assert len(passes) < 12


def test_expected_shapes_have_single_items_of_all_lengths_first() -> None:
    shapes = expected_shapes(64, MOST_FRAMES)
    assert len(set(shapes)) == 64
    singles = {shape.frames for shape in shapes if shape.items == 1}
    assert {frame_bucket(n) for n in range(16, LONGEST_BUCKET + 1)} == singles
    assert all(has_graph_size(shape, MOST_FRAMES) for shape in shapes)
    assert sorted(shapes, key=lambda shape: -shape.padded_frames) == shapes
    assert shapes == expected_shapes(64, MOST_FRAMES)


def test_expected_shapes_of_a_small_device_fit_it() -> None:
    shapes = expected_shapes(10, 100)
    assert len(shapes) == 10
    assert max(shape.padded_frames for shape in shapes) <= 100
    assert expected_shapes(0, 100) == []


def test_a_shape_is_captured_at_its_second_use() -> None:
    plan = CapturePlan(2)
    assert plan.way(A) is Way.EAGER
    assert plan.way(A) is Way.CAPTURE
    assert plan.captured(A) is None
    assert plan.way(A) is Way.REPLAY


def test_a_captured_shape_goes_for_one_used_twice_as_often() -> None:
    plan = CapturePlan(2)
    for shape in (A, B):
        plan.captured(shape)
    for shape in (A, A, B):
        assert plan.way(shape) is Way.REPLAY
    assert [plan.way(C) for _ in range(3)] == [Way.EAGER, Way.EAGER, Way.CAPTURE]
    assert plan.captured(C) == B
    assert plan.way(C) is Way.REPLAY
    assert plan.way(B) is Way.EAGER


def test_traffic_of_too_many_shapes_does_not_capture_for_ever() -> None:
    plan = CapturePlan(4)
    captures = 0
    for turn in range(1000):
        shape = Shape(1, 16 + turn % 10)
        if plan.way(shape) is Way.CAPTURE:
            captures += 1
            plan.captured(shape)
    assert captures == 4


def test_without_room_nothing_is_captured() -> None:
    plan = CapturePlan(0)
    assert {plan.way(A) for _ in range(10)} == {Way.EAGER}
