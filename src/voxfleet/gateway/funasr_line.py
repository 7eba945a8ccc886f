"""A connection of FunASR's protocol: what the client says next, and what it is told.

Knows websockets; knows nothing of sound.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from starlette.types import Message, Receive
from starlette.websockets import WebSocket, WebSocketDisconnect

from voxfleet.errors import CancelledError, DeadlineError, NotReadyError
from voxfleet.gateway.api_schemas import JsonObject
from voxfleet.gateway.disconnect import seen_out
from voxfleet.gateway.funasr_answers import answer_text
from voxfleet.gateway.websocket_refusal import close_reason

#: messages that wait for the one before to be dealt with; further ones wait at the client's side
_MOST_WAITING = 2
#: one longer than that is dealt with before anything else is received
_LARGE_BYTES = 262_144
_GONE = "the client went away"

Result = TypeVar("Result")


def _said_in(message: Message) -> str | bytes | None:
    """None: the client has left."""
    if message["type"] != "websocket.receive":
        return None
    text: str | None = message.get("text")
    sound: bytes = message.get("bytes") or b""
    return sound if text is None else text


class FunAsrLine:
    """To be entered for as long as the connection lasts; raises CancelledError once it has ended.

    `silence_limit_s` is how long the client may say nothing; `reading_limit_s`, how long it may
    leave what it was told unread.
    """

    def __init__(
        self, websocket: WebSocket, silence_limit_s: float, reading_limit_s: float
    ) -> None:
        self._websocket = websocket
        self._silence_limit_s = silence_limit_s
        self._reading_limit_s = reading_limit_s
        self._waiting: asyncio.Queue[str | bytes | None] = asyncio.Queue(_MOST_WAITING)
        self._in_hand = False
        self._gone = asyncio.Event()
        self._stopped = False
        #: while the client may be told to come again, as it has begun nothing
        self._rest: asyncio.Timeout | None = None

    async def __aenter__(self) -> FunAsrLine:
        self._listening = asyncio.create_task(self._listen(self._websocket.receive))
        return self

    async def __aexit__(self, *_: object) -> None:
        await seen_out(self._listening)

    async def _listen(self, receive: Receive) -> None:
        # received all the time, as that alone shows that a client leaves while it is computed for
        while (said := _said_in(await receive())) is not None:
            await self._waiting.put(said)
            large = len(said) > _LARGE_BYTES
            del said
            if large:
                await self._waiting.join()
        self._gone.set()
        await self._waiting.put(None)

    async def first(self) -> str | bytes:
        """The next message, where the client may stop as well; raises NotReadyError where the
        server stops, and as `next`."""
        if self._stopped and self._waiting.empty():
            raise _stopping()
        try:
            async with asyncio.timeout(self._silence_limit_s) as self._rest:
                return self._said(await self._following())
        except TimeoutError as fault:
            raise (_stopping() if self._stopped else self._silent) from fault
        finally:
            self._rest = None

    async def next(self, *, patient: bool = False) -> str | bytes:
        """The next message; raises DeadlineError where none comes, unless somebody else watches."""
        try:
            async with asyncio.timeout(None if patient else self._silence_limit_s):
                return self._said(await self._following())
        except TimeoutError as fault:
            raise self._silent from fault

    async def _following(self) -> str | bytes | None:
        """Whoever asks for it has done with the one before."""
        if self._in_hand:
            self._in_hand = False
            self._waiting.task_done()
        said = await self._waiting.get()
        self._in_hand = True
        return said

    def stop(self) -> None:
        """The server stops: no further file is begun."""
        self._stopped = True
        if self._rest is not None and not self._rest.expired():
            self._rest.reschedule(asyncio.get_running_loop().time())

    @property
    def _silent(self) -> DeadlineError:
        return DeadlineError(
            f"nothing came for {self._silence_limit_s:g} s; connect again when there is sound"
        )

    def _said(self, said: str | bytes | None) -> str | bytes:
        if said is None:
            raise CancelledError(_GONE)
        return said

    async def tell(self, answer: JsonObject) -> None:
        try:
            async with asyncio.timeout(self._reading_limit_s):
                await self._websocket.send_text(answer_text(answer))
        except TimeoutError as fault:
            raise CancelledError("the client reads nothing") from fault
        except WebSocketDisconnect as fault:
            raise CancelledError(_GONE) from fault

    async def close(self, code: int, reason: str) -> None:
        try:
            async with asyncio.timeout(self._reading_limit_s):
                await self._websocket.close(code, close_reason(reason))
        except (TimeoutError, WebSocketDisconnect) as fault:
            raise CancelledError(_GONE) from fault

    async def unless_gone(self, work: Awaitable[Result]) -> Result:
        """The result of `work`, which is cancelled when the client goes away."""
        task = asyncio.ensure_future(work)
        gone = asyncio.create_task(self._gone.wait())
        try:
            await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise CancelledError(_GONE)
        finally:
            await seen_out(gone)
            await seen_out(task)


def _stopping() -> NotReadyError:
    return NotReadyError("the server is stopping; connect again later")
