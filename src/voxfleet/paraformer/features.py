"""Paraformer's acoustic features of a whole batch, computed where the model's weights are.

Log-mel frames, seven stacked into one every 60 ms, shifted and scaled. Knows no file and no model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from voxfleet.audio.fbank import FRAME_SAMPLES, MEL_BANDS, SHIFT_SAMPLES, mel_weights

_FFT_SIZE = 512
#: pre-emphasis by 0.97, in hundredths: integers of this size are exact in float32
_WHOLE = 100.0
_EMPHASIS = 97.0
_REMAINS = 3.0
#: greatest common divisor of frame and shift: frame sums are sums of these pieces
_PIECE = 80
_MIN_POWER = torch.finfo(torch.float32).eps


@dataclass(frozen=True, slots=True)
class Features:
    """Items side by side; an item has zeros from its length on."""

    frames: Tensor
    lengths: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Neighbouring mel frames, counted from the start of the packed sound."""

    start: int
    count: int

    def blocks(self, most: int) -> Iterator[_Stretch]:
        for at in range(0, self.count, most):
            yield _Stretch(self.start + at, min(most, self.count - at))


@dataclass(frozen=True, slots=True)
class _Tiling:
    """How mel frames are cut into blocks that are transformed at once."""

    most_frames: int
    #: a transform has a multiple of so many rows
    row_step: int
    #: no block spans two items
    per_item: bool

    def rows(self, frames: int) -> int:
        return math.ceil(frames / self.row_step) * self.row_step


# The result of a product may depend on its row count, so items keep their blocks to themselves;
# 128 frames stay in the second-level cache.
_CPU_TILING = _Tiling(most_frames=128, row_step=1, per_item=True)
# Few launches, and few sizes: CUDA plans (and keeps) a transform for each row count it meets.
_GPU_TILING = _Tiling(most_frames=16_384, row_step=1024, per_item=False)


