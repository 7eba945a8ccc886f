"""A live stream as the gateway sees it: bytes in, what was heard and pieces of its sound out.

Knows neither the process that hears nor any sound; `LiveHost` tells it what has happened. Nothing
is lost with a process: what may still be needed is kept here, and told to the next one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from voxfleet.audio.live_rate import rate_change
from voxfleet.audio.speech import SpeechSpan, SpeechUpdate
from voxfleet.core import SpooledSegment, VadMode
from voxfleet.errors import AudioError, CancelledError, ParameterError, VoxfleetError, rebuild
from voxfleet.media.live_backlog import Backlog
from voxfleet.media.live_cuts import LiveCuts, taken
from voxfleet.media.live_news import News
from voxfleet.media.live_sound import Heard, LiveOptions
from voxfleet.wire.live_messages import (
    LiveClose,
    LiveDetect,
    LiveFailed,
    LiveHeard,
    LiveOpen,
    LivePiece,
    LivePieceFailed,
    LiveSound,
)
from voxfleet.wire.messages import ToChild

StreamMessage = LiveHeard | LivePiece | LivePieceFailed | LiveFailed

#: deaths over its sound, without progress in between, after which a stream is not tried again
_MAX_DEATHS_HERE = 3


class StreamKeeper(Protocol):
    """Whoever gave the stream out."""

    def tell(self, message: ToChild) -> None:
        """Say it to the process that has the stream."""
        ...

    def check_detector(self, vad: VadMode) -> None:
        """Raises ParameterError for a detector that is not there."""
        ...

    def discard(self, stream: LiveStream) -> None:
        """It is over: nothing of it may stay."""
        ...


@dataclass(slots=True)
class _Mark:
    """Something that happens after so many samples: a new detector, or `flushed`."""

    after: int
    detect: tuple[VadMode, float] | None = None
    flushed: asyncio.Future[None] | None = None


class LiveStream:
    """One speaker, one reader of `heard`. Positions are samples at 16 kHz since the start."""

    def __init__(
        self,
        keeper: StreamKeeper,
        stream_id: str,
        options: LiveOptions,
        folder: Path,
        keep_s: float,
    ) -> None:
        self.id = stream_id
        self.folder = folder
        self._keeper = keeper
        self._encoding, self._rate_hz = options.encoding.value, options.sample_rate_hz
        self._detect = options.vad, options.threshold
        self._keep_s = keep_s
        width = options.bytes_per_s // options.sample_rate_hz
        self._backlog = Backlog(rate_change(options.sample_rate_hz), width, keep_s)
        self._forgotten = 0
        self._news = News()
        self._marks: deque[_Mark] = deque()
        self._cuts = LiveCuts(stream_id, folder)
        self._error: VoxfleetError | None = None
        #: a process has the stream; it owes an answer to sound
        self._held = False
        self._asked = False
        #: how far this process has heard, and any
        self._process_heard = 0
        self._furthest = 0
        self._deaths_here = 0
        self._told = asyncio.Event()

    # -- for the session --------------------------------------------------------------------

    @property
    def position(self) -> int:
        """All sound before is heard."""
        return self._news.position

    @property
    def has_news(self) -> bool:
        """Whether `heard` would answer at once."""
        return self._news.waiting

    @property
    def unheard_s(self) -> float:
        return self._backlog.unheard_s

    def feed(self, sound: bytes) -> None:
        """The next bytes, any number of them."""
        self._check()
        self._backlog.feed(sound)
        self._go_on()

    async def heard(self) -> Heard:
        """What is new since the last call, as soon as anything is."""
        while (news := self._news.take()) is None:
            self._check()
            self._told.clear()
            await self._told.wait()
        return news

    async def flush(self) -> bool:
        """All that was fed is heard, and told; what is fed later is a new stretch of speech.

        Whether the sound ended within a sample, which is dropped.
        """
        self._check()
        half = self._backlog.drop_half()
        flushed = asyncio.get_running_loop().create_future()
        self._marks.append(_Mark(self._backlog.fed, flushed=flushed))
        self._go_on()
        await flushed
        return half

    async def cut(self, start: int, end: int, quiet_from: int | None = None) -> SpooledSegment:
        """The sound of [start, end) in a file that the caller removes.

        With `quiet_from` it ends instead at the quietest point from there on. Raises ParameterError
        for sound that is not there any more, or not yet.
        """
        self._check()
        if not self._forgotten <= start < end <= self.position:
            raise ParameterError(
                f"no sound from {start} to {end} is there: only {self._forgotten} to"
                f" {self.position} is; ask for it before it is forgotten"
            )
        piece = self._cuts.order(start, end, quiet_from)
        self._ask_for_cuts()
        return await taken(piece)

    def forget(self, before: int) -> None:
        """Nothing before will be cut any more."""
        self._forgotten = max(self._forgotten, min(before, self.position))
        self._backlog.forget(self._forgotten)

    def restart_detection(self, vad: VadMode, threshold: float) -> None:
        """Listen anew from here on; speech that is going on ends here. Raises ParameterError."""
        self._check()
        self._keeper.check_detector(vad)
        self._marks.append(_Mark(self._backlog.fed, detect=(vad, threshold)))
        self._go_on()

    def close(self) -> None:
        """Leave nothing behind; to be called however the session ended."""
        self.fail(CancelledError("the stream was closed"))
        self._keeper.discard(self)

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    # -- for the host -----------------------------------------------------------------------

    @property
    def writing(self) -> bool:
        """A process may still write a file of it."""
        return self._held and self._cuts.asked

    @property
    def owes_a_word(self) -> bool:
        """The process that has it must be heard of."""
        return self.writing or (self._held and self._asked)

    def hold(self) -> None:
        """A process takes it: it is told what was kept, and everything later."""
        position = self._backlog.rewind()
        self._held, self._asked, self._process_heard = True, False, position
        vad, threshold = self._detect
        self._keeper.tell(
            LiveOpen(self.id, self._encoding, self._rate_hz, vad, threshold, self._keep_s, position)
        )
        self._go_on()
        self._ask_for_cuts()

    def let_go(self) -> None:
        """The process has died. What it died of again and again is not told to others."""
        self._deaths_here += self._asked
        self._held = self._asked = False
        self._cuts.ask_again()
        if self._deaths_here >= _MAX_DEATHS_HERE:
            fault = f"hearing this sound ended its process {self._deaths_here} times"
            self.fail(AudioError(f"{fault}; send it as pcm16 at 16000 Hz"))

    def release(self) -> None:
        """The process forgets it; what it still writes is waited for."""
        if self._held:
            self._keeper.tell(LiveClose(self.id))

    def hear(self, message: StreamMessage) -> None:
        """What the process that has it says."""
        match message:
            case LiveHeard():
                self._hear_sound(message)
            case LivePiece() | LivePieceFailed():
                self._cuts.settle(message)
            case LiveFailed(failure=failure):
                self._held = False
                self.fail(rebuild(failure.code, failure.message, failure.param))

    def fail(self, error: VoxfleetError) -> None:
        """The first error is the one that is told, to everybody who waits."""
        if self._error is None:
            self._error = error
            self._tell_all(error)

    def _tell_all(self, error: VoxfleetError) -> None:
        for mark in self._marks:
            if mark.flushed is not None and not mark.flushed.done():
                mark.flushed.set_exception(error)
        self._cuts.fail(error)
        self._told.set()

    # -- what goes to and fro ---------------------------------------------------------------

    def _go_on(self) -> None:
        """Send what is worth it, one message at a time: while it is not answered, more gathers."""
        if not self._held or self._asked or self._error is not None:
            return
        mark = self._marks[0] if self._marks else None
        if mark is not None and mark.detect and self._backlog.sent >= mark.after:
            self._change_detector(mark.detect)
        elif mark is not None or self._backlog.worth_sending:
            self._send_sound(mark)

    def _change_detector(self, choice: tuple[VadMode, float]) -> None:
        self._marks.popleft()
        self._detect = choice
        self._asked = True
        self._keeper.tell(LiveDetect(self.id, *choice))

    def _send_sound(self, mark: _Mark | None) -> None:
        """Up to where something else happens."""
        sound = self._backlog.take(mark.after if mark else None)
        finish = mark is not None and not mark.detect and self._backlog.sent >= mark.after
        if finish:
            self._backlog.begin_stretch()
        self._asked = True
        self._keeper.tell(LiveSound(self.id, sound, self._forgotten, finish))

    def _hear_sound(self, message: LiveHeard) -> None:
        self._asked = False
        self._backlog.heard = self._backlog.sent
        self._backlog.forget(self._forgotten)
        self._process_heard = message.position
        if message.position > self._furthest:
            self._furthest, self._deaths_here = message.position, 0
        self._tell(message)
        if message.finished:
            self._end_flush()
        self._go_on()
        self._ask_for_cuts()

    def _tell(self, message: LiveHeard) -> None:
        speech = message.speech
        if speech is None:
            return
        spans = tuple(SpeechSpan(start, end) for start, end in speech.spans)
        update = SpeechUpdate(spans, speech.open_since, speech.settled, speech.open_until)
        if self._news.add(Heard(message.position, update)):
            self._told.set()

    def _end_flush(self) -> None:
        flushed = self._marks.popleft().flushed
        if flushed is not None and not flushed.done():
            flushed.set_result(None)

    def _ask_for_cuts(self) -> None:
        """Those that the process has heard enough for."""
        if self._held:
            for order in self._cuts.due(self._process_heard):
                self._keeper.tell(order)
