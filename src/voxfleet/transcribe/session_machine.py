"""A realtime session's decisions: from sound that was heard to readings, and from these to events.

Pure: events in, steps out, `now_s` (any clock that never goes back) an argument. Knows neither how
speech is found nor who reads it, and no protocol.
"""

from __future__ import annotations

from collections.abc import Iterable

from voxfleet.core import SAMPLE_RATE_HZ
from voxfleet.errors import EmptyAudioError
from voxfleet.media.live_sound import Heard
from voxfleet.transcribe.reading_wishes import Pace, Prospect, Wish, next_reading
from voxfleet.transcribe.realtime_turns import (
    Began,
    Ended,
    Silent,
    Spoken,
    TurnNews,
    Turns,
    samples,
)
from voxfleet.transcribe.session_contract import (
    Cleared,
    Committed,
    ItemFailed,
    NothingSaid,
    PartialText,
    SessionEvent,
    SpeechStarted,
    SpeechStopped,
    TurnOptions,
)
from voxfleet.transcribe.session_steps import (
    Drop,
    Forget,
    MachineLimits,
    Read,
    Reading,
    Step,
    Tell,
)
from voxfleet.transcribe.spoken_item import Asked, Item, Piece, seconds

#: kept in silence beside what belongs to an utterance: detectors change their minds a little
_FORGET_MARGIN = SAMPLE_RATE_HZ // 5
#: less is not worth an order
_FORGET_STEP = SAMPLE_RATE_HZ // 10


