"""A server that speaks OpenAI's realtime protocol and hears nothing: for tests of its clients.

Every second of sound is an utterance whose text says which one it is; a commit ends the one that
has begun.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

UTTERANCE_BYTES = 32_000
_TEXT_EVENT = "conversation.item.input_audio_transcription"


@dataclass
class StandInRealtime:
    """`refusal` answers the handshake; `fault` the setup; `ending` closes after an utterance."""

    port: int = 0
    refusal: tuple[int, dict[str, object]] | None = None
    fault: dict[str, str] | None = None
    ending: tuple[int, str] | None = None
    #: how long the text of an utterance takes
    late_s: float = 0.05
    failing: bool = False
    sound: bytearray = field(default_factory=bytearray)
    setups: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    utterances: int = 0
    began_s: float = 0.0
    #: when sound came, since the first piece
    arrivals_s: list[float] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def answer(self, connection: ServerConnection) -> None:
        unfinished = 0
        await _tell(connection, "session.created", session={})
        async for message in connection:
            order = json.loads(message)
            match order["type"]:
                case "session.update":
                    await self._set_up(connection, order)
                case "input_audio_buffer.append":
                    unfinished += self._hear(base64.b64decode(order["audio"]))
                    while unfinished >= UTTERANCE_BYTES:
                        unfinished -= UTTERANCE_BYTES
                        await self._utter(connection)
                case "input_audio_buffer.commit" if unfinished:
                    unfinished = 0
                    await self._utter(connection)
                case "input_audio_buffer.commit":
                    await self._refuse_commit(connection, order["event_id"])

    def _hear(self, sound: bytes) -> int:
        now_s = asyncio.get_running_loop().time()
        self.began_s = self.began_s or now_s
        self.arrivals_s.append(now_s - self.began_s)
        self.sound += sound
        return len(sound)

    async def _set_up(self, connection: ServerConnection, order: dict[str, Any]) -> None:
        self.setups.append(order["session"])
        if self.fault:
            await _tell(connection, "error", error=self.fault | {"event_id": order["event_id"]})
        else:
            await _tell(connection, "session.updated", session=order["session"])

    async def _utter(self, connection: ServerConnection) -> None:
        self.utterances += 1
        item = f"item_{self.utterances}"
        await _tell(connection, "input_audio_buffer.speech_started", item_id=item)
        await _tell(connection, f"{_TEXT_EVENT}.delta", item_id=item, delta="utter")
        await _tell(connection, f"{_TEXT_EVENT}.delta", item_id=item, delta="ance")
        await _tell(connection, "input_audio_buffer.committed", item_id=item)
        # not longer than there is somebody to tell it
        await asyncio.wait([asyncio.ensure_future(connection.wait_closed())], timeout=self.late_s)
        if self.failing:
            error = {"message": "the worker broke"}
            await _tell(connection, f"{_TEXT_EVENT}.failed", item_id=item, error=error)
        else:
            text = f"Utterance {self.utterances}."
            await _tell(connection, f"{_TEXT_EVENT}.completed", item_id=item, transcript=text)
        if self.ending:
            await connection.close(*self.ending)

    async def _refuse_commit(self, connection: ServerConnection, event_id: str) -> None:
        error = {"code": "input_audio_buffer_commit_empty", "message": "no", "event_id": event_id}
        await _tell(connection, "error", error=error)

    def let_in(self, connection: ServerConnection, request: Request) -> Response | None:
        self.paths.append(request.path)
        self.keys.append(request.headers.get("authorization"))
        if self.refusal is None:
            return None
        status, body = self.refusal
        return connection.respond(HTTPStatus(status), json.dumps(body))


async def _tell(connection: ServerConnection, kind: str, **fields: object) -> None:
    await connection.send(json.dumps({"type": kind, "event_id": "event_1"} | fields))


@asynccontextmanager
async def standin_realtime(**faults: Any) -> AsyncIterator[StandInRealtime]:
    made = StandInRealtime(**faults)
    async with serve(made.answer, "127.0.0.1", 0, process_request=made.let_in) as server:
        made.port = next(iter(server.sockets)).getsockname()[1]
        yield made
