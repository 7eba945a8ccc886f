"""Ears that hear what the test says, a pool that reads it as words, and a desk that has both."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.unit.hand_pool import HandPool
from voxfleet.audio.speech import SpeechSpan, SpeechUpdate
from voxfleet.core import (
    SAMPLE_RATE_HZ,
    Batch,
    Hypothesis,
    RecognitionOptions,
    SpooledSegment,
    VadMode,
)
from voxfleet.errors import ParameterError, VoxfleetError
from voxfleet.media.live_sound import Heard, LiveOptions
from voxfleet.pool_contract import BatchResult, PoolSnapshot, WorkerSnapshot, WorkerState
from voxfleet.scheduling.dispatcher import Dispatcher
from voxfleet.transcribe.live_session import LiveSession
from voxfleet.transcribe.served_model import ModelList, ServedModel
from voxfleet.transcribe.session_contract import SessionEvent
from voxfleet.transcribe.session_desk import SessionDesk, SessionLimits
from voxfleet.transcribe.text_stage import TextStage


def samples(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE_HZ)


def words(batch: Batch) -> BatchResult:
    """A word for each half second, by its place in the recording."""
    heard = [
        Hypothesis(" ".join(f"w{n}" for n in range(int(s.start_s * 2), int(s.end_s * 2))))
        for s in batch.segments
    ]
    return BatchResult(tuple(heard), 0.01)


class HandEars:
    """All sound that is fed is heard when the test says what is in it."""

    def __init__(self, folder: Path, options: LiveOptions) -> None:
        self.options = options
        self.unheard_s = 0.0
        self.forgotten = 0
        self.closed = False
        #: the sound has ended within a sample
        self.half = False
        self.restarts: list[tuple[VadMode, float]] = []
        self.fault: VoxfleetError | None = None
        self.files: list[Path] = []
        self._folder = folder
        self._news: deque[Heard] = deque()
        self._told = asyncio.Event()

    @property
    def has_news(self) -> bool:
        return bool(self._news)

    def tell(
        self, position_s: float, *spans: tuple[float, float], open_s: float | None = None
    ) -> None:
        """Everything before `position_s` is heard; `open_s` is where speech that goes on began."""
        position = samples(position_s)
        ended = tuple(SpeechSpan(samples(a), samples(b)) for a, b in spans)
        since = None if open_s is None else samples(open_s)
        until = None if open_s is None else position
        settled = position if since is None else since
        self._news.append(Heard(position, SpeechUpdate(ended, since, settled, until)))
        self._told.set()

    def restart_detection(self, vad: VadMode, threshold: float) -> None:
        self.restarts.append((vad, threshold))

    def feed(self, sound: bytes) -> None:
        self.unheard_s += len(sound) / self.options.bytes_per_s

    async def heard(self) -> Heard:
        while not self._news:
            if self.fault:
                raise self.fault
            self._told.clear()
            await self._told.wait()
        return self._news.popleft()

    def break_down(self, fault: VoxfleetError) -> None:
        self.fault = fault
        self._told.set()

    async def cut(self, start: int, end: int, quiet_from: int | None = None) -> SpooledSegment:
        path = self._folder / f"{len(self.files)}.pcm"
        path.touch()
        self.files.append(path)
        end = end if quiet_from is None else (quiet_from + end) // 2
        return SpooledSegment(path.name, path, start / SAMPLE_RATE_HZ, end - start)

    def forget(self, before: int) -> None:
        self.forgotten = before

    async def flush(self) -> bool:
        self.unheard_s = 0.0
        half, self.half = self.half, False
        return half

    def close(self) -> None:
        self.closed = True


class HandHearing:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.opened: list[HandEars] = []
        self.fault: VoxfleetError | None = None

    async def start(self) -> None: ...

    async def wake(self) -> None:
        if self.fault:
            raise self.fault

    def check(self, options: LiveOptions) -> None:
        if options.vad is VadMode.FSMN:
            raise ParameterError("vad=fsmn: there is no such model here", param="vad")

    async def open(self, options: LiveOptions) -> HandEars:
        ears = HandEars(self._folder, options)
        self.opened.append(ears)
        return ears

    async def stop(self) -> None: ...


class ReadyPool(HandPool):
    """Always has room, and says that it is ready."""

    def __init__(self) -> None:
        super().__init__(self._words)
        #: with what each segment was to be read
        self.asked: list[RecognitionOptions] = []

    def _words(self, batch: Batch) -> BatchResult:
        self.asked += [segment.options for segment in batch.segments]
        return words(batch)

    def snapshot(self) -> PoolSnapshot:
        worker = WorkerSnapshot("w1", "hand", "cpu", 1, WorkerState.READY, 0, False)
        return PoolSnapshot("hand", (worker,), 1000.0)


class SessionRig:
    """A desk over one model whose worker has room as often as asked."""

    def __init__(
        self, folder: Path, dispatcher: Dispatcher, pool: ReadyPool, limits: SessionLimits
    ) -> None:
        self.pool = pool
        self.hearing = HandHearing(folder)
        self.served = ServedModel(pool, dispatcher)
        self.desk = SessionDesk(ModelList([self.served]), self.hearing, TextStage(None), limits)

    @property
    def asked(self) -> list[RecognitionOptions]:
        return self.pool.asked

    @property
    def ears(self) -> HandEars:
        return self.hearing.opened[-1]


@asynccontextmanager
async def session_rig(
    folder: Path, limits: SessionLimits | None = None
) -> AsyncIterator[SessionRig]:
    pool = ReadyPool()
    for _ in range(1000):
        pool.offer()
    dispatcher = Dispatcher(pool)
    dispatcher.start()
    yield SessionRig(folder, dispatcher, pool, limits or SessionLimits())
    await dispatcher.stop()


async def spoken(session: LiveSession) -> list[SessionEvent]:
    """All that a session tells, when it has been told that no more sound comes."""
    await session.finish()
    return [event async for event in session.events()]


async def turns(count: int = 50) -> None:
    for _ in range(count):
        await asyncio.sleep(0)
