"""Every websocket logged in one line, when it has ended: for whom, how long, and how it ended.

ASGI middleware beside `request_meter`, which does the same for requests. Knows no protocol.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voxfleet.gateway.request_meter import RouteNames, client_shown
from voxfleet.observe.logs import with_facts
from voxfleet.observe.request_record import Fact

_log = logging.getLogger("voxfleet.access")
#: an app that ended a websocket without a word; what the client sees then
_BROKEN = 1006


class WebsocketLog:
    def __init__(self, app: ASGIApp, clock: Callable[[], float] = time.perf_counter) -> None:
        self._app = app
        self._clock = clock
        self._routes = RouteNames()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return
        talk = _Talk(receive, send)
        began_s = self._clock()
        try:
            await self._app(scope, talk.receive, talk.send)
        finally:
            self._log_end(scope, talk.code, self._clock() - began_s)

    def _log_end(self, scope: Scope, code: int, took_s: float) -> None:
        state = scope.get("state", {})
        route, client = self._routes.of(scope), client_shown(scope)
        facts: dict[str, Fact] = {
            "method": "WEBSOCKET",
            "route": route,
            "status": code,
            "seconds": round(took_s, 4),
            "client": client,
        }
        if error_code := state.get("error_code"):
            facts["error_code"] = str(error_code)
        session = ""
        if session_id := state.get("session_id"):
            facts["session"] = str(session_id)
            session = f", session {session_id}"
        message = "WEBSOCKET %s: %s in %.3f s%s, client %s"
        _log.info(message, route, code, took_s, session, client, extra=with_facts(facts))


class _Talk:
    """What is seen of one websocket. `code`: of the close that came first, or of the refusal."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._code: int | None = None

    @property
    def code(self) -> int:
        return _BROKEN if self._code is None else self._code

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            self._ended(message.get("code") or 1005)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "websocket.close":
            self._ended(message.get("code") or 1000)
        elif message["type"] == "websocket.http.response.start":
            self._ended(message["status"])
        await self._send(message)

    def _ended(self, code: int) -> None:
        if self._code is None:
            self._code = code
