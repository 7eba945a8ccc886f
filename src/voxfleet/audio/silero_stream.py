"""Silero's network over a stream of sound: one probability of speech per chunk of 32 ms.

All but the recurrent cell is computed for a block of chunks at once. Blocks lie at fixed places of
the stream and have one size, so that slicing changes no bit; a block of digital silence is not
computed again. Knows no file and no speech.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voxfleet.audio.silero_weights import (
    BANDS,
    STATE_WIDTH,
    WINDOW_SAMPLES,
    Layer,
    SileroWeights,
)

CHUNK_SAMPLES = 512
CONTEXT_SAMPLES = 64
#: chunks of a block in a file: matrices work better on more, a short push pays for all of its block
BLOCK_CHUNKS = 8
_INPUT_SAMPLES = CONTEXT_SAMPLES + CHUNK_SAMPLES
_WINDOWS = 4
_HOP_SAMPLES = 128
_MIRRORED = 64
#: widths of what the encoder's layers put out per window
_FIRST, _SECOND = 128, 64
_ONE, _HALF = np.float32(1), np.float32(0.5)
_Array = NDArray[np.float32]


class SileroStream:
    """The recurrent state of one channel and its place in the grid of blocks."""

    def __init__(self, weights: SileroWeights, block_chunks: int = BLOCK_CHUNKS) -> None:
        self._weights = weights
        self._block = block_chunks
        #: what a block of digital silence adds to the gates
        self._still: _Array | None = None
        self._chunks = 0
        self._cell = _Cell(weights.recurrent)

    def run(self, sound: NDArray[np.int16]) -> _Array:
        """Take the next chunks: the context of the first, then the samples of all, whole chunks."""
        count = (len(sound) - CONTEXT_SAMPLES) // CHUNK_SAMPLES
        found = np.empty(count, np.float32)
        windows = np.zeros((self._block, _WINDOWS, WINDOW_SAMPLES), np.float32)
        hidden = np.zeros((self._block, STATE_WIDTH), np.float32)
        done = 0
        while done < count:
            row = self._chunks % self._block
            taken = min(self._block - row, count - done)
            _cut_windows(sound[done * CHUNK_SAMPLES :], windows[row : row + taken])
            gates = self._gates(windows)
            self._cell.run(gates[row : row + taken], hidden[row : row + taken])
            probability = _probability(hidden, self._weights.output)
            found[done : done + taken] = probability[row : row + taken]
            self._chunks += taken
            done += taken
        return found

    def _gates(self, windows: _Array) -> _Array:
        if windows.any():
            return encode(windows, self._weights)
        if self._still is None:
            self._still = encode(windows, self._weights)
        return self._still


def _cut_windows(sound: NDArray[np.int16], windows: _Array) -> None:
    """Of each chunk with its context; the last window ends in the chunk's own end, mirrored."""
    chunks = np.lib.stride_tricks.sliding_window_view(sound, _INPUT_SAMPLES)[::CHUNK_SAMPLES]
    chunks = chunks[: len(windows)]
    for window in range(_WINDOWS - 1):
        begin = window * _HOP_SAMPLES
        windows[:, window] = chunks[:, begin : begin + WINDOW_SAMPLES]
    last = (_WINDOWS - 1) * _HOP_SAMPLES
    windows[:, -1, :-_MIRRORED] = chunks[:, last:]
    windows[:, -1, -_MIRRORED:] = chunks[:, -2 : -2 - _MIRRORED : -1]


def encode(windows: _Array, weights: SileroWeights) -> _Array:
    """What the sound of each chunk adds to the cell's gates: [chunks, 512].

    The padding of a convolution is zero and so are the taps on it: they are left out.
    """
    first, second, third, fourth = weights.encoder
    chunks = len(windows)
    spectrum = _magnitude(windows, weights.transform)
    wide = np.empty((chunks, _WINDOWS, _FIRST), np.float32)
    np.matmul(spectrum[:, : 2 * BANDS], first.weight[BANDS:], out=wide[:, 0])
    np.matmul(spectrum[:, : 3 * BANDS], first.weight, out=wide[:, 1])
    np.matmul(spectrum[:, BANDS:], first.weight, out=wide[:, 2])
    np.matmul(spectrum[:, 2 * BANDS :], first.weight[: 2 * BANDS], out=wide[:, 3])
    rows = _rectified(wide, first.bias).reshape(chunks, -1)
    narrow = np.empty((chunks, 2, _SECOND), np.float32)
    np.matmul(rows[:, : 2 * _FIRST], second.weight[_FIRST:], out=narrow[:, 0])
    np.matmul(rows[:, _FIRST:], second.weight, out=narrow[:, 1])
    rows = _rectified(narrow, second.bias).reshape(chunks, -1)
    rows = _rectified(rows @ third.weight[_SECOND:], third.bias)
    rows = _rectified(rows @ fourth.weight[_SECOND : 2 * _SECOND], fourth.bias)
    gates = rows @ weights.gates.weight
    gates += weights.gates.bias
    return gates


def _magnitude(windows: _Array, transform: _Array) -> _Array:
    """Of each chunk's spectra, one after the other: [chunks, 4 * 129]."""
    parts = windows.reshape(-1, WINDOW_SAMPLES) @ transform
    np.multiply(parts, parts, out=parts)
    magnitude = parts[:, :BANDS] + parts[:, BANDS:]
    np.sqrt(magnitude, out=magnitude)
    return magnitude.reshape(len(windows), -1)


def _rectified(rows: _Array, bias: _Array) -> _Array:
    rows += bias
    np.maximum(rows, 0, out=rows)
    return rows


def _probability(hidden: _Array, output: Layer) -> _Array:
    score = (np.maximum(hidden, 0) @ output.weight + output.bias)[:, 0]
    found: _Array = (np.tanh(score * _HALF) + _ONE) * _HALF
    return found


class _Cell:
    """The recurrent cell. One array holds its memory and, beside it, what a step computes, so
    that both products of the step are one: (memory, candidate) by (forget gate, input gate).
    """

    def __init__(self, recurrent: _Array) -> None:
        self._recurrent = recurrent
        self._work = np.zeros(5 * STATE_WIDTH, np.float32)
        #: doubled, as the weights that read it expect
        self._hidden = np.zeros(STATE_WIDTH, np.float32)

    def run(self, gates: _Array, hidden: _Array) -> None:
        """Step through the rows of `gates`; the state after each goes to that row of `hidden`."""
        width, work, recurrent = STATE_WIDTH, self._work, self._recurrent
        memory, kept, step = work[:width], work[: 2 * width], work[width:]
        factors, sigmoids, shown = work[2 * width : 4 * width], work[2 * width :], work[4 * width :]
        products, bent = np.empty(2 * width, np.float32), np.empty(width, np.float32)
        of_memory, of_candidate = products[:width], products[width:]
        # names without a dot: this loop runs once per 32 ms of sound and is a third of the time
        dot, add, multiply, tanh = np.dot, np.add, np.multiply, np.tanh
        before = self._hidden
        for given, after in zip(gates, hidden, strict=True):
            dot(before, recurrent, step)
            add(step, given, step)
            tanh(step, step)
            add(sigmoids, _ONE, sigmoids)
            multiply(kept, factors, products)
            add(of_memory, of_candidate, memory)
            multiply(memory, _HALF, memory)
            tanh(memory, bent)
            multiply(shown, bent, after)
            before = after
        self._hidden = before.copy()
