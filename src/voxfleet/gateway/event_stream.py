"""Server-sent events: one answer that goes out piece by piece, and is kept alive between them.

The head is sent with the first thing that is: until then a fault can still have a status of its
own. Knows frames; knows nothing of what they say.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from starlette.types import Send

from voxfleet.transcribe.json_text import json_text

#: proxies cut a connection on which nothing comes for half a minute or more
KEEP_ALIVE_S = 15.0
#: a comment, which every reader of events passes over
KEEP_ALIVE = b": still at work\n\n"

_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    # nginx would gather the events to send them together
    "x-accel-buffering": "no",
}
#: what JSON leaves as it is and some readers take for the end of a line
_LINE_ENDS = {"\x85": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def frame(body: Mapping[str, object]) -> bytes:
    """One event."""
    text = json_text(body)
    for char, escape in _LINE_ENDS.items():
        text = text.replace(char, escape)
    return b"data: " + text.encode() + b"\n\n"


class EventStream:
    def __init__(self, send: Send, headers: Mapping[str, str], keep_alive_s: float) -> None:
        self._send = send
        self._headers = headers
        self._keep_alive_s = keep_alive_s
        self._clock = asyncio.get_running_loop().time
        self._sent_at_s = self._clock()
        self._turn = asyncio.Lock()
        self.started = False

    async def say(self, body: Mapping[str, object]) -> None:
        """Returns when the client's connection has taken it: whoever reads slowly is waited for."""
        await self.pass_on(frame(body))

    async def pass_on(self, event: bytes) -> None:
        """As `say`, of what is a frame already."""
        await self._put(event)

    async def end(self) -> None:
        await self._put(b"", more=False)

    @asynccontextmanager
    async def kept_alive(self) -> AsyncIterator[None]:
        """While in here, something is sent at least every `keep_alive_s`."""
        task = asyncio.create_task(self._keep_alive())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled():
                task.exception()  # taken, so that asyncio does not report it as forgotten

    async def _keep_alive(self) -> None:
        while True:
            pause_s = self._sent_at_s + self._keep_alive_s - self._clock()
            if pause_s > 0:
                await asyncio.sleep(pause_s)
            else:
                await self._put(KEEP_ALIVE)

    async def _put(self, data: bytes, *, more: bool = True) -> None:
        async with self._turn:
            if not self.started:
                await self._send(self._head())
                self.started = True
            await self._send({"type": "http.response.body", "body": data, "more_body": more})
            self._sent_at_s = self._clock()

    def _head(self) -> dict[str, object]:
        headers = [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in (_HEADERS | dict(self._headers)).items()
        ]
        return {"type": "http.response.start", "status": 200, "headers": headers}
