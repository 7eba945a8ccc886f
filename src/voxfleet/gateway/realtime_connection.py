"""One client of the realtime protocol: what it sends is done, what its session tells is sent on.

Knows a session and a websocket that is open; who may open one is not asked here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from starlette.types import Message
from starlette.websockets import WebSocket

from voxfleet.core import EngineInfo, VadMode
from voxfleet.errors import EmptyAudioError, EngineFaultError, ParameterError, VoxfleetError
from voxfleet.gateway.http_errors import error_type, shown
from voxfleet.gateway.realtime_dialects import Teller
from voxfleet.gateway.realtime_events import (
    Append,
    Clear,
    ClientEvent,
    Commit,
    EventRefused,
    SessionUpdate,
    TranscriptionSessionUpdate,
    event_id_of,
    read_event,
)
from voxfleet.gateway.realtime_options import session_options
from voxfleet.gateway.realtime_outbox import Outbox, UnreadEvents
from voxfleet.gateway.realtime_settings import RealtimeSettings, changed
from voxfleet.gateway.websocket_refusal import close_reason
from voxfleet.transcribe.hotword_text import HotwordLists
from voxfleet.transcribe.session_contract import Ending, RealtimeSession

_log = logging.getLogger(__name__)

MAX_FAULTS_IN_A_ROW = 20
_NORMAL, _GOING_AWAY, _POLICY, _BROKEN, _RESTARTS = 1000, 1001, 1008, 1011, 1012
#: how long the last events may take to a client that reads slowly
_LAST_WORDS_S = 5.0
#: messages that are there already are done in a row: then it is others' turn
_MESSAGES_IN_A_ROW = 32
_LARGE_CHARS = 262_144
_INTERNAL = "an internal fault of the server; its log has the details under this session's id"


@dataclass(frozen=True, slots=True)
class Close:
    """How a connection ends; the client itself has ended one without a `Close`."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Setting:
    """What a session is set up with; `find_model` raises VoxfleetError for an unknown name."""

    settings: RealtimeSettings
    info: EngineInfo
    lists: HotwordLists
    client: str
    default_vad: VadMode
    expires_at: int
    find_model: Callable[[str | None], EngineInfo]
    #: of all sessions: who reads a large message
    large_turns: asyncio.Lock


