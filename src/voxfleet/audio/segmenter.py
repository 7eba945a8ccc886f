"""From pieces of speech to segments a model is given: not too long, few scraps, nothing lost. Pure.

Segments flow out while the recording goes on, and never depend on how it was sliced: every decision
waits until no later news can change it. Knows no detector and no sound, only its loudness.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voxfleet.audio.loudness import FRAME_SAMPLES
from voxfleet.audio.quiet_point import CutWindow, quiet_point
from voxfleet.audio.speech import SpeechSpan, SpeechUpdate
from voxfleet.core import SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class SegmentLimits:
    """`max_s`: no segment is longer. `min_silence_s`: a shorter pause does not separate.

    `padding_s`: kept on either side of speech. `merge_below_s`: shorter speech joins a neighbour
    no further away than `merge_gap_s`, as long as both together stay within `max_s`.
    """

    max_s: float
    min_silence_s: float
    padding_s: float
    merge_below_s: float
    merge_gap_s: float = 0.6


@dataclass(slots=True)
class _Piece:
    """Speech from `start` at least to `end`; `done` once it ends there. `cut`: the next adjoins."""

    start: int
    end: int
    done: bool
    cut: bool = False

    @property
    def length(self) -> int:
        return self.end - self.start


class Segmenter:
    """One channel's speech, in the order of time. All positions are samples."""

    def __init__(self, limits: SegmentLimits) -> None:
        self._max = _samples(limits.max_s)
        self._min_silence = _samples(limits.min_silence_s)
        self._padding = _samples(limits.padding_s)
        self._merge_below = _samples(limits.merge_below_s)
        self._merge_gap = _samples(limits.merge_gap_s)
        #: speech whose segment is not decided; only the last can be less than done
        self._pieces: list[_Piece] = []
        #: nothing unknown begins before
        self._settled = 0
        #: where the next segment may begin at the earliest
        self._bound = 0
        self._levels = np.empty(0, np.float32)
        self._levels_from = 0

    @property
    def needed_from(self) -> int:
        """The oldest sample that a later segment can contain."""
        oldest = self._pieces[0].start if self._pieces else self._settled
        return max(self._bound, oldest - self._padding)

    def push(self, update: SpeechUpdate, levels: NDArray[np.float32]) -> list[SpeechSpan]:
        """Segments decided by what a detector found in the next sound, of which `levels` is the
        loudness of each complete 10 ms frame."""
        self._levels = np.concatenate((self._levels, levels))
        self._learn(update)
        segments = self._decide(None)
        self._forget_levels()
        return segments

    def finish(self, update: SpeechUpdate, levels: NDArray[np.float32]) -> list[SpeechSpan]:
        """The last segments; `update` is the detector's last, settled at the recording's end."""
        self._levels = np.concatenate((self._levels, levels))
        self._learn(update)
        for piece in self._pieces:
            piece.done = True
        return self._decide(update.settled)

    def _learn(self, update: SpeechUpdate) -> None:
        for span in update.spans:
            self._add(span.start, span.end)
        if update.open_since is not None:
            self._add(update.open_since, update.open_until or update.open_since)
        self._settled = update.settled
        if self._pieces:
            last = self._pieces[-1]
            silent_until = update.settled if update.open_since is None else 0
            last.done = silent_until >= last.end + self._min_silence

    def _add(self, start: int, end: int) -> None:
        """Speech from `start` at least to `end`; it may continue what is known already."""
        if self._pieces and start - self._pieces[-1].end < self._min_silence:
            self._pieces[-1].end = max(self._pieces[-1].end, end)
        else:
            if self._pieces:
                self._pieces[-1].done = True
            self._pieces.append(_Piece(start, end, done=False))
        self._cut_long()

    def _cut_long(self) -> None:
        last = self._pieces[-1]
        while last.length > self._max:
            cut = self._quiet_point(last.start)
            rest = _Piece(cut, last.end, done=False)
            last.end, last.done, last.cut = cut, True, True
            self._pieces.append(rest)
            last = rest

    def _quiet_point(self, start: int) -> int:
        earliest = start + self._max * 2 // 3
        # what is left is then no scrap either
        latest = max(earliest, start + self._max - self._merge_below)
        window = CutWindow(start, earliest, latest, start + self._max)
        return quiet_point(self._levels, self._levels_from, window)

    def _decide(self, total: int | None) -> list[SpeechSpan]:
        """Segments that nothing later can change; all of them once the `total` length is known."""
        segments: list[SpeechSpan] = []
        while self._pieces and self._pieces[0].done:
            following = self._pieces[1] if len(self._pieces) > 1 else None
            if following is None:
                if total is None and not self._is_alone(self._pieces[0]):
                    break
                segments.append(self._emit(total))
                continue
            merge = self._merges(self._pieces[0], following)
            if merge is None:
                break
            if merge:
                self._merge_first()
            else:
                segments.append(self._emit(total))
        return segments

    def _is_alone(self, piece: _Piece) -> bool:
        """Whether whatever comes next is too far away to matter."""
        reach = max(self._merge_gap + 1, 2 * self._padding, self._min_silence)
        return self._settled >= piece.end + reach

    def _merges(self, first: _Piece, following: _Piece) -> bool | None:
        """Whether two neighbours become one segment; None while that is not known."""
        if following.start - first.end > self._merge_gap or first.cut or following.cut:
            return False
        if following.end - first.start > self._max:
            return False
        if first.length < self._merge_below:
            return True if following.done else None
        if following.length >= self._merge_below:
            return False
        return True if following.done else None

    def _merge_first(self) -> None:
        first, following = self._pieces[0], self._pieces.pop(1)
        first.end, first.cut = following.end, following.cut

    def _emit(self, total: int | None) -> SpeechSpan:
        piece = self._pieces.pop(0)
        start = max(self._bound, piece.start - self._padding)
        end = piece.end + self._padding
        if self._pieces:
            # neighbours share the pause between them
            end = min(end, piece.end + (self._pieces[0].start - piece.end) // 2)
        if total is not None:
            end = min(end, total)
        excess = max(0, end - start - self._max)
        spared = min(excess, piece.start - start)
        segment = SpeechSpan(start + spared, end - (excess - spared))
        self._bound = segment.end
        return segment

    def _forget_levels(self) -> None:
        oldest = self._pieces[-1].start if self._pieces else self._settled
        unused = min(max(0, oldest // FRAME_SAMPLES - self._levels_from), len(self._levels))
        self._levels = self._levels[unused:]
        self._levels_from += unused


def _samples(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE_HZ)
