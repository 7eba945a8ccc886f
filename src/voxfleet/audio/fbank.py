"""Kaldi log-mel filter banks in NumPy: 80 bands, 25 ms frames every 10 ms, Hamming window.

Equal to Kaldi's with dither 0 and int16 scale. Knows no model; works on any slicing of a stream.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voxfleet.core import SAMPLE_RATE_HZ

MEL_BANDS = 80
FRAME_SAMPLES = 400
SHIFT_SAMPLES = 160
_FFT_SIZE = 512
_LOW_HZ = 20.0
#: pre-emphasis by 0.97, in hundredths: integers of this size are exact in float32
_WHOLE = np.float32(100)
_EMPHASIS = np.float32(97)
_REMAINS = np.float32(3)
#: frames transformed at once: their buffers stay in the second-level cache
_BLOCK_FRAMES = 128
#: greatest common divisor of frame and shift: frame sums are sums of these pieces
_PIECE = 80
_MIN_POWER = np.float32(np.finfo(np.float32).eps)


def _mel(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    mel: NDArray[np.float64] = 1127.0 * np.log1p(hz / 700.0)
    return mel


def mel_weights() -> NDArray[np.float32]:
    """Triangles on the mel scale, [257, 80]; the Nyquist bin has no weight, as in Kaldi."""
    bins = _mel(np.arange(_FFT_SIZE // 2, dtype=np.float64) * (SAMPLE_RATE_HZ / _FFT_SIZE))
    low, high = _mel(np.array([_LOW_HZ, SAMPLE_RATE_HZ / 2]))
    corners = low + (high - low) / (MEL_BANDS + 1) * np.arange(MEL_BANDS + 2)
    left, centre, right = corners[:-2], corners[1:-1], corners[2:]
    up = (bins[:, None] - left) / (centre - left)
    down = (right - bins[:, None]) / (right - centre)
    weights = np.zeros((_FFT_SIZE // 2 + 1, MEL_BANDS), np.float32)
    weights[:-1] = np.maximum(np.minimum(up, down), 0.0)
    return weights


_WEIGHTS = mel_weights()
_WINDOW = (np.hamming(FRAME_SAMPLES) / _WHOLE).astype(np.float32)


class Fbank:
    """Filter banks of one stream; keeps the samples that the next frame still needs."""

    def __init__(self) -> None:
        self._rest = np.empty(0, np.int16)
        # the tail beyond 400 samples stays zero: it pads the transform to a power of two
        self._frames = np.zeros((_BLOCK_FRAMES, _FFT_SIZE), np.float32)
        self._spectrum = np.empty((_BLOCK_FRAMES, _FFT_SIZE // 2 + 1), np.complex64)
        self._power = np.empty((_BLOCK_FRAMES, _FFT_SIZE // 2 + 1), np.float32)

    def push(self, samples: NDArray[np.int16]) -> NDArray[np.float32]:
        """Features of the frames that became complete, float32 [frames, 80]."""
        sound = np.concatenate((self._rest, samples))
        count = max(0, (len(sound) - FRAME_SAMPLES) // SHIFT_SAMPLES + 1)
        features = np.empty((count, MEL_BANDS), np.float32)
        if count:
            self._transform(sound.astype(np.float32), features)
        self._rest = sound[count * SHIFT_SAMPLES :]
        return features

    def _transform(self, sound: NDArray[np.float32], features: NDArray[np.float32]) -> None:
        count = len(features)
        offsets = _frame_means(sound, count)
        # Pre-emphasis and removal of the mean are both linear, so the stream is emphasised once
        # and each frame then loses what is left of its mean.
        emphasised = sound * _WHOLE
        emphasised[1:] -= sound[:-1] * _EMPHASIS
        offsets *= _REMAINS
        firsts = sound[: count * SHIFT_SAMPLES : SHIFT_SAMPLES] * _REMAINS
        frames = np.lib.stride_tricks.sliding_window_view(emphasised, FRAME_SAMPLES)
        frames = frames[::SHIFT_SAMPLES]
        for at in range(0, count, _BLOCK_FRAMES):
            block = slice(at, min(at + _BLOCK_FRAMES, count))
            self._log_mel(frames[block], offsets[block], firsts[block], features[block])

    def _log_mel(
        self,
        frames: NDArray[np.float32],
        offsets: NDArray[np.float32],
        firsts: NDArray[np.float32],
        out: NDArray[np.float32],
    ) -> None:
        count = len(frames)
        windowed = self._frames[:count, :FRAME_SAMPLES]
        np.subtract(frames, offsets[:, None], out=windowed)
        # a frame's first sample is emphasised against itself
        np.subtract(firsts, offsets, out=windowed[:, 0])
        windowed *= _WINDOW
        spectrum = self._spectrum[:count]
        np.fft.rfft(self._frames[:count], axis=1, out=spectrum)  # type: ignore[arg-type]  # stubs know complex128 only
        parts = spectrum.view(np.float32)
        np.square(parts, out=parts)
        power = self._power[:count]
        np.add(parts[:, 0::2], parts[:, 1::2], out=power)
        np.matmul(power, _WEIGHTS, out=out)
        np.maximum(out, _MIN_POWER, out=out)
        np.log(out, out=out)


def _frame_means(sound: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Means of the frames; int16 sums of 400 samples are exact in float32."""
    pieces = sound[: len(sound) // _PIECE * _PIECE].reshape(-1, _PIECE).sum(axis=1)
    per_frame = FRAME_SAMPLES // _PIECE
    step = SHIFT_SAMPLES // _PIECE
    sums: NDArray[np.float32] = pieces[0 : step * count : step].copy()
    for piece in range(1, per_frame):
        sums += pieces[piece : piece + step * (count - 1) + 1 : step]
    sums /= FRAME_SAMPLES
    return sums