class RealtimeConnection:
    def __init__(
        self, socket: WebSocket, session: RealtimeSession, setting: Setting, teller: Teller
    ) -> None:
        self._socket = socket
        self._session = session
        self._setting = setting
        self._settings = setting.settings
        self._teller = teller
        self._outbox = Outbox(socket.send_text)
        self._dialect_known = teller.beta
        self._had_sound = False
        self._ending: Ending | None = None

    async def run(self) -> None:
        """Until either side ends it; closes the websocket, not the session."""
        self._say_session("created")
        reading = asyncio.create_task(self._read(), name="realtime reader")
        telling = asyncio.create_task(self._tell(), name="realtime teller")
        writing = asyncio.create_task(self._outbox.run(), name="realtime writer")
        tasks = (reading, telling, writing)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            close = self._close_of(reading, telling, writing)
            if close is not None:
                await self._end(close, writing)
        except asyncio.CancelledError:
            # the server stops and has no more time: nothing else is left for the task to do
            close = Close(_RESTARTS, "the server is stopping")
            await self._end(close, writing)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _close_of(
        self,
        reading: asyncio.Task[Close | None],
        telling: asyncio.Task[None],
        writing: asyncio.Task[None],
    ) -> Close | None:
        """Whichever of the three has ended, and what that means."""
        for task in (reading, telling):
            if task.done() and (fault := task.exception()):
                return self._broken(fault)
        if reading.done():
            return reading.result()
        if writing.done():
            # nobody is there to send to
            return None
        if self._ending:
            code = _BROKEN if self._ending.broken else _GOING_AWAY
            return Close(code, self._ending.reason)
        return Close(_NORMAL, "the session has ended")

    def _broken(self, fault: BaseException) -> Close:
        if isinstance(fault, UnreadEvents):
            return Close(_POLICY, "the client does not read the events it is sent")
        _log.error("session %s: %s", self._teller.session_id, shown(str(fault)), exc_info=fault)
        return Close(_BROKEN, _INTERNAL)

    async def _end(self, close: Close, writing: asyncio.Task[None]) -> None:
        """The last events, then the close; a client that takes neither is left."""
        self._outbox.end()
        try:
            async with asyncio.timeout(_LAST_WORDS_S):
                await asyncio.wait({writing})
                await self._socket.close(close.code, close_reason(close.reason))
        except TimeoutError:
            _log.debug("session %s: the client reads nothing", self._teller.session_id)
        except (OSError, RuntimeError):
            _log.debug("session %s: the client is gone", self._teller.session_id)

    async def _tell(self) -> None:
        async for event in self._session.events():
            if isinstance(event, Ending):
                self._ending = event
            for told in self._teller.tell(event):
                self._outbox.put(told)

    # -- what the client sends ------------------------------------------------------------------

    async def _read(self) -> Close | None:
        faults = messages = 0
        while faults <= MAX_FAULTS_IN_A_ROW:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return None
            faults = 0 if await self._obeyed(message) else faults + 1
            # megabytes, which are not to be kept until the next one comes
            del message
            messages += 1
            if messages % _MESSAGES_IN_A_ROW == 0:
                await asyncio.sleep(0)
        return Close(_POLICY, f"{faults} messages in a row could not be understood")

    async def _obeyed(self, message: Message) -> bool:
        """Says what was wrong with a message that is not done; the session goes on."""
        text: str | None = message.get("text")
        try:
            if text is None:
                raise EventRefused(
                    "invalid_payload",
                    "the message is binary; send events as JSON text, and sound as base64 in"
                    " input_audio_buffer.append",
                )
            await self._do(await self._understood(text))
        except (EventRefused, VoxfleetError) as fault:
            self._say_error(fault, None if text is None else event_id_of(text))
            return False
        return True

    async def _understood(self, text: str) -> ClientEvent:
        if len(text) <= _LARGE_CHARS:
            return read_event(text)
        # a megabyte takes a millisecond: never two large ones in one turn of the loop
        async with self._setting.large_turns:
            event = read_event(text)
            await asyncio.sleep(0)
        return event

    async def _do(self, event: ClientEvent) -> None:
        if self._ending:
            return
        match event:
            case Append():
                if event.audio:
                    self._had_sound = True
                    await self._session.feed(event.audio)
            case Commit():
                await self._session.commit()
            case Clear():
                await self._session.clear()
            case SessionUpdate() | TranscriptionSessionUpdate():
                self._update(event)

    def _update(self, event: SessionUpdate | TranscriptionSessionUpdate) -> None:
        setting = self._setting
        wanted = changed(self._settings, event.session, setting.default_vad)
        self._refuse_late(wanted)
        options = session_options(wanted, setting.info, setting.lists, setting.client)
        self._session.change(options)
        self._settings = wanted
        self._teller.log_probs = wanted.log_probs
        if not self._dialect_known:
            self._teller.beta = isinstance(event, TranscriptionSessionUpdate)
            self._dialect_known = True
        self._say_session("updated")

    def _refuse_late(self, wanted: RealtimeSettings) -> None:
        """What can be chosen only as long as nothing depends on it."""
        was = self._settings
        if self._had_sound and (wanted.encoding, wanted.rate_hz) != (was.encoding, was.rate_hz):
            raise EventRefused(
                "invalid_state",
                "session.audio.input.format: cannot change once there was sound; open another"
                " session",
                "session.audio.input.format",
            )
        if wanted.model != was.model:
            model = self._setting.find_model(wanted.model).model
            if model != self._session.model:
                raise ParameterError(
                    f"session.audio.input.transcription.model: this session has"
                    f" {self._session.model}; name another in the address, as"
                    f" /v1/realtime?model={model}",
                    param="session.audio.input.transcription.model",
                )

    # -- what it is told ------------------------------------------------------------------------

    def _say_session(self, kind: str) -> None:
        setting = self._setting
        self._outbox.put(
            self._teller.session(kind, self._settings, setting.info, setting.expires_at)
        )

    def _say_error(self, fault: EventRefused | VoxfleetError, event_id: str | None) -> None:
        status = HTTPStatus.BAD_REQUEST if isinstance(fault, EventRefused) else fault.status
        code, message = fault.code, fault.message
        if isinstance(fault, EmptyAudioError):
            code = "input_audio_buffer_commit_empty"
        if status == HTTPStatus.INTERNAL_SERVER_ERROR:
            _log.error("session %s: %s", self._teller.session_id, shown(message), exc_info=fault)
            if not isinstance(fault, EngineFaultError):
                message = _INTERNAL
        kind = error_type(status)
        self._outbox.put(self._teller.error(code, message, fault.param, kind, event_id))
