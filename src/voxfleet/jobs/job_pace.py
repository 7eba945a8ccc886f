"""How fast files of jobs have been finished lately, and how long some more will take.

Pure: time is told. Only time counts in which something ran, so a quiet night makes nothing slower.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

#: what is looked back at: so much busy time, or so many files where they take longer
_WINDOW_S = 300.0
_LEAST_FILES = 16
_MOST_FILES = 2000


@dataclass(frozen=True, slots=True)
class _Finish:
    busy_s: float
    audio_s: float


class JobPace:
    """What one server does; a queue that others work on too is done sooner."""

    def __init__(self) -> None:
        self._busy_s = 0.0
        self._running = 0
        self._seen_s: float | None = None
        #: the first is only where the window begins: what was finished then lies before it
        self._finishes: deque[_Finish] = deque([_Finish(0.0, 0.0)], maxlen=_MOST_FILES + 1)
        self._audio_s = 0.0

    def passed(self, running: int, now_s: float) -> None:
        """So many files are running from now on. Told now and then, and at every change."""
        if self._seen_s is not None and self._running:
            self._busy_s += max(0.0, now_s - self._seen_s)
        self._seen_s = now_s
        self._running = running

    def finished(self, audio_s: float, now_s: float) -> None:
        """A file's text is there; `audio_s` is how long its sound is."""
        self.passed(self._running, now_s)
        if len(self._finishes) > _MOST_FILES:
            self._drop_first()
        self._finishes.append(_Finish(self._busy_s, audio_s))
        self._audio_s += audio_s
        while len(self._finishes) - 1 > _LEAST_FILES and self._span_s > _WINDOW_S:
            self._drop_first()

    @property
    def files_per_s(self) -> float | None:
        """None while nothing is known."""
        count = len(self._finishes) - 1
        return count / self._span_s if count and self._span_s > 0 else None

    @property
    def audio_s_per_s(self) -> float | None:
        known = len(self._finishes) > 1 and self._span_s > 0
        return self._audio_s / self._span_s if known else None

    def estimate_s(self, files_ahead: int, own_unfinished: int) -> float | None:
        """How long until the own files are done, with those ahead; None while nothing is known."""
        rate = self.files_per_s
        return (files_ahead + own_unfinished) / rate if rate else None

    @property
    def _span_s(self) -> float:
        return self._busy_s - self._finishes[0].busy_s

    def _drop_first(self) -> None:
        self._finishes.popleft()
        # the one that is first now marks where the window begins
        self._audio_s -= self._finishes[0].audio_s
