"""A realtime session without speech: tells what a test says, and remembers what it was given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from voxfleet.errors import VoxfleetError
from voxfleet.transcribe.session_contract import SessionEvent, SessionOptions


@dataclass
class StandInSession:
    """`tell` sends an event to whoever listens; None ends them. `fault` is raised by every call."""

    options: SessionOptions
    model: str = "main"
    sound: bytearray = field(default_factory=bytearray)
    orders: list[str] = field(default_factory=list)
    fault: VoxfleetError | None = None
    #: what `finish` and `commit` lead to
    on_commit: list[SessionEvent] = field(default_factory=list)
    closed: bool = False
    _told: asyncio.Queue[SessionEvent | None] = field(default_factory=asyncio.Queue)

    def tell(self, *events: SessionEvent | None) -> None:
        for event in events:
            self._told.put_nowait(event)

    def change(self, options: SessionOptions) -> None:
        self._take("change")
        self.options = options

    async def feed(self, sound: bytes) -> None:
        self._take("feed")
        self.sound += sound

    async def commit(self) -> None:
        self._take("commit")
        self.tell(*self.on_commit)

    async def clear(self) -> None:
        self._take("clear")

    async def finish(self) -> None:
        self._take("finish")
        self.tell(*self.on_commit, None)

    async def events(self) -> AsyncIterator[SessionEvent]:
        while (event := await self._told.get()) is not None:
            yield event

    def _take(self, order: str) -> None:
        if self.fault:
            raise self.fault
        self.orders.append(order)


@dataclass
class StandInSessions:
    """What `SpeechService.open_session` is; `refusal` is raised instead of a session."""

    opened: list[StandInSession] = field(default_factory=list)
    refusal: VoxfleetError | None = None
    on_commit: list[SessionEvent] = field(default_factory=list)

    @asynccontextmanager
    async def open_session(self, options: SessionOptions) -> AsyncIterator[StandInSession]:
        if self.refusal:
            raise self.refusal
        session = StandInSession(options, on_commit=list(self.on_commit))
        self.opened.append(session)
        try:
            yield session
        finally:
            session.closed = True
