"""Paraformer's features: against NumPy's filter banks, and never of a neighbour's making."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from voxfleet.audio.fbank import Fbank
from voxfleet.paraformer import features
from voxfleet.paraformer.features import FeatureExtractor, frame_count

WIDTH = 560
RNG = np.random.default_rng(0)
SHIFT = RNG.normal(-9, 1, WIDTH).astype(np.float32)
SCALE = RNG.uniform(0.1, 0.2, WIDTH).astype(np.float32)
NOISE = RNG.normal(0, 4000, 200_000).clip(-32768, 32767).astype(np.int16)


def reference(samples: NDArray[np.int16], m: int = 7, n: int = 6) -> NDArray[np.float32]:
    """Frame by frame, as the definition says it."""
    mel = Fbank().push(samples)
    last = len(mel) - 1
    rows = []
    for centre in range(0, len(mel), n):
        around = range(centre - (m - 1) // 2, centre - (m - 1) // 2 + m)
        rows.append(np.concatenate([mel[min(max(frame, 0), last)] for frame in around]))
    stacked: NDArray[np.float32] = np.stack(rows)
    return (stacked + SHIFT[: 80 * m]) * SCALE[: 80 * m]


def samples_for(mel_frames: int) -> int:
    return 400 + 160 * (mel_frames - 1)


def clip(start: int, samples: int) -> NDArray[np.int16]:
    return NOISE[start : start + samples]


@pytest.fixture
def extractor() -> FeatureExtractor:
    return FeatureExtractor(SHIFT, SCALE)


@pytest.fixture
def careless_products() -> Iterator[None]:
    """The setting by which a model's owner trades exactness for speed."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    yield
    torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize(
    ("samples", "stacked"),
    [(0, 0), (399, 0), (400, 1), (samples_for(6), 1), (samples_for(7) - 1, 1), (samples_for(7), 2)],
)
def test_frames_are_counted_from_samples(samples: int, stacked: int) -> None:
    assert frame_count(samples) == stacked


def test_an_unstacked_frame_is_ten_milliseconds() -> None:
    assert frame_count(samples_for(100), lfr_n=1) == 100


@pytest.mark.parametrize("mel_frames", [*range(1, 28), 127, 128, 129, 300])
def test_features_equal_the_definition(extractor: FeatureExtractor, mel_frames: int) -> None:
    samples = clip(mel_frames, samples_for(mel_frames) + mel_frames % 160)
    result = extractor([samples])
    assert result.frames.shape == (1, frame_count(len(samples)), WIDTH)
    assert result.lengths == (frame_count(len(samples)),)
    np.testing.assert_allclose(result.frames[0], reference(samples), atol=1e-4)


def test_another_stacking_equals_the_definition() -> None:
    five = FeatureExtractor(SHIFT[:400], SCALE[:400], lfr_m=5, lfr_n=1)
    samples = clip(0, 9000)
    np.testing.assert_allclose(five([samples]).frames[0], reference(samples, 5, 1), atol=1e-4)


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(8000, np.int16),
        np.full(8000, -32768, np.int16),
        np.tile(np.array([-32768, 32767], np.int16), 4000),
        RNG.choice(np.array([-32768, 32767], np.int16), 8000),
        RNG.integers(-1, 2, 8000).astype(np.int16),
        RNG.normal(9000, 2, 8000).astype(np.int16),
    ],
    ids=["silence", "constant", "alternating", "clipped", "last bit", "offset"],
)
def test_extreme_sound_is_finite_and_exact(
    extractor: FeatureExtractor, samples: NDArray[np.int16]
) -> None:
    frames = extractor([samples]).frames[0]
    assert torch.isfinite(frames).all()
    np.testing.assert_allclose(frames, reference(samples), atol=1e-4)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 100_000), st.integers(400, 25_000)), min_size=1, max_size=6)
)
def test_an_item_is_the_same_alone_and_in_any_batch(places: list[tuple[int, int]]) -> None:
    extractor = FeatureExtractor(SHIFT, SCALE)
    clips = [clip(start, samples) for start, samples in places]
    batch = extractor(clips)
    assert batch.lengths == tuple(frame_count(samples) for _, samples in places)
    assert batch.frames.shape == (len(clips), max(batch.lengths), WIDTH)
    for item, length, samples in zip(batch.frames, batch.lengths, clips, strict=True):
        assert torch.equal(item[:length], extractor([samples]).frames[0])
        assert not item[length:].any()


