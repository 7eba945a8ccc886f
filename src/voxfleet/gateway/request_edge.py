"""What every HTTP answer gets on its way out: a request id, a known shape, a readable end.

ASGI middleware, outermost first: `RequestId`, `LingeringClose`, `CrashAnswer`. Knows no route.
"""

from __future__ import annotations

import asyncio
import logging
import re
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voxfleet.errors import NotReadyError
from voxfleet.gateway.http_errors import error_response, internal_error, shown
from voxfleet.observe.request_record import RequestRecord, current_request

logger = logging.getLogger(__name__)

_SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
#: how long an unread body is read and thrown away, so that its sender comes to see the answer
_LINGER_S = 10.0
#: what a server that is started again may take until it answers
_RESTART_S = 10.0


class RequestId:
    """Names each request, by the client's `X-Request-Id` where that is sane, and says so back."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = choose_request_id(Headers(scope=scope).get("x-request-id"))
        scope.setdefault("state", {})["request_id"] = request_id
        # whatever is logged from here on names the request
        token = current_request.set(RequestRecord(request_id))

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        try:
            await self._app(scope, receive, send_named)
        finally:
            current_request.reset(token)


def choose_request_id(offered: str | None) -> str:
    if offered is not None and _SANE_REQUEST_ID.fullmatch(offered):
        return offered
    return uuid4().hex


class LingeringClose:
    """Lets a client see an answer given before its whole body was read.

    Closing while the client still sends makes its system throw the answer away. So the answer goes
    out with `Connection: close`, and the rest of the body is read and dropped for a short while.
    A client that waits for `100 Continue` has not begun to send and is not made to.
    """

    def __init__(self, app: ASGIApp, linger_s: float = _LINGER_S) -> None:
        self._app = app
        self._linger_s = linger_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self._linger_s)
        await self._app(scope, exchange.receive, exchange.send)


class _Exchange:
    """One request and its answer, watched for a body that was not read to its end."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, linger_s: float) -> None:
        headers = Headers(scope=scope)
        self._receive = receive
        self._send = send
        self._linger_s = linger_s
        self._unread = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        self._waits = headers.get("expect", "").lower() == "100-continue"

    async def receive(self) -> Message:
        self._waits = False
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self._unread = False
        return message

    async def send(self, message: Message) -> None:
        if not self._unread:
            await self._send(message)
            return
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)["connection"] = "close"
            await self._send(message)
            return
        await self._send({**message, "more_body": True})
        if not message.get("more_body", False):
            await self._drop_rest()
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _drop_rest(self) -> None:
        if self._waits:
            return
        try:
            async with asyncio.timeout(self._linger_s):
                while self._unread:
                    await self.receive()
        except TimeoutError:
            logger.debug("a client still sent %g s after its answer; closing", self._linger_s)
        except asyncio.CancelledError:
            # the server stops; the answer is out, and nothing is left for the task to do
            logger.debug("a client still sent when the server stopped; closing")


class CrashAnswer:
    """The one place where an unforeseen fault ends: logged in full, answered in general words.

    So does a request that the stopping server cancels, for which its client must not be blamed.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, send_watched)
        except asyncio.CancelledError:
            # not raised on: nothing else is left for the task to do
            if started:
                logger.warning("an answer was cut off, as the server stops")
                return
            await error_response(server_stops())(scope, receive, send)
        except Exception:
            request_id = scope["state"]["request_id"]
            where = f"{shown(scope['method'])} {shown(scope['path'])}"
            logger.exception("request %s: unforeseen fault in %s", request_id, where)
            if started:
                raise
            await error_response(internal_error(request_id))(scope, receive, send)


def server_stops() -> NotReadyError:
    """For a request that nobody will answer any more; it may be sent again."""
    return NotReadyError("the server is stopping; send the request again", retry_after_s=_RESTART_S)
