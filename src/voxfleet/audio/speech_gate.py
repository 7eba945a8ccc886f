"""From verdicts per frame (speech, not speech, neither) to pieces of speech, with hysteresis. Pure.

Shared by detectors whose model or rule judges one frame at a time. Python takes one step per pause,
none per frame. Knows no sound.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from voxfleet.audio.speech import SpeechSpan, SpeechUpdate


@dataclass(frozen=True, slots=True)
class GateLimits:
    """In samples: one frame, the pause that ends speech, and speech too short to be any."""

    frame: int
    min_silence: int
    min_speech: int


class SpeechGate:
    """Speech begins at a frame said to be speech, and ends where a long enough pause began.

    A pause begins at the first frame said to be silence; frames that are neither prolong whatever
    there is.
    """

    def __init__(self, limits: GateLimits) -> None:
        self._limits = limits
        self._pause_frames = max(1, math.ceil(limits.min_silence / limits.frame))
        self._frames = 0
        self._start: int | None = None
        self._pause: int | None = None

    def push(self, speech: NDArray[np.bool_], silence: NDArray[np.bool_]) -> SpeechUpdate:
        """Take the next frames' verdicts; a frame may be neither, never both."""
        loud = np.flatnonzero(speech) + self._frames
        quiet = np.flatnonzero(silence) + self._frames
        before = np.concatenate(([self._frames - 1], loud))
        self._frames += len(speech)
        after = np.concatenate((loud, [self._frames]))
        began, ended = self._pauses(before, after, quiet)
        spans = self._cut(loud, began, ended)
        return SpeechUpdate(tuple(spans), *self._open())

    def finish(self, total: int) -> SpeechUpdate:
        """The recording ended after `total` samples; speech going on ends with it."""
        spans = () if self._start is None else self._spans(self._start, total)
        return SpeechUpdate(tuple(spans), None, total)

    def _pauses(
        self, before: NDArray[np.intp], after: NDArray[np.intp], quiet: NDArray[np.intp]
    ) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """For each gap between frames of speech: its first quiet frame (-1: none), and whether it
        ends speech."""
        edges = np.concatenate((quiet, [-1]))
        low, high = np.searchsorted(quiet, before, "right"), np.searchsorted(quiet, after)
        began = np.where(high > low, edges[low], -1)
        if self._pause is not None:
            began[0] = self._pause
        last = np.where(high > low, edges[high - 1], -1)
        ended: NDArray[np.bool_] = (high > low) & (last - began >= self._pause_frames)
        return began, ended

    def _cut(
        self, loud: NDArray[np.intp], began: NDArray[np.intp], ended: NDArray[np.bool_]
    ) -> list[SpeechSpan]:
        start = self._start
        if start is None:
            ended[0] = False
            start = int(loud[0]) if len(loud) else None
        spans: list[SpeechSpan] = []
        for gap in np.flatnonzero(ended):
            if start is not None:
                spans += self._spans(start, int(began[gap]) * self._limits.frame)
            start = int(loud[gap]) if gap < len(loud) else None
        self._start = start
        self._pause = int(began[-1]) if start is not None and began[-1] >= 0 else None
        return spans

    def _spans(self, start_frame: int, end: int) -> list[SpeechSpan]:
        start = start_frame * self._limits.frame
        return [SpeechSpan(start, end)] if end - start > self._limits.min_speech else []

    def _open(self) -> tuple[int | None, int, int | None]:
        """`open_since`, `settled`, `open_until`: speech counts once it is long enough to stay."""
        frame = self._limits.frame
        if self._start is None:
            return None, self._frames * frame, None
        start = self._start * frame
        until = (self._frames if self._pause is None else self._pause) * frame
        certain = until - start > self._limits.min_speech
        return (start if certain else None), start, (until if certain else None)


def joined(updates: list[SpeechUpdate]) -> SpeechUpdate:
    """Several updates as one: all their spans, and what the last of them knows."""
    spans = tuple(span for update in updates for span in update.spans)
    return replace(updates[-1], spans=spans)
