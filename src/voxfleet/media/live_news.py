"""What a live stream's listener is told: several news become one, and none is told twice.

A process that takes over for a dead one hears some sound again, and perhaps a little differently:
what was settled stays as it was told. Pure.
"""

from __future__ import annotations

from dataclasses import replace

from voxfleet.audio.speech import SpeechSpan, SpeechUpdate
from voxfleet.media.live_sound import Heard


class News:
    def __init__(self) -> None:
        #: the furthest that was added
        self.position = 0
        self._settled = 0
        #: where speech that was going on began, and how far it was certain
        self._open: SpeechSpan | None = None
        self._spans: list[SpeechSpan] = []
        self._last: Heard | None = None

    def add(self, heard: Heard) -> bool:
        """Whether there is anything to tell now."""
        floor = self._settled
        for span in heard.speech.spans:
            if span.end > floor:
                self._spans.append(SpeechSpan(self._begun(max(span.start, floor)), span.end))
                floor = span.end
        self._settled = floor
        if heard.position < self.position:
            return False
        self._go_on(heard, floor)
        return True

    @property
    def waiting(self) -> bool:
        return self._last is not None

    def take(self) -> Heard | None:
        """All that was added since the last time, as one."""
        last, self._last = self._last, None
        if last is None:
            return None
        spans, self._spans = tuple(self._spans), []
        return replace(last, speech=replace(last.speech, spans=spans))

    def _go_on(self, heard: Heard, floor: int) -> None:
        speech = heard.speech
        since = None if speech.open_since is None else self._begun(max(speech.open_since, floor))
        self._end_unheard()
        until = None if since is None else speech.open_until
        self._settled = max(self._settled, speech.settled if since is None else since)
        if since is not None:
            self._open = SpeechSpan(since, max(since, until or since))
        self.position = heard.position
        self._last = Heard(heard.position, SpeechUpdate((), since, self._settled, until))

    def _begun(self, start: int) -> int:
        """Where speech began that is now said to begin at `start`: as it was told, if it was."""
        was = self._open
        if was is None:
            return start
        if start > was.end:
            self._end_unheard()
            return start
        self._open = None
        return min(was.start, start)

    def _end_unheard(self) -> None:
        """Speech that the dead process heard is not lost where the next one hears none."""
        was, self._open = self._open, None
        if was is not None and was.end > was.start:
            self._spans.append(was)
            self._settled = max(self._settled, was.end)
