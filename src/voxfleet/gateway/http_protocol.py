"""How the bytes of a connection become requests: uvicorn's fast protocol, with the limits it lacks.

uvicorn's other protocol (h11) has them, but takes much more time for an upload. What no app can
answer any more is answered here, in the shape of every other error. Knows no app.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from http import HTTPStatus

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from voxfleet.errors import OverloadError
from voxfleet.gateway.http_errors import error_response

#: what may come of a client without completing a head or bringing a piece of a body
MAX_HEAD_BYTES = 65_536
#: how long a connection may be open without a whole head of a request
IDLE_LIMIT_S = 60.0
#: requests that a client may send before the first of them is answered
MAX_PIPELINED = 16


def _last_answer(status: HTTPStatus, message: str) -> bytes:
    """A whole answer, after which the connection is closed."""
    error = {
        "message": message,
        "type": "invalid_request_error",
        "param": None,
        "code": status.phrase.lower().replace(" ", "_"),
    }
    body = json.dumps({"error": error}).encode()
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        "content-type: application/json\r\n"
        f"content-length: {len(body)}\r\n"
        "connection: close\r\n"
        "\r\n"
    )
    return head.encode() + body


_HEAD_TOO_LARGE = _last_answer(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the headers are over 64 KiB; send fewer"
)
_NOT_HTTP = _last_answer(
    HTTPStatus.BAD_REQUEST, "this is no valid HTTP request; check what the client sends"
)


async def _answer_crowd(scope: Scope, receive: Receive, send: Send) -> None:
    refusal = OverloadError("the server has as many connections as it takes; try again later")
    await error_response(refusal)(scope, receive, send)


class LimitedHttpProtocol(HttpToolsProtocol):
    """Bounded in what it keeps for a client; never answers one request in another's place."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, object],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        #: more connections than that are answered 503 before the app sees them; uvicorn itself,
        #: told of the limit, would do so in plain text
        self._most_connections = self.limit_concurrency
        self.limit_concurrency = None
        #: bytes that have come to nothing yet
        self._idle_bytes = 0
        self._in_head = False
        #: not answered yet, in their order
        self._open: deque[RequestResponseCycle] = deque()
        #: since when none is there, by the loop's clock
        self._idle_since_s: float | None = self.loop.time()
        #: bytes for the client that were unsent when it was looked at last
        self._unsent_bytes = 0

    def look(self, now_s: float) -> None:
        """To be called every half minute: ends a connection that goes nowhere.

        uvicorn waits for ever for a client that reads nothing or never says what it wants.
        """
        before, self._unsent_bytes = self._unsent_bytes, self.transport.get_write_buffer_size()
        if before and before == self._unsent_bytes:
            self.transport.abort()
        elif self._idle_since_s is not None and now_s - self._idle_since_s > IDLE_LIMIT_S:
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        self._idle_bytes += len(data)
        self._feed(data)
        if self._idle_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            if self._may_be_told():
                self.transport.write(_HEAD_TOO_LARGE)
            self.transport.close()

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
            else:
                self._decline_upgrade(data[upgrade.args[0] :])
        except HttpParserError:
            self.logger.info("a request that is no HTTP was refused")
            self.send_400_response("")

    def _decline_upgrade(self, rest: bytes) -> None:
        """Read the request again as one that proposes no other protocol.

        Java's client proposes HTTP/2 with every first request, and the parser would drop its body.
        """
        version = self.parser.get_http_version().encode()
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version)]
        lines += [name + b": " + value for name, value in self.headers if name != b"upgrade"]
        self.parser = HttpRequestParser(self)
        # as uvicorn's own: what comes behind the last request is dropped, not an error
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._feed(b"\r\n".join([*lines, b"", rest]))

    def handle_websocket_upgrade(self) -> None:
        """Everything that comes is another protocol's from here.

        This object and its parser hold each other, so what a long life of websockets leaves would
        wait for a collector that is told to look rarely (`observe.heap`).
        """
        super().handle_websocket_upgrade()
        del self.parser

    def _declines_upgrade(self) -> bool:
        return self.parser.should_upgrade() and not self._should_upgrade()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  (uvicorn's own words)
        if self._may_be_told():
            self.transport.write(_NOT_HTTP)
        self.transport.close()

    def _may_be_told(self) -> bool:
        """What is wrong: not when it would be taken for the answer to a request before it."""
        if not self._open:
            return True
        asked = self._open[0]
        return len(self._open) == 1 and asked.more_body and not asked.response_started

    def connection_lost(self, exc: Exception | None) -> None:
        # uvicorn tells only the last of several requests that their client is gone
        for cycle in self._open:
            cycle.disconnected = True
            cycle.message_event.set()
        self._open.clear()
        super().connection_lost(exc)

    # -- what the parser tells ----------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        # what follows a chunked body would be added to a head that is understood already
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._idle_bytes = 0
        self._in_head = False
        if len(self._open) >= MAX_PIPELINED:
            raise ValueError("too many requests at once")
        self._refuse_ambiguous()
        if self._declines_upgrade():
            return
        before = self.cycle
        most = self._most_connections
        crowded = most is not None and len(self.connections) >= most
        self.app = _answer_crowd if crowded else self.config.loaded_app
        super().on_headers_complete()
        if self.cycle is not before:
            self._open.append(self.cycle)
            self._idle_since_s = None

    def _refuse_ambiguous(self) -> None:
        """What the parser lets pass and HTTP/1.1 does not; raised, it becomes a 400."""
        if self.parser.get_method() == b"CONNECT":
            raise ValueError("this is no proxy")
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (hosts == 0 and self.parser.get_http_version() == "1.1"):
            raise ValueError("not one Host header")
        for name, value in self.headers:
            if name == b"transfer-encoding" and value.lower() != b"chunked":
                raise ValueError("a transfer encoding that nobody can undo here")

    def on_body(self, body: bytes) -> None:
        self._idle_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._idle_bytes = 0
        if not self._declines_upgrade():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        if self._open:
            self._open.popleft()
        if not self._open:
            self._idle_since_s = self.loop.time()
        super().on_response_complete()
