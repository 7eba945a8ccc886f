"""One request from a file to its transcript: the main path, in verbs.

Decodes and cuts (media), recognises (scheduling), puts together (stitch). Knows no HTTP, no engine
and no process; whoever calls owns the file, and has chosen the model.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import ExitStack
from dataclasses import replace

from voxfleet.core import (
    EngineInfo,
    RequestProgress,
    SpooledSegment,
    Transcript,
    Transcription,
)
from voxfleet.errors import DeadlineError, RecognitionError
from voxfleet.media.media_file import MediaFile
from voxfleet.media.media_pool import MediaPool
from voxfleet.observe.request_watch import UNWATCHED, RequestWatch
from voxfleet.observe.stages import Stage, StageSum
from voxfleet.scheduling.admission import refuse_length
from voxfleet.transcribe.front_desk import FrontDesk
from voxfleet.transcribe.language import known_language
from voxfleet.transcribe.served_model import ServedModel
from voxfleet.transcribe.stitch import Piece, stitch
from voxfleet.transcribe.text_stage import FinishedText, TextStage
from voxfleet.transcribe.transcribe_request import TranscribeRequest
from voxfleet.transcribe.transcript_stream import (
    PieceLine,
    TranscriptStream,
    refuse_split,
)
from voxfleet.transcribe.unheard import unheard

#: segments of one file that may wait or be in work at once: enough to fill batches, and so few
#: that a long file fills neither the spool nor the queue
MAX_SEGMENTS_IN_FLIGHT = 32


class Pipeline:
    """The way of every request; whoever made the parts starts and stops them."""

    def __init__(
        self,
        media: MediaPool,
        text_stage: TextStage,
        desk: FrontDesk,
        watch: RequestWatch = UNWATCHED,
    ) -> None:
        self._media = media
        self._text_stage = text_stage
        self._desk = desk
        self._watch = watch
        self._journeys: dict[str, _Journey] = {}

    async def transcribe(self, request: TranscribeRequest, served: ServedModel) -> Transcription:
        """The file's text; raises VoxfleetError. Cancelling the caller cancels all its work."""
        request = self._understood(request, served)
        self._desk.refuse_at(served)
        begun_s = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(request.timeout_s) as limit:
                stream = self._stream(request, served)
                journey = _Journey(served, request, self._desk, limit.when() or math.inf, stream)
                with served.in_use():
                    transcription = await self._follow(journey)
        except TimeoutError:
            raise DeadlineError(
                f"{request.name}: not done within the {request.timeout_s:g} s a request may"
                " take; send a shorter file or send it as a job (POST /v1/jobs, where this"
                " server has them)"
            ) from None
        took_s = asyncio.get_running_loop().time() - begun_s
        self._desk.finished(transcription.duration_s)
        self._watch.answered(transcription, took_s)
        return transcription

    def progress(self, request_id: str) -> RequestProgress | None:
        """How far a request is; None when it is not being answered."""
        journey = self._journeys.get(request_id)
        return journey.progress() if journey else None

    def _understood(self, request: TranscribeRequest, served: ServedModel) -> TranscribeRequest:
        engine = served.info
        self._text_stage.refuse(request.text, engine)
        if request.text_listener:
            refuse_split(request.audio)
        wanted = request.recognition
        if wanted.language is not None:
            wanted = replace(wanted, language=known_language("language", wanted.language, engine))
        if engine.hotwords and not wanted.hotwords:
            wanted = replace(wanted, hotwords=served.hotwords)
        audio = request.audio
        if served.max_segment_s is not None:
            audio = replace(audio, max_segment_s=served.max_segment_s)
        return replace(request, recognition=wanted, audio=audio)

    def _stream(self, request: TranscribeRequest, served: ServedModel) -> TranscriptStream | None:
        if request.text_listener is None:
            return None
        live = self._text_stage.live(request.text, served.info)
        return TranscriptStream(live, _language(request, served.info), request.text_listener)

    async def _follow(self, journey: _Journey) -> Transcription:
        request = journey.request
        self._journeys[request.id] = journey
        try:
            async with self._media.open(
                request.path, request.name, request.audio, request.work_class
            ) as file:
                with self._watch.stages.summed(Stage.DECODE) as decode:
                    pieces = await journey.pieces(file, decode)
            return await self._finish(journey, file, pieces)
        finally:
            if self._journeys.get(request.id) is journey:
                del self._journeys[request.id]

    async def _finish(
        self, journey: _Journey, file: MediaFile, pieces: list[Piece]
    ) -> Transcription:
        request, engine = journey.request, journey.served.info
        how = (file.duration_s, _language(request, engine), file.channels, request.audio.channel)
        with self._watch.stages.timed(Stage.STITCH):
            if len(pieces) <= MAX_SEGMENTS_IN_FLIGHT:
                transcripts = stitch(pieces, *how)
            else:
                # thousands of pieces for ten hours: too much for the event loop
                transcripts = await asyncio.to_thread(stitch, pieces, *how)
        with self._watch.stages.timed(Stage.TEXT):
            finished = await self._finished(journey, transcripts)
        return Transcription(
            model=engine.model,
            duration_s=file.duration_s,
            transcripts=finished.transcripts,
            warnings=(
                *file.warnings,
                *unheard(request.recognition, engine, journey.unknown),
                *finished.warnings,
            ),
            options=request.recognition,
        )

    async def _finished(
        self, journey: _Journey, transcripts: tuple[Transcript, ...]
    ) -> FinishedText:
        stream = journey.stream
        if stream is None:
            wanted = journey.request.text
            return await self._text_stage.finish(transcripts, wanted, journey.served.info)
        # what has been told is the text; its segments stay as they were recognised
        (transcript,) = transcripts
        return FinishedText((replace(transcript, text=stream.text),), stream.warnings)


