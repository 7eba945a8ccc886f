"""`WS /funasr` and `WS /`: FunASR's own protocol, for the clients written for its servers.

Several files may follow each other on one connection. Each is heard while it comes (`online`,
`2pass`), or gathered and read as a whole (`offline`, and all that is not int16 of one channel).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fastapi import APIRouter, WebSocket

from voxfleet.errors import CancelledError, NotReadyError, OverloadError
from voxfleet.gateway.access import client_of
from voxfleet.gateway.api_schemas import GatewaySettings, SpeechService
from voxfleet.gateway.funasr_dialogue import Closing, FunAsrDialogue
from voxfleet.gateway.funasr_line import FunAsrLine
from voxfleet.gateway.websocket_refusal import refuse_websocket
from voxfleet.transcribe.hotword_text import HotwordLists

logger = logging.getLogger(__name__)

#: FunASR's clients ask for it, and some leave where it is not given
_SUBPROTOCOL = "binary"
_INTERNAL_FAULT, _RESTARTS = 1011, 1012


@dataclass(frozen=True, slots=True)
class FunAsrLimits:
    """`itn` False is a server that writes no numbers as digits: clients ask for it unasked."""

    max_connections: int = 200
    idle_timeout_s: float = 600
    reading_timeout_s: float = 30
    itn: bool = False


class FunAsrWs:
    def __init__(
        self,
        service: SpeechService,
        lists: HotwordLists,
        settings: GatewaySettings,
        limits: FunAsrLimits,
    ) -> None:
        self._service = service
        self._lists = lists
        self._settings = settings
        self._limits = limits
        self._connections = 0
        self._lines: set[FunAsrLine] = set()
        self._stopping = False

    def router(self) -> APIRouter:
        router = APIRouter(tags=["funasr"])
        # the root is where FunASR's clients connect to
        for path in ("/funasr", "/"):
            router.add_api_websocket_route(path, self.serve)
        return router

    def stop(self) -> None:
        """The server stops: whoever has begun a file is answered, nobody begins another."""
        self._stopping = True
        for line in self._lines:
            line.stop()

    async def serve(self, websocket: WebSocket) -> None:
        await websocket.receive()  # that it wants to be opened
        try:
            with self._place():
                self._service.models()  # raises while none is loaded
                await self._talk(websocket)
        except OverloadError as refusal:
            await refuse_websocket(refusal, websocket.scope, websocket.receive, websocket.send)

    @contextmanager
    def _place(self) -> Iterator[None]:
        if self._stopping:
            raise NotReadyError("the server is stopping; connect again later")
        if self._connections >= self._limits.max_connections:
            raise OverloadError(
                f"{self._connections} connections of FunASR's protocol are open, as many as there"
                " may be (realtime.max_sessions); try again later"
            )
        self._connections += 1
        try:
            yield
        finally:
            self._connections -= 1

    async def _talk(self, websocket: WebSocket) -> None:
        """Nothing leaves here: once it is open, a websocket cannot be refused any more."""
        limits = self._limits
        offered = websocket.scope.get("subprotocols", ())
        await websocket.accept(_SUBPROTOCOL if _SUBPROTOCOL in offered else None)
        line = FunAsrLine(websocket, limits.idle_timeout_s, limits.reading_timeout_s)
        self._lines.add(line)
        try:
            await self._until_closed(line, client_of(websocket.scope))
        except CancelledError:
            logger.debug("a client of FunASR's protocol went away")
        finally:
            self._lines.discard(line)

    async def _until_closed(self, line: FunAsrLine, client: str) -> None:
        async with line:
            try:
                closing = await self._dialogue(line, client).run()
            except CancelledError:
                raise
            except asyncio.CancelledError:
                # the server stops and has no more time: nothing else is left for the task to do
                closing = Closing(_RESTARTS, "the server is stopping")
            except Exception:
                logger.exception("a connection of FunASR's protocol broke")
                closing = Closing(_INTERNAL_FAULT, "an internal fault of the server; see its log")
            await line.close(closing.code, closing.reason)

    def _dialogue(self, line: FunAsrLine, client: str) -> FunAsrDialogue:
        return FunAsrDialogue(
            line, self._service, self._lists, self._settings, client, itn=self._limits.itn
        )
