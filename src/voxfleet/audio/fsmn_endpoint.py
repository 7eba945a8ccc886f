"""Where speech begins and ends, from one speech/silence verdict per 10 ms frame. Pure.

The end-point rules published with fsmn-vad, computed on runs of frames: Python takes one step per
change between speech and silence, none per frame. Knows no sound and no model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: verdicts are counted over this many frames
_WINDOW = 20
#: as many speech frames in the window begin speech, as few end it
_TURN = 15
#: speech begins this long before the frame that proved it: the window and a look back of 200 ms
_LOOK_BACK = 40
#: frames kept from the one on which the window turned to silence: itself and a look ahead
_LOOK_AHEAD = 12


@dataclass(frozen=True, slots=True)
class EndpointLimits:
    """In frames: silence after the window turned that ends speech, and the longest speech."""

    silence: int = 65
    longest: int = 6000


@dataclass(frozen=True, slots=True)
class _End:
    """Speech that ends at frame `at` (half-open), known once frame `seen` of a block was read."""

    seen: int
    at: int


class Endpointer:
    """Turns verdicts into pieces of speech, as half-open ranges of frames."""

    def __init__(self, limits: EndpointLimits | None = None) -> None:
        self._limits = limits or EndpointLimits()
        self._frames = 0
        #: where the last piece ended; no later piece begins before
        self._floor = 0
        self._start: int | None = None
        self._forget()

    def _forget(self) -> None:
        self._history = np.zeros(_WINDOW - 1, np.int64)
        #: whether the window stands at speech, and frames of silence since it turned
        self._speaking = False
        self._silence = 0

    @property
    def open_since(self) -> int | None:
        return self._start

    @property
    def open_until(self) -> int:
        """Speech that is open ends nowhere before this frame."""
        if self._speaking:
            return self._frames
        return min(self._frames, self._frames - 1 - self._silence + _LOOK_AHEAD)

    @property
    def settled(self) -> int:
        if self._start is not None:
            return self._start
        return max(self._floor, self._frames - _LOOK_BACK)

    def push(self, speech: NDArray[np.bool_]) -> list[tuple[int, int]]:
        pieces: list[tuple[int, int]] = []
        verdicts = speech.astype(np.int64)
        while len(verdicts):
            in_window = self._window_sums(verdicts)
            if self._start is None:
                used = self._read_silence(verdicts, in_window)
            else:
                used = self._read_speech(self._start, verdicts, in_window, pieces)
            verdicts = verdicts[used:]
        return pieces

    def finish(self) -> list[tuple[int, int]]:
        if self._start is None:
            return []
        piece = (self._start, self._frames)
        self._close(self._frames)
        return [piece]

    def _window_sums(self, verdicts: NDArray[np.int64]) -> NDArray[np.int64]:
        sums = np.cumsum(np.concatenate((self._history, verdicts)))
        in_window = sums[_WINDOW - 1 :].copy()
        in_window[1:] -= sums[:-_WINDOW]
        return in_window

    def _read_silence(self, verdicts: NDArray[np.int64], in_window: NDArray[np.int64]) -> int:
        turns = np.flatnonzero(in_window >= _TURN)
        if not len(turns):
            self._advance(verdicts)
            return len(verdicts)
        turn = int(turns[0])
        self._start = max(self._floor, self._frames + turn - _LOOK_BACK)
        self._advance(verdicts[: turn + 1])
        self._speaking = True
        return turn + 1

    def _read_speech(
        self,
        start: int,
        verdicts: NDArray[np.int64],
        in_window: NDArray[np.int64],
        pieces: list[tuple[int, int]],
    ) -> int:
        lulls = _Lulls(in_window, self._speaking, self._silence)
        end = self._first_end(start, lulls)
        if end is None:
            self._advance(verdicts)
            self._speaking, self._silence = lulls.last_speaking, lulls.last_silence
            return len(verdicts)
        self._advance(verdicts[: end.seen + 1])
        pieces.append((start, end.at))
        self._close(end.at)
        return end.seen + 1

    def _first_end(self, start: int, lulls: _Lulls) -> _End | None:
        ends = []
        silent = lulls.first_reaching(self._limits.silence)
        if silent is not None:
            turned = self._frames + silent - self._limits.silence
            ends.append(_End(silent, turned + _LOOK_AHEAD))
        late = max(0, start + self._limits.longest - self._frames)
        if late < lulls.frames:
            ends.append(_End(late, self._frames + late + 1))
        # silence wins a tie, as min keeps the first
        return min(ends, key=lambda end: end.seen, default=None)

    def _advance(self, verdicts: NDArray[np.int64]) -> None:
        self._history = np.concatenate((self._history, verdicts))[-(_WINDOW - 1) :]
        self._frames += len(verdicts)

    def _close(self, end: int) -> None:
        self._start, self._floor = None, end
        self._forget()


class _Lulls:
    """The stretches of a block where the window holds fewer than `_TURN` speech frames.

    At exactly `_TURN` the window turns on every frame, to silence and back; so whether a lull
    begins with the turn to silence, or one frame after it, depends on how many such frames precede.
    """

    def __init__(self, in_window: NDArray[np.int64], speaking: bool, silence: int) -> None:
        self.frames = len(in_window)
        low = np.concatenate(([False], in_window < _TURN, [False]))
        edges = np.flatnonzero(low[1:] != low[:-1])
        self._starts, self._ends = edges[0::2], edges[1::2]
        states = _speaking_after(in_window, speaking)
        before = np.concatenate(([speaking], states))[self._starts]
        #: frames of silence counted at the first frame of each lull
        self._first = np.where(before, 0, 1)
        if len(self._starts) and self._starts[0] == 0 and not speaking:
            self._first[0] = silence + 1
        self.last_speaking = bool(states[-1])
        self.last_silence = 0
        if len(self._ends) and self._ends[-1] == self.frames:
            self.last_silence = int(self._first[-1] + self.frames - 1 - self._starts[-1])

    def first_reaching(self, silence: int) -> int | None:
        """The first frame with so many frames of silence behind it."""
        reach = self._starts + np.maximum(0, silence - self._first)
        found = np.flatnonzero(reach < self._ends)
        return int(reach[found[0]]) if len(found) else None


def _speaking_after(in_window: NDArray[np.int64], speaking: bool) -> NDArray[np.bool_]:
    """Whether the window stands at speech after each frame of a block."""
    index = np.arange(len(in_window))
    decided = np.maximum.accumulate(np.where(in_window != _TURN, index, -1))
    base = np.where(decided >= 0, in_window[decided] > _TURN, speaking)
    turned: NDArray[np.bool_] = (index - decided) % 2 == 1
    return base ^ turned
