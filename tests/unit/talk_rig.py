"""Somebody who speaks known words, a detector and a model that hear them, and a session machine.

Whatever the machine does is held against what it may do at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeVar

from voxfleet.audio.speech import SpeechSpan, SpeechUpdate
from voxfleet.core import Hypothesis, Word
from voxfleet.media.live_sound import Heard
from voxfleet.transcribe.session_contract import (
    Cleared,
    Committed,
    Completed,
    ItemFailed,
    PartialText,
    SessionEvent,
    SpeechStarted,
    SpeechStopped,
    TurnOptions,
)
from voxfleet.transcribe.session_machine import SessionMachine
from voxfleet.transcribe.session_steps import (
    Drop,
    Forget,
    MachineLimits,
    Read,
    Reading,
    Step,
    Tell,
)
from voxfleet.transcribe.stitch import join_texts

Event = TypeVar("Event")

#: samples in a millisecond
MS = 16
#: how late the detector is sure that speech has begun or ended
LAG = 100 * MS


@dataclass(frozen=True, slots=True)
class Said:
    """A word, in samples."""

    start: int
    end: int
    text: str

    @property
    def middle(self) -> int:
        return (self.start + self.end) // 2


def speech_of(*words: tuple[int, int, str]) -> list[Said]:
    """Words as (start, end, text), in milliseconds."""
    return [Said(start * MS, end * MS, text) for start, end, text in words]


@dataclass
class TalkDetector:
    """A detector that finds exactly the words, with pauses below `LAG` left out."""

    words: Sequence[Said]
    _floor: int = 0

    def push(self, position: int, *, last: bool = False) -> SpeechUpdate:
        closed: list[SpeechSpan] = []
        for start, end in self._spans():
            begin, until = max(start, self._floor), min(end, position)
            if begin >= until:
                continue
            if last or position >= end + LAG:
                closed.append(SpeechSpan(begin, until))
                self._floor = until
            else:
                known = begin if position - begin >= LAG else None
                return SpeechUpdate(tuple(closed), known, begin, None if known is None else until)
        return SpeechUpdate(tuple(closed), None, position)

    def _spans(self) -> list[tuple[int, int]]:
        spans: list[tuple[int, int]] = []
        for word in self.words:
            if spans and word.start - spans[-1][1] < LAG:
                spans[-1] = (spans[-1][0], word.end)
            else:
                spans.append((word.start, word.end))
        return spans


def text_within(words: Sequence[Said], start: int, end: int) -> str:
    return join_texts(word.text for word in words if start <= word.middle < end)


@dataclass
class TalkRig:
    """`now_s` is the rig's clock; `listen` lets it pass with the sound."""

    words: Sequence[Said]
    turns: TurnOptions = field(default_factory=TurnOptions)
    limits: MachineLimits = field(default_factory=MachineLimits)
    #: what the model makes of a reading; exactly its words, where it is not given
    model: Callable[[Read, int], str] | None = None
    #: of the readings from a session's start to there, in milliseconds, the model tells none
    no_language_ms: int = 0
    events: list[SessionEvent] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    in_flight: dict[int, Read] = field(default_factory=dict)
    drops: list[int] = field(default_factory=list)
    position: int = 0
    forgotten: int = 0
    now_s: float = 0.0
    #: the last text of each piece, by its item and where it begins
    pieces: dict[tuple[int, int], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.machine = SessionMachine(self.turns, self.limits)
        self.detector = TalkDetector(self.words)

    # -- what happens ---------------------------------------------------------------------------

    def listen(self, until_ms: int, step_ms: int = 50) -> None:
        """Sound up to there, in news of `step_ms`, and every reading answered at once."""
        while self.position < until_ms * MS:
            self.hear(min(step_ms * MS, until_ms * MS - self.position))
            self.answer_all()

    def hear(self, length: int) -> None:
        self.position += length
        self.now_s = max(self.now_s, self.position / 16_000)
        update = self.detector.push(self.position)
        self.take(self.machine.heard(Heard(self.position, update), self.now_s))

    def flush(self) -> None:
        update = self.detector.push(self.position, last=True)
        self.take(self.machine.heard(Heard(self.position, update), self.now_s))

    def commit(self) -> None:
        self.flush()
        self.take(self.machine.commit(self.now_s))

    def clear(self) -> None:
        self.flush()
        self.take(self.machine.clear(self.now_s))

    def finish(self) -> None:
        self.flush()
        self.take(self.machine.finish(self.now_s))
        self.answer_all()

    def answer_all(self) -> None:
        answered = 0
        while self.in_flight:
            self.answer(next(iter(self.in_flight)))
            answered += 1
            assert answered < 100, "every answer leads to another reading"

    def answer_partials(self) -> None:
        for reading_id in [read.id for read in self.in_flight.values() if not read.final]:
            self.answer(reading_id)

    def cut_end(self, reading_id: int) -> int:
        read = self.in_flight[reading_id]
        return read.end if read.quiet_from is None else self._quiet(read.quiet_from, read.end)

    def answer(self, reading_id: int) -> None:
        end = self.cut_end(reading_id)
        read = self.in_flight.pop(reading_id)
        text = self.model(read, end) if self.model else text_within(self.words, read.start, end)
        self.pieces[read.item, read.start] = text.strip()
        hypothesis = Hypothesis(
            text, (Word(text, 0.0, (end - read.start) / 16_000),), self._language(read)
        )
        self.take(self.machine.read(Reading(read.id, end, hypothesis), self.now_s))

    def _language(self, read: Read) -> str | None:
        """Another one for each piece."""
        return f"l{read.start // MS}" if read.start >= self.no_language_ms * MS else None

    def fail(self, reading_id: int) -> None:
        del self.in_flight[reading_id]
        self.take(self.machine.read_failed(reading_id, "poison", "no", self.now_s))

    def _quiet(self, low: int, high: int) -> int:
        """The middle of the longest pause."""
        inner = [word for word in self.words if low < word.end and word.start < high]
        pauses = [(b.start - a.end, (a.end + b.start) // 2) for a, b in pairwise(inner)]
        return min(max(max(pauses, default=(0, low))[1], low), high)

    # -- what may be done -----------------------------------------------------------------------

    def take(self, steps: Sequence[Step]) -> None:
        for step in steps:
            match step:
                case Tell(event):
                    self.events.append(event)
                case Read():
                    self._take_read(step)
                case Drop(reading_id):
                    del self.in_flight[reading_id]
                    self.drops.append(reading_id)
                case Forget(before):
                    assert self.forgotten < before <= self.position
                    self.forgotten = before
        for read in self.in_flight.values():
            assert read.start >= self.forgotten

    def _take_read(self, read: Read) -> None:
        assert self.forgotten <= read.start < read.end <= self.position
        assert read.end - read.start <= (self.limits.window_s + self.limits.padding_s) * 16_000
        assert any(word.start < read.end and read.start < word.end for word in self.words)
        same = [other for other in self.in_flight.values() if other.start == read.start]
        assert not same, "two readings of one piece"
        self.reads.append(read)
        self.in_flight[read.id] = read

    # -- what was told --------------------------------------------------------------------------

    def told(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def texts(self) -> list[str]:
        return [completed.text for completed in self.told(Completed)]

    def deltas(self, item: int) -> list[str]:
        return [event.text for event in self.told(PartialText) if event.item == item]

    def check_order(self) -> None:
        """What holds of every session that has ended."""
        assert self.machine.done
        assert not self.in_flight
        committed = [event.item for event in self.told(Committed)]
        outcomes = [e.item for e in self.events if isinstance(e, Completed | ItemFailed)]
        assert outcomes == committed == sorted(set(committed))
        turns = [e for e in self.events if isinstance(e, SpeechStarted | SpeechStopped)]
        assert [type(turn) for turn in turns] == [SpeechStarted, SpeechStopped] * (len(turns) // 2)
        assert [turn.item for turn in turns[::2]] == [turn.item for turn in turns[1::2]]
        assert [turn.at_s for turn in turns] == sorted(turn.at_s for turn in turns)
        for item in committed:
            self._check_item(item)

    def _check_item(self, item: int) -> None:
        kinds = [type(e) for e in self.events if not isinstance(e, Cleared) and _item(e) == item]
        assert kinds[-1] in (Completed, ItemFailed)
        assert kinds.count(Committed) == 1
        assert Committed in kinds[:-1]
        for completed in self.told(Completed):
            if completed.item == item:
                self._check_text(completed)

    def _check_text(self, completed: Completed) -> None:
        """The deltas are the text, but for the last piece."""
        told = "".join(self.deltas(completed.item))
        starts = [start for item, start in self.pieces if item == completed.item]
        last = self.pieces[completed.item, max(starts)] if starts else ""
        assert completed.text.endswith(last)
        assert told.startswith(completed.text.removesuffix(last).rstrip())


def _item(event: SessionEvent) -> int | None:
    return getattr(event, "item", None)
