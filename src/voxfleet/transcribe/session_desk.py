"""Opens realtime sessions: as many as there may be, each for as long as it may last.

Shares out what reading unfinished utterances may cost. Knows no protocol and no sound.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import count
from typing import Protocol

from voxfleet.errors import NotReadyError, OverloadError
from voxfleet.media.live_sound import LiveOptions
from voxfleet.observe.session_watch import UNWATCHED_SESSIONS, SessionOutcome, SessionWatch
from voxfleet.transcribe.language import known_language
from voxfleet.transcribe.live_session import LiveSession
from voxfleet.transcribe.served_model import ModelList, ServedModel
from voxfleet.transcribe.session_contract import SessionOptions
from voxfleet.transcribe.session_machine import SessionMachine
from voxfleet.transcribe.session_parts import Ears, SessionParts
from voxfleet.transcribe.session_steps import MachineLimits
from voxfleet.transcribe.text_stage import TextStage

_RETRY_S = 30.0
#: who had something read so lately is speaking
_SPEAKING_S = 2.0
#: each session asks for it ten times a second
_COST_KNOWN_S = 0.25


class Hearing(Protocol):
    """Whoever has ears for a session, see `media.live_host`."""

    async def start(self) -> None: ...
    async def wake(self) -> None:
        """Have what hears running; raises NotReadyError where it cannot be had."""
        ...

    def check(self, options: LiveOptions) -> None:
        """Raises ParameterError for sound that `open` would not take."""
        ...

    async def open(self, options: LiveOptions) -> Ears: ...

    async def stop(self) -> None: ...


@dataclass(frozen=True, slots=True)
class SessionLimits:
    max_sessions: int = 200
    max_session_s: float = 14_400.0
    idle_timeout_s: float = 600.0
    max_ahead_s: float = 30.0
    window_s: float = 8.0
    reread_share: float = 0.5


class SessionDesk:
    def __init__(
        self,
        models: ModelList,
        hearing: Hearing,
        text_stage: TextStage,
        limits: SessionLimits | None = None,
        watch: SessionWatch = UNWATCHED_SESSIONS,
    ) -> None:
        self._models = models
        self._hearing = hearing
        self._text_stage = text_stage
        self._limits = limits or SessionLimits()
        self._watch = watch
        self._sessions: dict[LiveSession, ServedModel] = {}
        self._numbers = count(1)
        #: of those that are open, and those that are being opened
        self._places = 0
        self._left = asyncio.Event()
        #: by model: when it was computed, and what came out
        self._costs: dict[ServedModel, tuple[float, float]] = {}
        self._closed = ""

    @asynccontextmanager
    async def open(self, options: SessionOptions) -> AsyncIterator[LiveSession]:
        """A session, ended with the block; raises OverloadError, NotReadyError, NotFoundError,
        ParameterError."""
        with self._place():
            async with self._opened(options) as session:
                yield session

    @asynccontextmanager
    async def _opened(self, options: SessionOptions) -> AsyncIterator[LiveSession]:
        served = self._models.find(options.model)
        if reason := served.reason():
            raise NotReadyError(reason, retry_after_s=_RETRY_S)
        options = self._understood(options, served)
        await self._hearing.wake()
        with served.in_use(), served.dispatcher.live_session():
            session = self._made(options, served)
            async with self._at_work(session, served):
                yield session

    async def end_all(self, reason: str, limit_s: float) -> None:
        """Take no more, and give those there are so long to be told what they said."""
        self._closed = reason
        sessions = list(self._sessions)
        ends = (session.end(reason) for session in sessions)
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await asyncio.gather(*ends, return_exceptions=True)
                await self._none_left()

    async def _none_left(self) -> None:
        while self._places:
            self._left.clear()
            await self._left.wait()

    async def start(self) -> None:
        await self._hearing.start()

    async def stop(self) -> None:
        """To be called when nobody is served any more."""
        await self._hearing.stop()

    @contextmanager
    def _place(self) -> Iterator[None]:
        self._refuse_crowd()
        self._places += 1
        try:
            yield
        finally:
            self._places -= 1
            self._left.set()

    def _refuse_crowd(self) -> None:
        if self._closed:
            raise NotReadyError(f"no session is opened: {self._closed}", retry_after_s=_RETRY_S)
        most = self._limits.max_sessions
        if self._places >= most:
            self._watch.meter.session_refused()
            raise OverloadError(
                f"{self._places} realtime sessions are open and realtime.max_sessions ="
                f" {most}; try again later",
                retry_after_s=_RETRY_S,
            )

    def _understood(self, options: SessionOptions, served: ServedModel) -> SessionOptions:
        self._hearing.check(options.sound)
        engine, wanted = served.info, options.recognition
        self._text_stage.refuse(options.text, engine)
        if wanted.language is not None:
            wanted = replace(wanted, language=known_language("language", wanted.language, engine))
        if engine.hotwords and not wanted.hotwords:
            wanted = replace(wanted, hotwords=served.hotwords)
        return replace(options, recognition=wanted)

    def _made(self, options: SessionOptions, served: ServedModel) -> LiveSession:
        # each speaker has a fair share, also of those whom one client sends
        client = f"{options.client}#{next(self._numbers)}"
        parts = SessionParts(
            served,
            self._hearing.open,
            self._text_stage,
            lambda wanted: self._understood(wanted, served),
            lambda: self._cost_factor(served),
            self._watch,
            self._limits.max_ahead_s,
        )
        machine = SessionMachine(options.turns, self._machine_limits(served))
        return LiveSession(replace(options, client=client), machine, parts)

    def _machine_limits(self, served: ServedModel) -> MachineLimits:
        longest_s = served.max_segment_s or self._limits.window_s
        return MachineLimits(window_s=min(self._limits.window_s, longest_s))

    # -- how long -------------------------------------------------------------------------------

    @asynccontextmanager
    async def _at_work(self, session: LiveSession, served: ServedModel) -> AsyncIterator[None]:
        self._sessions[session] = served
        self._watch.meter.session_opened()
        outcome = SessionOutcome.FAILED
        tasks = [asyncio.create_task(session.work()), asyncio.create_task(self._guard(session))]
        try:
            yield
            outcome = SessionOutcome.LIMITS if tasks[1].done() else SessionOutcome.ENDED
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            del self._sessions[session]
            self._watch.meter.session_ended(outcome)

    async def _guard(self, session: LiveSession) -> None:
        """End it when it has lasted too long, or its client has sent nothing for too long."""
        limits, loop = self._limits, asyncio.get_running_loop()
        last_s = loop.time() + limits.max_session_s
        while True:
            idle_s = session.last_sound_s + limits.idle_timeout_s
            left_s = min(idle_s, last_s) - loop.time()
            if left_s <= 0:
                break
            await asyncio.sleep(left_s)
        if loop.time() >= last_s:
            await session.end(f"a session may last {limits.max_session_s:g} s; open another one")
        else:
            await session.end(f"no sound came for {limits.idle_timeout_s:g} s")

    # -- how much -------------------------------------------------------------------------------

    def _cost_factor(self, served: ServedModel) -> float:
        now_s = asyncio.get_running_loop().time()
        known_s, factor = self._costs.get(served, (-math.inf, 0.0))
        if now_s - known_s < _COST_KNOWN_S:
            return factor
        speaking = sum(
            other is served and now_s - session.last_reading_s < _SPEAKING_S
            for session, other in self._sessions.items()
        )
        rate = served.load(0, 0.0).rate
        factor = max(1, speaking) / (self._limits.reread_share * rate)
        self._costs[served] = (now_s, factor)
        return factor
