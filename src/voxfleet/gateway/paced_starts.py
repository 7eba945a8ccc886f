"""A few requests begin in each turn of the event loop, so that a crowd cannot keep probes waiting.

A turn does everything that is ready. Behind hundreds of clients who connect at once, or ask again
the moment they are refused, a probe would wait for all of their requests. ASGI middleware, to be
put outside everything that costs time; knows paths, and nothing of what a request is.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection

from starlette.types import ASGIApp, Receive, Scope, Send

from voxfleet.gateway.http_errors import error_response
from voxfleet.gateway.request_edge import server_stops

#: a refused upload takes about 0.5 ms, and a probe three turns: accept, read, answer
_STARTS_PER_TURN = 2


class PacedStarts:
    """`at_once` are the paths that never wait; the others begin in the order they came in."""

    def __init__(
        self, app: ASGIApp, at_once: Collection[str], per_turn: int = _STARTS_PER_TURN
    ) -> None:
        self._app = app
        self._at_once = frozenset(at_once)
        self._per_turn = per_turn
        self._waiting: deque[asyncio.Future[None]] = deque()
        #: how many more may begin in this turn
        self._left = per_turn
        self._next_turn: asyncio.Handle | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "").removeprefix(scope.get("root_path", ""))
        if path in self._at_once or await self._turn():
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await error_response(server_stops())(scope, receive, send)

    async def _turn(self) -> bool:
        """Wait for it; False when the server stops first."""
        loop = asyncio.get_running_loop()
        if self._next_turn is None:
            self._next_turn = loop.call_soon(self._begin_turn, loop)
        if self._left > 0:
            self._left -= 1
            return True
        place: asyncio.Future[None] = loop.create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            # not raised on: nothing else is left for the task to do
            return False
        return True

    def _begin_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        self._left = self._per_turn
        while self._waiting and self._left:
            place = self._waiting.popleft()
            # whoever was cancelled meanwhile has gone
            if not place.done():
                place.set_result(None)
                self._left -= 1
        again = bool(self._waiting)
        self._next_turn = loop.call_soon(self._begin_turn, loop) if again else None
