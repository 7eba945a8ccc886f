"""One realtime session at work: sound in, readings asked, what the machine decides told.

Carries out the steps of `session_machine`; decides nothing of turns or texts. Knows no protocol.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace

from voxfleet.core import WorkClass
from voxfleet.errors import AudioError, ParameterError, VoxfleetError
from voxfleet.media.live_sound import LiveOptions
from voxfleet.transcribe.session_contract import (
    Committed,
    Completed,
    Ending,
    ItemFailed,
    SessionEvent,
    SessionOptions,
)
from voxfleet.transcribe.session_machine import SessionMachine
from voxfleet.transcribe.session_parts import Ears, SessionParts
from voxfleet.transcribe.session_steps import Drop, Forget, Read, Reading, Step, Tell
from voxfleet.transcribe.untold_items import UntoldItems
from voxfleet.transcribe.utterance_text import finished

_log = logging.getLogger(__name__)
#: an unfinished utterance is read again soon anyway: a reading that waits so long is given up
_PARTIAL_LIMIT_S = 5.0
#: final readings of one session that may be on their way; its client is read no further meanwhile
_MOST_FINALS = 16


class LiveSession:
    """A `RealtimeSession`; whoever opens it runs `work` until it returns."""

    def __init__(
        self, options: SessionOptions, machine: SessionMachine, parts: SessionParts
    ) -> None:
        self._options = options
        self._machine = machine
        self._parts = parts
        self._loop = asyncio.get_running_loop()
        #: none before there is any sound: until then its format may change
        self._ears: Ears | None = None
        self._listening: asyncio.Task[None] | None = None
        self._told: asyncio.Queue[SessionEvent | None] = asyncio.Queue()
        self._readings: dict[int, asyncio.Task[None]] = {}
        self._finals: set[int] = set()
        self._untold = UntoldItems()
        #: sound was heard, or a reading has ended
        self._moved = asyncio.Event()
        self._over = asyncio.Event()
        self._finishing = False
        #: by the loop's clock
        self.last_sound_s = self.last_reading_s = self._loop.time()

    @property
    def options(self) -> SessionOptions:
        return self._options

    @property
    def model(self) -> str:
        return self._parts.served.info.model

    # -- for protocols --------------------------------------------------------------------------

    def change(self, options: SessionOptions) -> None:
        options = self._parts.understood(options)
        if self._ears:
            self._change_sound(self._ears, options.sound)
        self._machine.change(options.turns)
        self._options = options

    def _change_sound(self, ears: Ears, sound: LiveOptions) -> None:
        before = self._options.sound
        if (sound.encoding, sound.sample_rate_hz) != (before.encoding, before.sample_rate_hz):
            raise ParameterError(
                "the format of the sound cannot change once there was sound; open a new session"
            )
        if (sound.vad, sound.threshold) != (before.vad, before.threshold):
            ears.restart_detection(sound.vad, sound.threshold)

    async def feed(self, sound: bytes) -> None:
        self.last_sound_s = self._loop.time()
        ears = self._ears or await self._open_ears()
        piece_bytes = self._options.sound.bytes_per_s
        for at in range(0, len(sound), piece_bytes):
            await self._until(lambda: self._keeps_up(ears))
            if self._finishing or self.over:
                return
            ears.feed(sound[at : at + piece_bytes])

    def _keeps_up(self, ears: Ears) -> bool:
        return ears.unheard_s <= self._parts.max_ahead_s and len(self._finals) < _MOST_FINALS

    async def _open_ears(self) -> Ears:
        self._ears = ears = await self._parts.open_ears(self._options.sound)
        self._listening = asyncio.create_task(self._listen(ears), name="realtime session")
        self._listening.add_done_callback(self._notice)
        return ears

    async def commit(self) -> None:
        half = await self._hear_all()
        self._carry_out(self._machine.commit(self._loop.time()))
        if half:
            raise AudioError(
                "the sound ended within a sample, whose only byte was dropped; send whole samples"
            )

    async def clear(self) -> None:
        await self._hear_all()
        self._carry_out(self._machine.clear(self._loop.time()))

    async def finish(self) -> None:
        if not self._finishing:
            self._finishing = True
            await self._hear_all()
            self._carry_out(self._machine.finish(self._loop.time()))

    async def events(self) -> AsyncIterator[SessionEvent]:
        while (event := await self._told.get()) is not None:
            yield await self._finished(event) if isinstance(event, Completed) else event
            if isinstance(event, Completed | ItemFailed):
                self._untold.told(event.item)

    # -- for whoever opened it --------------------------------------------------------------------

    @property
    def items_kept(self) -> int:
        """Utterances of which something is remembered as they are not told yet."""
        return len(self._untold)

    @property
    def over(self) -> bool:
        return self._over.is_set()

    async def end(self, reason: str) -> None:
        """By the server: what was heard is still finished and told."""
        if not self._finishing:
            self._told.put_nowait(Ending(reason))
            await self.finish()

    async def work(self) -> None:
        """Until everything is told, or cancelled: then nothing of it is left."""
        try:
            await self._over.wait()
        finally:
            self._give_up("")
            tasks = [*self._readings.values(), *filter(None, [self._listening])]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._ears:
                self._ears.close()
            # each holds how it ended, and so the frames that hold this session: a cycle
            self._listening = None
            self._readings.clear()

    # -- hearing --------------------------------------------------------------------------------

    async def _listen(self, ears: Ears) -> None:
        while True:
            heard = await ears.heard()
            self._machine.cost_factor = self._parts.cost_factor()
            self._carry_out(self._machine.heard(heard, self._loop.time()))

    async def _hear_all(self) -> bool:
        """Whether the sound ended within a sample."""
        ears = self._ears
        if ears is None:
            return False
        half = await ears.flush()
        await self._until(lambda: not ears.has_news)
        return half

    async def _until(self, reached: Callable[[], bool]) -> None:
        while not reached() and not self.over:
            self._moved.clear()
            await self._moved.wait()

    # -- doing ----------------------------------------------------------------------------------

    def _carry_out(self, steps: Sequence[Step]) -> None:
        for step in steps:
            match step:
                case Tell(event):
                    self._tell(event)
                case Read() if self._ears:
                    self._begin(step, self._ears)
                case Drop(reading_id):
                    self._drop(reading_id)
                case Forget(before) if self._ears:
                    self._ears.forget(before)
        if self._machine.done:
            self._give_up("")
        self._moved.set()

    def _tell(self, event: SessionEvent) -> None:
        if isinstance(event, Committed):
            self._untold.committed(event.item, self._loop.time())
        self._told.put_nowait(event)

    def _begin(self, step: Read, ears: Ears) -> None:
        self.last_reading_s = self._loop.time()
        self._parts.watch.meter.reading_asked(final=step.final)
        if step.final:
            self._finals.add(step.id)
        task = asyncio.create_task(self._read(step, ears), name="realtime reading")
        self._readings[step.id] = task
        self._untold.asked(step.item, self._options)
        task.add_done_callback(self._notice)

    def _drop(self, reading_id: int) -> None:
        self._finals.discard(reading_id)
        if task := self._readings.pop(reading_id, None):
            task.cancel()

    async def _read(self, step: Read, ears: Ears) -> None:
        try:
            reading = await self._reading(step, ears)
        except VoxfleetError as fault:
            self._forget(step)
            now_s = self._loop.time()
            self._carry_out(self._machine.read_failed(step.id, fault.code, fault.message, now_s))
        else:
            self._forget(step)
            self._carry_out(self._machine.read(reading, self._loop.time()))

    def _forget(self, step: Read) -> None:
        self._readings.pop(step.id, None)
        self._finals.discard(step.id)

    async def _reading(self, step: Read, ears: Ears) -> Reading:
        segment = await ears.cut(step.start, step.end, step.quiet_from)
        end = step.start + segment.sample_count
        if step.quiet_from is not None:
            # what follows need not wait for the text
            self._carry_out(self._machine.cut(step.id, end, self._loop.time()))
        limit_s = self._parts.final_limit_s if step.final else _PARTIAL_LIMIT_S
        options = self._untold.options(step.item) or self._options
        try:
            hypothesis = await self._parts.served.dispatcher.recognise(
                replace(segment, options=options.recognition),
                WorkClass.REALTIME,
                options.client,
                self._loop.time() + limit_s,
            )
        finally:
            segment.path.unlink(missing_ok=True)
        return Reading(step.id, end, hypothesis)

    # -- texts ----------------------------------------------------------------------------------

    async def _finished(self, told: Completed) -> Completed:
        parts, engine = self._parts, self._parts.served.info
        options = self._untold.options(told.item) or self._options
        told = await finished(told, options, engine, parts.text_stage)
        took_s = self._untold.waited_s(told.item, self._loop.time())
        parts.watch.told(told.text, engine.model, told.end_s - told.start_s, took_s)
        return told

    # -- ending ---------------------------------------------------------------------------------

    def _notice(self, task: asyncio.Task[None]) -> None:
        """A part that failed ends the session, and tells its client so."""
        fault = None if task.cancelled() else task.exception()
        if fault is None:
            return
        reason = "the server failed; its log says why"
        if isinstance(fault, VoxfleetError):
            reason = fault.message
        else:
            _log.error("a realtime session failed in a way nobody foresaw", exc_info=fault)
        if task is self._listening:
            self._hear_no_more(reason)
        else:
            self._give_up(reason)

    def _hear_no_more(self, reason: str) -> None:
        """What lies with a worker already is still told; what cannot be cut any more has failed."""
        if self.over:
            return
        if not self._finishing:
            self._finishing = True
            self._told.put_nowait(Ending(reason, broken=True))
        self._carry_out(self._machine.finish(self._loop.time()))

    def _give_up(self, reason: str) -> None:
        """Nothing more is told but `reason`, if there is one."""
        if not self.over:
            if reason:
                self._told.put_nowait(Ending(reason, broken=True))
            self._told.put_nowait(None)
            self._over.set()
            self._moved.set()