def test_on_a_cpu_an_item_is_cut_as_it_is_alone(
    extractor: FeatureExtractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Equal shapes are what makes equal bits sure: a product may round by its row count.
    rows: list[int] = []
    transform = FeatureExtractor._transform

    def noted(self: FeatureExtractor, sound: Tensor, scratch: Tensor, out: Tensor) -> None:
        rows.append(len(out))
        transform(self, sound, scratch, out)

    monkeypatch.setattr(FeatureExtractor, "_transform", noted)
    clips = [clip(0, samples_for(300)), clip(5, samples_for(3)), clip(9, samples_for(128))]
    extractor(clips)
    assert rows == [128, 128, 44, 3, 128]


def test_blocks_over_several_items_change_nothing(
    extractor: FeatureExtractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = [clip(0, 30_000), clip(500, 400), clip(900, 48_123), clip(7, 1_000)]
    expected = extractor(clips)
    over_items = features._Tiling(most_frames=100, row_step=64, per_item=False)
    monkeypatch.setattr(features, "_tiling", lambda device: over_items)
    result = extractor(clips)
    assert result.lengths == expected.lengths
    torch.testing.assert_close(result.frames, expected.frames, atol=1e-5, rtol=0)


def test_no_step_waits_for_a_value_from_the_device(extractor: FeatureExtractor) -> None:
    # tensors on "meta" have no values: whatever reads one back fails
    result = extractor.to("meta")([clip(0, 5000), clip(0, 900)])
    assert result.frames.is_meta
    assert result.frames.shape == (2, 5, WIDTH)
    assert result.lengths == (5, 1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_gives_the_same_without_waiting(extractor: FeatureExtractor) -> None:
    clips = [clip(0, 30_000), clip(500, 400), clip(900, 48_123)]
    expected = extractor(clips)
    extractor.to("cuda")(clips)
    torch.cuda.set_sync_debug_mode("error")
    try:
        result = extractor(clips)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert result.frames.is_cuda
    torch.testing.assert_close(result.frames.cpu(), expected.frames, atol=1e-3, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_change_of_the_models_type_is_not_followed(dtype: torch.dtype) -> None:
    model = torch.nn.Sequential(FeatureExtractor(SHIFT, SCALE), torch.nn.Linear(1, 1))
    samples = [clip(0, 5000)]
    before = model[0](samples).frames
    extractor = model.to(dtype)[0]
    assert model[1].weight.dtype == dtype
    assert extractor(samples).frames.dtype == torch.float32
    assert torch.equal(extractor(samples).frames, before)


def test_autocast_changes_nothing(extractor: FeatureExtractor) -> None:
    expected = extractor([clip(0, 5000)]).frames
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(extractor([clip(0, 5000)]).frames, expected)


def test_fast_inexact_products_change_nothing(
    extractor: FeatureExtractor, careless_products: None
) -> None:
    samples = clip(0, 50_000)
    np.testing.assert_allclose(extractor([samples]).frames[0], reference(samples), atol=1e-4)


def test_a_checkpoint_needs_nothing_of_it(extractor: FeatureExtractor) -> None:
    assert extractor.state_dict() == {}
    assert list(extractor.parameters()) == []


def test_the_callers_arrays_stay_as_they_are() -> None:
    shift, scale, samples = SHIFT.copy(), SCALE.copy(), clip(0, 5000).copy()
    for array in (shift, scale, samples):
        array.flags.writeable = False
    FeatureExtractor(shift, scale)([samples])
    assert np.array_equal(shift, SHIFT)


@pytest.mark.parametrize(
    ("waveforms", "fault"),
    [
        ([], "no waveforms"),
        ([clip(0, 400), clip(0, 399)], "waveform 1 has 399 samples"),
        ([clip(0, 0)], "waveform 0 has 0 samples"),
        ([np.zeros(400, np.float32)], "waveform 0 is float32"),
        ([np.zeros((400, 2), np.int16)], r"int16 \(400, 2\)"),
    ],
)
def test_what_has_no_features_is_refused(
    extractor: FeatureExtractor, waveforms: list[NDArray[np.int16]], fault: str
) -> None:
    with pytest.raises(ValueError, match=fault):
        extractor(waveforms)


def test_statistics_of_another_width_are_refused() -> None:
    with pytest.raises(ValueError, match=r"need \(400,\)"):
        FeatureExtractor(SHIFT, SCALE, lfr_m=5)