def frame_count(sample_count: int, lfr_n: int = 6) -> int:
    """Stacked frames of so many samples."""
    return -(-_mel_frame_count(sample_count) // lfr_n)


def _mel_frame_count(sample_count: int) -> int:
    return max(0, (sample_count - FRAME_SAMPLES) // SHIFT_SAMPLES + 1)


class FeatureExtractor(nn.Module):
    """Float32 whatever the model's type; on a CPU no item's features depend on its neighbours."""

    shift: Tensor
    scale: Tensor
    window: Tensor
    weights: Tensor

    def __init__(
        self,
        cmvn_shift: NDArray[np.float32],
        cmvn_scale: NDArray[np.float32],
        lfr_m: int = 7,
        lfr_n: int = 6,
    ) -> None:
        super().__init__()
        width = MEL_BANDS * lfr_m
        if cmvn_shift.shape != (width,) or cmvn_scale.shape != (width,):
            raise ValueError(
                f"feature statistics have shapes {cmvn_shift.shape} and {cmvn_scale.shape}; "
                f"{lfr_m} stacked frames need ({width},)"
            )
        self.lfr_m = lfr_m
        self.lfr_n = lfr_n
        self._buffer("shift", cmvn_shift.astype(np.float32))
        self._buffer("scale", cmvn_scale.astype(np.float32))
        self._buffer("window", (np.hamming(FRAME_SAMPLES) / _WHOLE).astype(np.float32))
        # The product with the mel weights is in float64 because PyTorch may compute a float32
        # one in TF32 or bfloat16, by settings that a model's owner turns on for speed.
        self._buffer("weights", mel_weights().astype(np.float64))

    def _buffer(self, name: str, values: NDArray[np.float32] | NDArray[np.float64]) -> None:
        # a checkpoint holds none of these
        self.register_buffer(name, torch.from_numpy(values), persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> FeatureExtractor:
        """Follow a move to another device, never a change of type."""
        super()._apply(lambda tensor: tensor.to(fn(tensor).device), recurse)  # type: ignore[no-untyped-call]  # torch leaves it bare
        return self

    def forward(self, waveforms: Sequence[NDArray[np.int16]]) -> Features:
        """Features of int16 waveforms, each of at least one frame (400 samples)."""
        _check(waveforms)
        device = self.window.device
        items = _placed([len(waveform) for waveform in waveforms])
        sound = _packed(waveforms, items, device)
        mel = self._log_mel(sound, items)
        lengths = tuple(-(-item.count // self.lfr_n) for item in items)
        sources = np.concatenate([self._stacking(item) for item in items])
        rows = mel.index_select(0, _upload(sources, device)).view(-1, MEL_BANDS * self.lfr_m)
        rows.add_(self.shift).mul_(self.scale)
        frames = rows.new_zeros(len(items) * max(lengths), rows.shape[1])
        frames.index_copy_(0, _upload(_destinations(lengths), device), rows)
        return Features(frames.view(len(items), max(lengths), -1), lengths)

    def _log_mel(self, sound: Tensor, items: Sequence[_Stretch]) -> Tensor:
        tiling = _tiling(sound.device)
        total = _mel_frame_count(len(sound))
        # taken as one stretch, frames across two items are computed too, and never used
        stretches = items if tiling.per_item else [_Stretch(0, total)]
        mel = self.window.new_empty(total, MEL_BANDS)
        # the tail beyond 400 samples stays zero: it pads the transform to a power of two
        scratch = self.window.new_zeros(tiling.rows(min(tiling.most_frames, total)), _FFT_SIZE)
        for stretch in stretches:
            for block in stretch.blocks(tiling.most_frames):
                first = block.start * SHIFT_SAMPLES
                end = first + (block.count - 1) * SHIFT_SAMPLES + FRAME_SAMPLES
                out = mel[block.start : block.start + block.count]
                self._transform(sound[first:end].float(), scratch[: tiling.rows(len(out))], out)
        return mel

    def _transform(self, sound: Tensor, scratch: Tensor, out: Tensor) -> None:
        # Pre-emphasis and removal of the mean are both linear, so the sound is emphasised once
        # and each frame then loses what is left of its mean.
        emphasised = sound * _WHOLE
        emphasised[1:] -= sound[:-1] * _EMPHASIS
        offsets = _frame_means(sound).mul_(_REMAINS)
        firsts = sound.unfold(0, FRAME_SAMPLES, SHIFT_SAMPLES)[:, 0] * _REMAINS
        windowed = scratch[: len(out), :FRAME_SAMPLES]
        frames = emphasised.unfold(0, FRAME_SAMPLES, SHIFT_SAMPLES)
        torch.sub(frames, offsets[:, None], out=windowed)
        # a frame's first sample is emphasised against itself
        torch.sub(firsts, offsets, out=windowed[:, 0])
        windowed.mul_(self.window)
        parts = torch.view_as_real(torch.fft.rfft(scratch)[: len(out)]).square_()
        power = parts[..., 0] + parts[..., 1]
        out.copy_(power.double() @ self.weights).clamp_(min=_MIN_POWER).log_()

    def _stacking(self, item: _Stretch) -> NDArray[np.int64]:
        """Mel frames of each stacked frame in turn; at its edges an item repeats its own."""
        centres = np.arange(0, item.count, self.lfr_n)
        around = np.arange(self.lfr_m) - (self.lfr_m - 1) // 2
        sources: NDArray[np.int64] = np.clip(centres[:, None] + around, 0, item.count - 1)
        return (sources + item.start).ravel()


def _tiling(device: torch.device) -> _Tiling:
    return _CPU_TILING if device.type == "cpu" else _GPU_TILING


def _check(waveforms: Sequence[NDArray[np.int16]]) -> None:
    if not waveforms:
        raise ValueError("a batch of no waveforms has no features; pass at least one")
    for place, waveform in enumerate(waveforms):
        if waveform.dtype != np.int16 or waveform.ndim != 1:
            raise ValueError(
                f"waveform {place} is {waveform.dtype} {waveform.shape}; pass int16 mono samples"
            )
        if len(waveform) < FRAME_SAMPLES:
            raise ValueError(
                f"waveform {place} has {len(waveform)} samples; "
                f"pad or drop what is shorter than {FRAME_SAMPLES}"
            )


def _placed(sample_counts: Sequence[int]) -> list[_Stretch]:
    """Items one after another, each on a multiple of the shift, so that one stride meets all."""
    items, start = [], 0
    for samples in sample_counts:
        items.append(_Stretch(start, _mel_frame_count(samples)))
        start += math.ceil(samples / SHIFT_SAMPLES)
    return items


def _packed(
    waveforms: Sequence[NDArray[np.int16]], items: Sequence[_Stretch], device: torch.device
) -> Tensor:
    last = items[-1].start + math.ceil(len(waveforms[-1]) / SHIFT_SAMPLES)
    host = torch.zeros(last * SHIFT_SAMPLES, dtype=torch.int16, pin_memory=device.type == "cuda")
    samples = host.numpy()
    for waveform, item in zip(waveforms, items, strict=True):
        first = item.start * SHIFT_SAMPLES
        samples[first : first + len(waveform)] = waveform
    return host.to(device, non_blocking=True)


def _upload(values: NDArray[np.int64], device: torch.device) -> Tensor:
    host = torch.from_numpy(values)
    if device.type == "cuda":
        host = host.pin_memory()
    return host.to(device, non_blocking=True)


def _destinations(lengths: Sequence[int]) -> NDArray[np.int64]:
    """Rows of the padded batch that hold something."""
    held = np.arange(max(lengths)) < np.array(lengths)[:, None]
    return np.flatnonzero(held)


def _frame_means(sound: Tensor) -> Tensor:
    """Means of the frames; int16 sums of 400 samples are exact in float32."""
    pieces = sound.view(-1, _PIECE).sum(dim=1)
    per_frame = pieces.unfold(0, FRAME_SAMPLES // _PIECE, SHIFT_SAMPLES // _PIECE)
    return per_frame.sum(dim=1).div_(FRAME_SAMPLES)
