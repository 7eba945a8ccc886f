"""One utterance of a session: the pieces its speech is read in, and the text they make. Pure.

Decides no reading and tells no event; positions are samples at 16 kHz since the session's start.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from voxfleet.core import SAMPLE_RATE_HZ, Hypothesis, Word
from voxfleet.transcribe.reading_agreement import Agreement, GrowingText
from voxfleet.transcribe.session_contract import Completed, ItemFailed
from voxfleet.transcribe.session_steps import Read


@dataclass(frozen=True, slots=True)
class Asked:
    """A reading, and up to where it has the piece's speech as well as any other would."""

    read: Read
    covers: int

    @property
    def is_cut(self) -> bool:
        return self.read.quiet_from is not None


@dataclass(frozen=True, slots=True)
class Answer:
    covers: int
    end: int
    hypothesis: Hypothesis

    @property
    def text(self) -> str:
        return self.hypothesis.text.strip()


@dataclass(slots=True, eq=False)
class Piece:
    """Sound from `start`, with speech at least to `speech_end`; no more of it once `closed`."""

    start: int
    speech_end: int
    #: of the last reading asked for; at first where the speech begins
    read_to: int
    closed: bool = False
    #: it was too long; the next piece has what follows
    was_cut: bool = False
    #: speech that readings were asked for, whatever became of them
    tried: int = 0
    asked: Asked | None = None
    answer: Answer | None = None
    agreement: Agreement = field(default_factory=Agreement)

    @property
    def is_read(self) -> bool:
        """The answer there is, is the last one."""
        return self.closed and self.answer is not None and self.answer.covers >= self.speech_end

    @property
    def awaits_last(self) -> bool:
        """The answer to what is asked for will be the last one."""
        if self.asked is None:
            return False
        return self.asked.is_cut or (self.closed and self.asked.covers >= self.speech_end)

    def ask(self, asked: Asked) -> None:
        self.asked, self.read_to = asked, asked.read.end
        self.tried = max(self.tried, asked.covers)

    def heard_as(self, end: int, hypothesis: Hypothesis) -> None:
        """The answer to what was asked for."""
        if self.asked is None:
            return
        self.answer, self.asked = Answer(self.asked.covers, end, hypothesis), None
        if not self.is_read:
            self.agreement.hear(self.answer.text)

    def lose(self) -> None:
        """It cannot be read: what was told of it is all that there is."""
        self.asked, self.closed = None, True
        self.answer = Answer(self.speech_end, self.speech_end, Hypothesis(""))

    def split(self, at: int) -> Piece:
        """The piece of the speech after `at`; this one ends there."""
        rest = Piece(at, self.speech_end, read_to=at, closed=self.closed)
        self.speech_end, self.closed, self.was_cut = at, True, True
        # an earlier one has words of the rest
        self.answer = None
        return rest


@dataclass(slots=True, eq=False)
class Item:
    """`start` to `end` is its sound."""

    number: int
    start: int
    #: the client was told that speech has started
    announced: bool
    end: int | None = None
    failure: ItemFailed | None = None
    #: the end of all its speech so far; None before there was any
    spoken_to: int | None = None
    #: those whose text is not told whole
    pieces: list[Piece] = field(default_factory=list)
    _text: GrowingText = field(default_factory=GrowingText)
    _words: list[Word] = field(default_factory=list)
    _language: str | None = None

    @property
    def is_done(self) -> bool:
        return self.end is not None and not self.pieces

    @property
    def needed_from(self) -> int | None:
        """The oldest sample that may be read again."""
        return self.pieces[0].start if self.pieces else None

    def hear(self, start: int, end: int, pause: int) -> Piece | None:
        """More speech; the piece that begins with it, if one does, after at least `pause`."""
        self.spoken_to = max(self.spoken_to or 0, end)
        last = self.pieces[-1] if self.pieces else None
        if last and not last.closed and start - last.speech_end < pause:
            last.speech_end = max(last.speech_end, end)
            return None
        self.close()
        piece = Piece(start, end, read_to=start)
        self.pieces.append(piece)
        return piece

    def rest(self, settled: int, pause: int) -> None:
        """Nobody speaks now, nor did anybody, unknown yet, before `settled`."""
        if self.pieces and settled - self.pieces[-1].speech_end >= pause:
            self.close()

    def close(self) -> None:
        if self.pieces:
            self.pieces[-1].closed = True

    def split(self, piece: Piece, at: int) -> None:
        self.pieces.insert(self.pieces.index(piece) + 1, piece.split(at))

    def fail(self, piece: Piece, failure: ItemFailed) -> None:
        """The text will not be whole; the other pieces are told all the same."""
        self.failure = self.failure or failure
        piece.lose()

    def new_text(self) -> str:
        """What can be told now; pieces that are told whole are done with."""
        told = ""
        while self.pieces and self.pieces[0].is_read:
            told += self._settle(self.pieces.pop(0))
        if self.pieces:
            told += self._text.grow(self.pieces[0].agreement)
        return told

    def outcome(self) -> Completed | ItemFailed:
        """Once it is done."""
        if self.failure:
            return self.failure
        start_s, end_s = seconds(self.start), seconds(self.end or self.start)
        words = tuple(self._words)
        text = self._text.authoritative
        return Completed(self.number, start_s, end_s, text, self._language, words)

    def _settle(self, piece: Piece) -> str:
        if piece.answer is None:
            return ""
        self._words += [_placed(word, piece.start, piece.answer.end) for word in _words_of(piece)]
        self._language = self._language or piece.answer.hypothesis.language
        rest = self.pieces[0].agreement if piece.was_cut else None
        return self._text.settle(piece.agreement, piece.answer.text, rest)


def seconds(position: int) -> float:
    return position / SAMPLE_RATE_HZ


def _words_of(piece: Piece) -> tuple[Word, ...]:
    return piece.answer.hypothesis.words if piece.answer else ()


def _placed(word: Word, start: int, end: int) -> Word:
    """A word whose times count from `start`, at its place in the session."""
    start_s = min(seconds(start) + max(word.start_s, 0.0), seconds(end))
    end_s = min(max(seconds(start) + word.end_s, start_s), seconds(end))
    return Word(word.text, start_s, end_s, word.confidence)