class _Journey:
    """The segments of one request on their way through the queue; `deadline_s` by the loop."""

    def __init__(
        self,
        served: ServedModel,
        request: TranscribeRequest,
        desk: FrontDesk,
        deadline_s: float,
        stream: TranscriptStream | None,
    ) -> None:
        self.served = served
        self.request = request
        self.stream = stream
        #: hotwords that the model has no tokens for
        self.unknown: set[str] = set()
        self._desk = desk
        self._deadline_s = deadline_s
        self._in_queue: set[str] = set()
        self._answered = 0
        self._decoded_s = 0.0

    def progress(self) -> RequestProgress:
        places = [self.served.dispatcher.place(segment) for segment in self._in_queue]
        waiting = [place for place in places if place is not None]
        computing = len(waiting) < len(places)
        state = "queued" if waiting and not computing and not self._answered else "running"
        return RequestProgress(state, min(waiting, default=None), self._decoded_s)

    async def pieces(self, file: MediaFile, decode: StageSum) -> list[Piece]:
        """All that was heard, in the file's order."""
        info = await decode.during(file.info())
        if info.duration_s is not None:
            self._refuse_length(info.duration_s, self.served.dispatcher.waiting_s)
        if self.request.listener:
            self.request.listener.opened(info)
        slots = asyncio.Semaphore(MAX_SEGMENTS_IN_FLIGHT)
        pieces: list[asyncio.Task[Piece]] = []
        line: PieceLine = asyncio.Queue()
        try:
            with ExitStack() as arrived:
                async with asyncio.TaskGroup() as tasks:
                    if self.stream:
                        tasks.create_task(self.stream.follow(line))
                    async for segment in decode.each(file):
                        if not pieces:
                            arrived.enter_context(self._desk.sound_arrives())
                        self._decoded_s = file.decoded_s
                        if file.decoded_s > (info.duration_s or 0.0):
                            # the header was wrong or silent; what waits now is largely its own
                            self._refuse_length(file.decoded_s, waiting_s=0.0)
                        await slots.acquire()
                        task = tasks.create_task(self._piece(segment))
                        task.add_done_callback(lambda _: slots.release())
                        pieces.append(task)
                        line.put_nowait(task)
                    line.put_nowait(None)
        except ExceptionGroup as faults:
            raise leading(faults) from None
        return [piece.result() for piece in pieces]

    async def _piece(self, segment: SpooledSegment) -> Piece:
        request = self.request
        wanted = replace(segment, options=request.recognition)
        self._in_queue.add(segment.id)
        try:
            hypothesis = await self.served.dispatcher.recognise(
                wanted, request.work_class, request.client, self._deadline_s
            )
        except RecognitionError as fault:
            raise type(fault)(f"{request.name}: {fault.message}") from fault
        finally:
            self._in_queue.discard(segment.id)
            segment.path.unlink(missing_ok=True)
        self._answered += 1
        if request.listener:
            request.listener.recognised(segment, hypothesis)
        if hypothesis.unknown_hotwords:
            # noted once: each of thousands of pieces may name a thousand
            self.unknown.update(hypothesis.unknown_hotwords)
            hypothesis = replace(hypothesis, unknown_hotwords=())
        return segment, hypothesis

    def _refuse_length(self, duration_s: float, waiting_s: float) -> None:
        request = self.request
        if request.timeout_s is None:
            return
        load = replace(self._desk.load(self.served), waiting_s=waiting_s)
        refusal = refuse_length(request.name, duration_s, load, request.timeout_s)
        if refusal:
            raise refusal


def _language(request: TranscribeRequest, engine: EngineInfo) -> str | None:
    """What is spoken where the model itself does not tell."""
    return request.recognition.language or _only(engine.languages)


def _only(languages: tuple[str, ...]) -> str | None:
    return languages[0] if len(languages) == 1 else None


def leading(faults: BaseExceptionGroup[BaseException]) -> BaseException:
    """The fault to report of several that came together: the first, as the rest follow from it."""
    first = faults.exceptions[0]
    return leading(first) if isinstance(first, BaseExceptionGroup) else first
