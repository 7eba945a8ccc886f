"""A server that speaks FunASR's protocol on a real socket, before a service that only remembers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fastapi import FastAPI
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from tests.integration.standin_service import StandInService
from tests.integration.standin_session import StandInSession
from tests.integration.streaming_rig import served_here
from voxfleet.core import Word
from voxfleet.errors import (
    VoxfleetError,
)
from voxfleet.gateway.api_schemas import GatewaySettings
from voxfleet.gateway.funasr_ws import FunAsrLimits, FunAsrWs
from voxfleet.transcribe.hotword_text import WITHOUT_LISTS
from voxfleet.transcribe.session_contract import (
    Completed,
    PartialText,
    SessionEvent,
    SessionOptions,
)

PCM = bytes(range(256)) * 40
STARTS = json.dumps({"mode": "2pass", "is_speaking": True})
ENDS = json.dumps({"is_speaking": False})
GROWING: list[SessionEvent] = [PartialText(0, "hello"), PartialText(0, " wor")]
SPOKEN = Completed(0, 0, 1, "Hello world.", "en", (Word("hello", 0, 0.5), Word("world", 0.5, 1.0)))


class TalkingSession(StandInSession):
    """Tells `on_sound` with its first sound; full, it hears no more until `room` is set."""

    on_sound: list[SessionEvent]
    room: asyncio.Event

    async def feed(self, sound: bytes) -> None:
        if not self.sound:
            self.tell(*self.on_sound)
        await super().feed(sound)
        await self.room.wait()


@dataclass
class Rig(StandInService):
    address: str
    uploads: Path
    speaking: FunAsrWs = field(init=False)
    on_sound: list[SessionEvent] = field(default_factory=list)
    on_finish: list[SessionEvent] = field(default_factory=lambda: [*GROWING, SPOKEN])
    opened: list[TalkingSession] = field(default_factory=list)
    session_refusal: VoxfleetError | None = None
    room: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        super().__init__()
        self.room.set()

    @asynccontextmanager
    async def open_session(self, options: SessionOptions) -> AsyncIterator[TalkingSession]:
        if self.session_refusal:
            raise self.session_refusal
        session = TalkingSession(options, on_commit=list(self.on_finish))
        session.on_sound, session.room = self.on_sound, self.room
        self.opened.append(session)
        try:
            yield session
        finally:
            session.closed = True

    @property
    def url(self) -> str:
        return self.address.replace("http", "ws") + "/"


LIMITS = FunAsrLimits(max_connections=3, idle_timeout_s=30, reading_timeout_s=0.3, itn=True)


@asynccontextmanager
async def rig_with(folder: Path, limits: FunAsrLimits = LIMITS) -> AsyncIterator[Rig]:
    app, rig = FastAPI(), Rig("", folder / "uploads")
    settings = GatewaySettings(rig.uploads, "0", max_upload_mb=1)
    rig.speaking = FunAsrWs(rig, WITHOUT_LISTS, settings, limits)
    app.include_router(rig.speaking.router())
    async with served_here(app) as rig.address:
        yield rig
        async with asyncio.timeout(5):
            # a client that has gone is seen a moment later
            while not all(session.closed for session in rig.opened) or rig.places:
                await asyncio.sleep(0)
        assert not rig.uploads.exists() or list(rig.uploads.iterdir()) == []
        assert rig.places == 0


async def answer_of(line: ClientConnection) -> dict[str, object]:
    answer: dict[str, object] = json.loads(await asyncio.wait_for(line.recv(), 10))
    return answer


async def closed(line: ClientConnection) -> tuple[int, str]:
    """Code and reason of the server's goodbye; what it said before is read over."""
    async with asyncio.timeout(10):
        with pytest.raises(ConnectionClosed) as end:
            await _read_on(line)
    assert end.value.rcvd is not None
    return end.value.rcvd.code, end.value.rcvd.reason


async def _read_on(line: ClientConnection) -> None:
    while True:
        await line.recv()
