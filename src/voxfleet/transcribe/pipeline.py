"""One request from a file to its transcript: the main path, in verbs.

Decodes and cuts (media), recognises (scheduling), puts together (stitch). Knows no HTTP, no engine
and no process; whoever calls owns the file.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from voxfleet.core import (
    AudioInfo,
    AudioOptions,
    EngineInfo,
    Hypothesis,
    RecognitionOptions,
    SpooledSegment,
    TextOptions,
    Transcription,
    WorkClass,
)
from voxfleet.errors import DeadlineError, NotFoundError, RecognitionError
from voxfleet.media.media_file import MediaFile
from voxfleet.media.media_pool import MediaPool
from voxfleet.pool_contract import (
    PoolSnapshot,
    QueueSnapshot,
    TextProcessor,
    WorkerPool,
    WorkerState,
)
from voxfleet.scheduling.admission import Load, refuse_crowd, refuse_length
from voxfleet.scheduling.dispatcher import Dispatcher
from voxfleet.transcribe.language import known_language
from voxfleet.transcribe.stitch import stitch
from voxfleet.transcribe.text_stage import TextStage
from voxfleet.transcribe.unheard import unheard

_log = logging.getLogger(__name__)

#: segments of one file that may wait or be in work at once: enough to fill batches, and so few
#: that a long file fills neither the spool nor the queue
MAX_SEGMENTS_IN_FLIGHT = 32

Piece = tuple[SpooledSegment, Hypothesis]


class Listener(Protocol):
    """Somebody who watches a request being answered, such as a progress bar."""

    def opened(self, info: AudioInfo) -> None: ...
    def recognised(self, segment: SpooledSegment, hypothesis: Hypothesis) -> None: ...


@dataclass(frozen=True, slots=True)
class TranscribeRequest:
    """One file to turn into text. `name` is what its owner calls it, `path` where it lies."""

    path: Path
    name: str
    model: str | None = None
    work_class: WorkClass = WorkClass.INTERACTIVE
    audio: AudioOptions = field(default_factory=AudioOptions)
    recognition: RecognitionOptions = field(default_factory=RecognitionOptions)
    text: TextOptions = field(default_factory=TextOptions)
    timeout_s: float | None = None
    id: str = ""
    listener: Listener | None = None


class TranscriptionService:
    """Answers requests with one pool of workers; `max_waiting` requests may wait beside those.

    `texts` is None where nothing punctuates and nothing formats numbers.
    """

    def __init__(
        self,
        media: MediaPool,
        pool: WorkerPool,
        max_waiting: int,
        texts: TextProcessor | None = None,
    ) -> None:
        self._media = media
        self._pool = pool
        self._dispatcher = Dispatcher(pool)
        self._texts = texts
        self._text_stage = TextStage(texts)
        self._max_waiting = max_waiting
        self._requests = 0

    async def start(self) -> None:
        """Wait until requests can be answered; raises StartError, with nothing left running."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._media.start())
                tasks.create_task(self._pool.start())
                if self._texts:
                    tasks.create_task(self._texts.start())
        except ExceptionGroup as faults:
            await self.stop()
            raise _leading(faults) from None
        self._dispatcher.start()

    async def stop(self) -> None:
        """In order: nobody waits any more, no sound is decoded any more, the models end."""
        await self._dispatcher.stop()
        await self._media.stop()
        await self._pool.stop()
        if self._texts:
            await self._texts.stop()

    def models(self) -> tuple[EngineInfo, ...]:
        return (self._pool.info,)

    def engine_info(self, name: str | None = None) -> EngineInfo:
        """The model of that name, or the default; raises NotFoundError."""
        info = self._pool.info
        if name in (None, "", info.model, *info.aliases):
            return info
        raise NotFoundError(
            f"model {name!r} is not served here; this server has {info.model!r}", param="model"
        )

    def pools(self) -> tuple[PoolSnapshot, ...]:
        return (self._pool.snapshot(),)

    def text_pool(self) -> PoolSnapshot | None:
        """The workers of text engines; a request is answered without them, and says so."""
        return self._texts.snapshot() if self._texts else None

    def queue(self) -> QueueSnapshot:
        return QueueSnapshot(self._dispatcher.waiting, self._dispatcher.waiting_s, self._requests)

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Hold a place while a request is received and answered; raises OverloadError."""
        refusal = refuse_crowd(self._load(), self._max_waiting)
        if refusal:
            raise refusal
        self._requests += 1
        try:
            yield
        finally:
            self._requests -= 1

    def ready(self) -> bool:
        """Whether a request that comes now can be answered."""
        return not self.reason()

    def reason(self) -> str:
        """Why a request that comes now cannot be answered; empty when it can."""
        if self._dispatcher.refusal:
            return self._dispatcher.refusal
        if not self._media.ready:
            return self._media.refusal or "no decoding process is ready"
        snapshot = self._pool.snapshot()
        if not snapshot.ready:
            reasons = [worker.reason for worker in snapshot.workers if worker.reason]
            return reasons[0] if reasons else f"no worker of {snapshot.model} is ready"
        return ""

    async def transcribe(self, request: TranscribeRequest) -> Transcription:
        """The file's text; raises VoxfleetError. Cancelling the caller cancels all its work."""
        request = self._understood(request)
        begun_s = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(request.timeout_s):
                transcription = await self._answer(request)
        except TimeoutError:
            raise DeadlineError(
                f"{request.name}: not done within the {request.timeout_s:.0f} s a request may"
                " take; send a shorter file or send it as a job (POST /v1/jobs, where this"
                " server has them)"
            ) from None
        took_s = asyncio.get_running_loop().time() - begun_s
        _log.info(
            "request %s: %.1f s of sound in %.2f s", request.id, transcription.duration_s, took_s
        )
        return transcription

    def _understood(self, request: TranscribeRequest) -> TranscribeRequest:
        engine = self.engine_info(request.model)
        self._text_stage.refuse(request.text, engine)
        wanted = request.recognition
        if wanted.language is None:
            return request
        language = known_language("language", wanted.language, engine)
        return replace(request, recognition=replace(wanted, language=language))

    async def _answer(self, request: TranscribeRequest) -> Transcription:
        async with self._media.open(
            request.path, request.name, request.audio, request.work_class
        ) as file:
            info = await file.info()
            if info.duration_s is not None:
                self._refuse_length(request, info.duration_s, self._dispatcher.waiting_s)
            if request.listener:
                request.listener.opened(info)
            unknown: set[str] = set()
            pieces = await self._recognise(file, request, unknown)
        engine = self._pool.info
        # thousands of pieces for ten hours: too much for the event loop
        transcripts = await asyncio.to_thread(
            stitch,
            pieces,
            file.duration_s,
            request.recognition.language or _only(engine.languages),
            file.channels,
            request.audio.channel,
        )
        finished = await self._text_stage.finish(transcripts, request.text, engine)
        return Transcription(
            model=engine.model,
            duration_s=file.duration_s,
            transcripts=finished.transcripts,
            warnings=(
                *file.warnings,
                *unheard(request.recognition, engine, unknown),
                *finished.warnings,
            ),
            options=request.recognition,
        )

    async def _recognise(
        self, file: MediaFile, request: TranscribeRequest, unknown: set[str]
    ) -> list[Piece]:
        slots = asyncio.Semaphore(MAX_SEGMENTS_IN_FLIGHT)
        pieces: list[asyncio.Task[Piece]] = []
        try:
            async with asyncio.TaskGroup() as tasks:
                async for segment in file:
                    # a header may be wrong or silent; what waits now is largely its own
                    self._refuse_length(request, file.decoded_s, waiting_s=0.0)
                    await slots.acquire()
                    wanted = replace(segment, options=request.recognition)
                    task = tasks.create_task(self._piece(wanted, request, unknown))
                    task.add_done_callback(lambda _: slots.release())
                    pieces.append(task)
        except ExceptionGroup as faults:
            raise _leading(faults) from None
        return [piece.result() for piece in pieces]

    async def _piece(
        self, segment: SpooledSegment, request: TranscribeRequest, unknown: set[str]
    ) -> Piece:
        try:
            hypothesis = await self._dispatcher.recognise(segment, request.work_class)
        except RecognitionError as fault:
            raise type(fault)(f"{request.name}: {fault.message}") from fault
        finally:
            segment.path.unlink(missing_ok=True)
        if request.listener:
            request.listener.recognised(segment, hypothesis)
        if hypothesis.unknown_hotwords:
            # noted once: each of thousands of pieces may name a thousand
            unknown.update(hypothesis.unknown_hotwords)
            hypothesis = replace(hypothesis, unknown_hotwords=())
        return segment, hypothesis

    def _refuse_length(
        self, request: TranscribeRequest, duration_s: float, waiting_s: float
    ) -> None:
        if request.timeout_s is None:
            return
        load = replace(self._load(), waiting_s=waiting_s)
        refusal = refuse_length(request.name, duration_s, load, request.timeout_s)
        if refusal:
            raise refusal

    def _load(self) -> Load:
        snapshot = self._pool.snapshot()
        workers = max(1, sum(worker.state is WorkerState.READY for worker in snapshot.workers))
        rate = snapshot.rate or self._pool.info.speed * workers
        return Load(self._requests, workers, self._dispatcher.waiting_s, rate)


def _only(languages: tuple[str, ...]) -> str | None:
    return languages[0] if len(languages) == 1 else None


def _leading(faults: BaseExceptionGroup[BaseException]) -> BaseException:
    """The fault to report of several that came together: the first, as the rest follow from it."""
    first = faults.exceptions[0]
    return _leading(first) if isinstance(first, BaseExceptionGroup) else first
