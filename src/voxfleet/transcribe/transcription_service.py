"""The service behind every entrance: started and stopped in order, asked for texts and states.

Knows the parts and their order; the way of one request is `pipeline`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Protocol

from voxfleet.core import EngineInfo, RequestProgress, Transcription
from voxfleet.errors import NotReadyError
from voxfleet.media.media_pool import MediaPool
from voxfleet.observe.request_watch import UNWATCHED, RequestWatch
from voxfleet.pool_contract import (
    FleetControl,
    PoolSnapshot,
    QueueSnapshot,
    ScaleDecision,
    TextProcessor,
)
from voxfleet.transcribe.front_desk import FrontDesk, QueueLimits
from voxfleet.transcribe.hotword_check import HotwordCheck, HotwordChecker
from voxfleet.transcribe.pipeline import Pipeline, leading
from voxfleet.transcribe.served_model import ModelList
from voxfleet.transcribe.session_contract import RealtimeSession, SessionOptions
from voxfleet.transcribe.text_stage import TextStage
from voxfleet.transcribe.transcribe_request import TranscribeRequest


class Sessions(Protocol):
    """Realtime sessions, see `session_desk`."""

    def open(self, options: SessionOptions) -> AbstractAsyncContextManager[RealtimeSession]: ...
    async def end_all(self, reason: str, limit_s: float) -> None: ...
    async def start(self) -> None: ...
    async def stop(self) -> None: ...


class TranscriptionService:
    """`models` has the default first; `texts` is None where nothing punctuates and nothing formats
    numbers; `fleet` is None where nobody can operate the workers, `sessions` where nobody speaks.
    """

    def __init__(
        self,
        media: MediaPool,
        models: ModelList,
        limits: QueueLimits | None = None,
        texts: TextProcessor | None = None,
        fleet: FleetControl | None = None,
        watch: RequestWatch = UNWATCHED,
        sessions: Sessions | None = None,
    ) -> None:
        self._media = media
        self._models = models
        self._texts = texts
        self._fleet = fleet
        self._sessions = sessions
        self._desk = FrontDesk(self._models, limits or QueueLimits())
        self._hotwords = HotwordChecker(models, media.spool_dir)
        self._pipeline = Pipeline(media, TextStage(texts), self._desk, watch)

    async def start(self) -> None:
        """Wait until requests can be answered; raises StartError, with nothing left running."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._media.start())
                for served in self._models:
                    tasks.create_task(served.pool.start())
                if self._texts:
                    tasks.create_task(self._texts.start())
                if self._sessions:
                    tasks.create_task(self._sessions.start())
        except ExceptionGroup as faults:
            await self.stop()
            raise leading(faults) from None
        for served in self._models:
            served.dispatcher.start()
        if self._fleet:
            self._fleet.start()

    async def stop(self) -> None:
        """In order: no worker comes or goes any more, nobody speaks or waits any more, no sound is
        decoded any more, the models end.
        """
        if self._fleet:
            await self._fleet.stop()
        if self._sessions:
            await self._sessions.stop()
        # also those that a reload was just taking away
        models = [*self._models, *self._models.leaving]
        await asyncio.gather(*(served.dispatcher.stop() for served in models))
        await self._media.stop()
        await asyncio.gather(*(served.pool.stop() for served in models))
        if self._texts:
            await self._texts.stop()

    @property
    def fleet(self) -> FleetControl:
        """What operators may do with the workers; raises NotReadyError where nobody may."""
        if self._fleet is None:
            raise NotReadyError("the workers of this service cannot be operated")
        return self._fleet

    def decisions(self) -> Sequence[ScaleDecision]:
        """What was decided lately about the number of workers, the oldest first."""
        return self._fleet.decisions if self._fleet else ()

    def models(self) -> tuple[EngineInfo, ...]:
        return self._models.infos()

    def engine_info(self, name: str | None = None) -> EngineInfo:
        """The model of that name, or the default; raises NotFoundError."""
        return self._models.find(name).info

    def pools(self) -> tuple[PoolSnapshot, ...]:
        """Of those that leave, too, as long as their workers live."""
        models = (*self._models, *self._models.leaving)
        return tuple(served.pool.snapshot() for served in models)

    def text_pool(self) -> PoolSnapshot | None:
        """The workers of text engines; a request is answered without them, and says so."""
        return self._texts.snapshot() if self._texts else None

    # -- requests -------------------------------------------------------------------------------

    def queue(self) -> QueueSnapshot:
        """What waits for all models together."""
        waiting = sum(served.dispatcher.waiting for served in self._models)
        waiting_s = sum(served.dispatcher.waiting_s for served in self._models)
        return QueueSnapshot(waiting, waiting_s, self._desk.requests)

    def queues(self) -> Mapping[str, QueueSnapshot]:
        """The same by model."""
        requests = self._desk.requests
        return {
            served.pool.snapshot().model: QueueSnapshot(
                served.dispatcher.waiting,
                served.dispatcher.waiting_s,
                requests,
                served.dispatcher.retries,
            )
            for served in (*self._models, *self._models.leaving)
        }

    def progress(self, request_id: str) -> RequestProgress | None:
        """How far a request is; None when it is not being answered."""
        return self._pipeline.progress(request_id)

    def admitted(self) -> AbstractContextManager[None]:
        """Hold a place while a request is received and answered; raises OverloadError."""
        return self._desk.admitted()

    async def unknown_hotwords(self, words: tuple[str, ...]) -> HotwordCheck:
        """Which of them each model has no tokens for; never waits long."""
        return await self._hotwords.check(words)

    async def transcribe(self, request: TranscribeRequest) -> Transcription:
        """The file's text; raises VoxfleetError. Cancelling the caller cancels all its work."""
        return await self._pipeline.transcribe(request, self._models.find(request.model))

    def open_session(self, options: SessionOptions) -> AbstractAsyncContextManager[RealtimeSession]:
        """Entering it raises OverloadError, NotReadyError, NotFoundError or ParameterError."""
        if self._sessions is None:
            raise NotReadyError("this service takes no realtime sessions")
        return self._sessions.open(options)

    async def end_sessions(self, limit_s: float) -> None:
        """The server stops: who speaks is told what was said, for so long at most."""
        if self._sessions:
            await self._sessions.end_all("the server is stopping", limit_s)

    def ready(self) -> bool:
        """Whether a request that comes now can be answered."""
        return not self.reason()

    def reason(self) -> str:
        """Why a request that comes now cannot be answered; empty when it can by any model."""
        if not self._media.ready:
            return self._media.refusal or "no decoding process is ready"
        reasons = [served.reason() for served in self._models]
        return "" if not all(reasons) else next(iter(reasons), "no model is served")
