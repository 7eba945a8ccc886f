"""From speech as a detector finds it to utterances: where one begins and where it has ended. Pure.

Knows no text, no event and no reading. Positions are samples at 16 kHz; they never go backwards,
also where a detector that was started anew tells the same speech a little differently.
"""

from __future__ import annotations

from dataclasses import dataclass

from voxfleet.core import SAMPLE_RATE_HZ
from voxfleet.media.live_sound import Heard
from voxfleet.transcribe.session_contract import TurnOptions


@dataclass(frozen=True, slots=True)
class Began:
    """An utterance, whose sound begins here; its speech follows."""

    at: int


@dataclass(frozen=True, slots=True)
class Spoken:
    """Speech of the utterance that began last: from `start` at least to `end`."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The utterance that began last, and its sound."""

    at: int


@dataclass(frozen=True, slots=True)
class Silent:
    """Nobody has spoken for as long as the client wants to hear of it."""

    start: int
    end: int


TurnNews = Began | Spoken | Ended | Silent


def samples(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE_HZ)


class Turns:
    """One speaker. With no turns detected, an utterance ends by `end` only."""

    def __init__(self, options: TurnOptions) -> None:
        #: may be others at any time
        self.options = options
        #: all sound before was heard
        self.position = 0
        #: no speech that is not known yet begins before
        self.settled = 0
        #: sound before belongs to earlier utterances, or was cleared
        self.floor = 0
        #: speech goes on at `position`
        self.speaking = False
        #: the end of what is known of the open utterance's speech; None in silence
        self._speech_end: int | None = None
        self._silence_told = False

    @property
    def is_open(self) -> bool:
        return self._speech_end is not None

    @property
    def fresh(self) -> int:
        """How much sound there is since the last utterance."""
        return self.position - self.floor

    def heard(self, heard: Heard) -> list[TurnNews]:
        speech = heard.speech
        self.position = max(self.position, heard.position)
        self.settled = max(self.settled, min(speech.settled, self.position))
        self.speaking = speech.open_since is not None
        news: list[TurnNews] = []
        for span in speech.spans:
            news += self._add(span.start, span.end)
        if speech.open_since is not None:
            # speech that is certain has a sample at least
            news += self._add(speech.open_since, speech.open_until or speech.open_since + 1)
        return news + self._pass_time()

    def end(self) -> list[TurnNews]:
        """The utterance that is open, if any, has all the sound there is, within its silence."""
        if self._speech_end is None:
            return []
        if not self.options.detect:
            return self._end(self.position)
        return self._end(min(self.position, self._speech_end + samples(self.options.silence_s)))

    def skip(self) -> None:
        """All sound that was heard is done with; speech that goes on begins here."""
        self._rest(self.position)

    def _add(self, start: int, end: int) -> list[TurnNews]:
        start, end = max(start, self.floor), min(end, self.position)
        if end <= start:
            return []
        news = self._end_before(start)
        if self._speech_end is None:
            news += [*self._notice_silence(start), Began(self._sound_start(start))]
            self._speech_end = end
        self._speech_end = max(self._speech_end, end)
        return [*news, Spoken(start, end)]

    def _sound_start(self, speech: int) -> int:
        if not self.options.detect:
            return self.floor
        return max(self.floor, speech - samples(self.options.prefix_s))

    def _pass_time(self) -> list[TurnNews]:
        if self.speaking:
            return []
        ended = self._end_before(self.settled)
        return ended if self.is_open else [*ended, *self._notice_silence(self.settled)]

    def _end_before(self, silent_until: int) -> list[TurnNews]:
        """The end of the open utterance, if the silence after it is long enough."""
        if self._speech_end is None or not self.options.detect:
            return []
        end = self._speech_end + samples(self.options.silence_s)
        return self._end(end) if silent_until >= end else []

    def _end(self, at: int) -> list[TurnNews]:
        self._rest(at)
        return [Ended(at)]

    def _rest(self, at: int) -> None:
        self.floor, self._speech_end, self._silence_told = at, None, False

    def _notice_silence(self, until: int) -> list[TurnNews]:
        if self.options.idle_s is None or not self.options.detect or self._silence_told:
            return []
        end = self.floor + samples(self.options.idle_s)
        if until < end:
            return []
        self._silence_told = True
        return [Silent(self.floor, end)]