class SessionMachine:
    """One speaker. Every method says what is to be done now, in order."""

    def __init__(self, turns: TurnOptions, limits: MachineLimits) -> None:
        self._limits = limits
        self._turns = Turns(turns)
        self._pace = Pace(limits.min_interval_s)
        #: utterances that are not told whole, in order; the last may be open
        self._items: list[Item] = []
        #: the one that goes on
        self._open: Item | None = None
        self._asked: dict[int, tuple[Item, Piece]] = {}
        self._item_count = 0
        self._reading_count = 0
        self._forgotten = 0
        self._finished = False

    @property
    def cost_factor(self) -> float:
        """Seconds that pass between two readings of a growing piece, for each second of it."""
        return self._pace.cost_factor

    @cost_factor.setter
    def cost_factor(self, factor: float) -> None:
        self._pace.cost_factor = factor

    @property
    def done(self) -> bool:
        """`finish` was called, and all is told."""
        return self._finished and not self._items

    # -- what happens -----------------------------------------------------------------------------

    def change(self, turns: TurnOptions) -> None:
        """From the next sound on."""
        self._turns.options = turns

    def heard(self, heard: Heard, now_s: float) -> list[Step]:
        steps = self._follow(self._turns.heard(heard))
        if self._open and not self._turns.speaking:
            self._open.rest(self._turns.settled, samples(self._limits.pause_s))
        return steps + self._go_on(now_s)

    def cut(self, reading_id: int, end: int, now_s: float) -> list[Step]:
        """Where a reading with `quiet_from` ends, which may be said before its answer."""
        if reading_id not in self._asked:
            return []
        self._split(*self._asked[reading_id], end)
        return self._go_on(now_s)

    def read(self, reading: Reading, now_s: float) -> list[Step]:
        if reading.id not in self._asked:
            return []
        item, piece = self._asked[reading.id]
        self._split(item, piece, reading.end)
        del self._asked[reading.id]
        piece.heard_as(reading.end, reading.hypothesis)
        return self._go_on(now_s)

    def read_failed(self, reading_id: int, code: str, message: str, now_s: float) -> list[Step]:
        if reading_id not in self._asked:
            return []
        item, piece = self._asked[reading_id]
        asked = piece.asked
        if asked and asked.read.final:
            self._split(item, piece, asked.read.end)
            item.fail(piece, ItemFailed(item.number, code, message))
        del self._asked[reading_id]
        piece.asked = None
        return self._go_on(now_s)

    def commit(self, now_s: float) -> list[Step]:
        """Raises EmptyAudioError, and changes nothing, where there is next to no sound."""
        if self._turns.fresh < samples(self._limits.min_commit_s):
            raise EmptyAudioError(
                f"commit: there are {seconds(self._turns.fresh) * 1000:.0f} ms of sound since the"
                f" last utterance; send at least {self._limits.min_commit_s * 1000:.0f} ms first"
            )
        if self._open is None:
            self._begin(self._turns.floor, announced=False)
            steps = self._end(self._turns.position)
            self._turns.skip()
        else:
            steps = self._follow(self._turns.end())
        return steps + self._go_on(now_s)

    def clear(self, now_s: float) -> list[Step]:
        """An utterance that is open is never committed; one that was announced has stopped."""
        self._turns.skip()
        item, self._open = self._open, None
        steps: list[Step] = []
        if item:
            steps = self._drop_all(item)
            self._items.remove(item)
            if item.announced:
                steps += _told(SpeechStopped(item.number, seconds(self._turns.position)))
        return [*steps, *_told(Cleared()), *self._go_on(now_s)]

    def finish(self, now_s: float) -> list[Step]:
        self._finished = True
        return [*self._follow(self._turns.end()), *self._go_on(now_s)]

    # -- utterances -------------------------------------------------------------------------------

    def _follow(self, news: Iterable[TurnNews]) -> list[Step]:
        steps: list[Step] = []
        for one in news:
            match one:
                case Began(at):
                    steps += self._begin(at, announced=self._turns.options.detect)
                case Spoken(start, end):
                    self._hear(start, end)
                case Ended(at):
                    steps += self._end(at)
                case Silent(start, end):
                    steps += _told(NothingSaid(seconds(start), seconds(end)))
        return steps

    def _begin(self, at: int, *, announced: bool) -> list[Step]:
        item = Item(self._item_count, at, announced)
        self._item_count += 1
        self._items.append(item)
        self._open = item
        return _told(SpeechStarted(item.number, seconds(at))) if announced else []

    def _hear(self, start: int, end: int) -> None:
        item = self._open
        if item is None or end <= self._forgotten:
            return
        spoken_to, padding = item.spoken_to, samples(self._limits.padding_s)
        piece = item.hear(start, end, samples(self._limits.pause_s))
        if piece:
            lead = min(self._turns.options.prefix_s, self._limits.window_s / 2)
            earlier = item.start if spoken_to is None else spoken_to + padding
            begin = min(start, max(start - samples(lead), earlier))
            piece.start = max(begin, self._forgotten)

    def _end(self, at: int) -> list[Step]:
        item, self._open = self._open, None
        if item is None:
            return []
        item.end = max(at, item.start)
        item.close()
        start_s, end_s = seconds(item.start), seconds(item.end)
        stopped = _told(SpeechStopped(item.number, end_s)) if item.announced else []
        return [*stopped, *_told(Committed(item.number, start_s, end_s))]

    # -- readings ---------------------------------------------------------------------------------

    def _go_on(self, now_s: float) -> list[Step]:
        """What follows from the state, whatever led to it."""
        steps: list[Step] = []
        for item in self._items:
            for piece in item.pieces:
                wish = next_reading(piece, self._prospect(item, now_s), self._pace, self._limits)
                steps += self._ask(item, piece, wish, now_s) if wish else []
        for item in self._items:
            steps += self._tell_text(item)
        return [*steps, *self._tell_done(), *self._forget()]

    def _prospect(self, item: Item, now_s: float) -> Prospect:
        turns = self._turns.options
        pause_s = self._limits.pause_s
        silence_s = min(turns.silence_s, pause_s) if turns.detect else pause_s
        return Prospect(
            now_s,
            limit=self._turns.position if item.end is None else item.end,
            # what follows the silence may be the next utterance
            tail=min(samples(self._limits.padding_s), samples(silence_s)),
            patience=samples(silence_s) // 2,
            speaking=self._turns.speaking,
        )

    def _ask(self, item: Item, piece: Piece, wish: Wish, now_s: float) -> list[Step]:
        """One reading of a piece at a time: what is on its way is worth less than the wish."""
        steps = self._drop(piece)
        self._reading_count += 1
        start, end = piece.start, wish.end
        read = Read(self._reading_count, item.number, start, end, wish.final, wish.quiet_from)
        piece.ask(Asked(read, wish.covers))
        self._asked[read.id] = item, piece
        if not wish.final:
            self._pace.last_s = now_s
        return [*steps, read]

    def _drop(self, piece: Piece) -> list[Step]:
        if piece.asked is None:
            return []
        reading_id, piece.asked = piece.asked.read.id, None
        del self._asked[reading_id]
        return [Drop(reading_id)]

    def _drop_all(self, item: Item) -> list[Step]:
        return [step for piece in item.pieces for step in self._drop(piece)]

    def _split(self, item: Item, piece: Piece, end: int) -> None:
        """A piece that was too long ends where its reading was cut; the rest is the next one."""
        asked = piece.asked
        if asked is None or asked.read.quiet_from is None or piece.speech_end <= asked.read.end:
            return
        item.split(piece, min(max(end, asked.read.quiet_from), asked.read.end))

    # -- what is told -----------------------------------------------------------------------------

    def _tell_text(self, item: Item) -> list[Step]:
        text = item.new_text()
        return _told(PartialText(item.number, text)) if text else []

    def _tell_done(self) -> list[Step]:
        steps: list[Step] = []
        while self._items and self._items[0].is_done:
            steps += _told(self._items.pop(0).outcome())
        return steps

    def _forget(self) -> list[Step]:
        prefix = samples(self._turns.options.prefix_s)
        needed = max(self._turns.settled - prefix - _FORGET_MARGIN, 0)
        for item in self._items:
            needed = min(needed, needed if item.needed_from is None else item.needed_from)
        if needed < self._forgotten + _FORGET_STEP:
            return []
        self._forgotten = needed
        return [Forget(needed)]


def _told(event: SessionEvent) -> list[Step]:
    return [Tell(event)]
