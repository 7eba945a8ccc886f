"""How the bytes of a websocket become messages: uvicorn's protocol, with the limits it lacks.

What a client sends is taken piece by piece, and no faster than the app takes its messages. Knows no
app.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from typing import ClassVar

from uvicorn._types import ASGIReceiveEvent, ASGISendEvent
from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.frames import Frame

from voxfleet.errors import RequestError
from voxfleet.gateway.http_errors import error_body
from voxfleet.gateway.message_gate import MessageGate
from voxfleet.gateway.upload_pace import MIN_UPLOAD_BYTES_PER_S, UPLOAD_WINDOW_S

#: of one turn of the loop: the smallest frames have 6 bytes, and each takes some microseconds
_PIECE_BYTES = 8_192
#: of one message; none that any protocol here knows comes in so many
_MAX_FRAGMENTS = 4_096
#: a larger message needs one of the places for such: joined, read as text, as JSON and as sound it
#: is there about five times at once. More than any client sends of live sound
_SMALL_BYTES = 262_144
_LARGE_AT_ONCE = 4
#: the parser keeps each frame until the next one comes, which may be never
_FREED = b""
#: answers to pings that their sender does not read
_MAX_UNREAD_BYTES = 1_048_576
#: how long a websocket may take to be opened, or to be gone once it is closed
_IDLE_LIMIT_S = 60.0

#: states of TCP (Linux, net/tcp_states.h): CLOSE and CLOSE_WAIT
_LEFT = frozenset({7, 8})
#: for an app that is ending a websocket when the server stops
_LAST_WORDS_S = 2.0

_REFUSED = RequestError("this is no valid websocket handshake; check what the client sends")


def _handshake_answer() -> bytes:
    body = json.dumps(error_body(_REFUSED)).encode()
    head = (
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body


class LimitedWebSocketProtocol(WebSocketsSansIOProtocol):
    """Bounded in what it keeps for a client, and in the time it takes of the loop at once."""

    #: for all there are, as it is the memory of this process that is bounded
    gate: ClassVar[MessageGate] = MessageGate(_LARGE_AT_ONCE)

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, object],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        #: bytes that are not looked at yet
        self._unread = bytearray()
        self._scheduled = False
        self._held = False
        #: since when it has not been open, by the loop's clock; None while it is
        self._unopened_since_s: float | None = self.loop.time()
        self._unsent_bytes = 0
        #: of the message that is coming
        self._gathered_bytes = 0
        self._gathered_before_bytes: int | None = None
        #: a large message has its place, and is with the app
        self._has_place = self._large_with_app = False

    def look(self, now_s: float) -> None:
        """To be called every half minute: ends a connection that goes nowhere."""
        before, self._unsent_bytes = self._unsent_bytes, self.transport.get_write_buffer_size()
        stuck = before and before == self._unsent_bytes
        is_open = self.handshake_complete and not self.close_sent
        if is_open and not self.transport.is_closing():
            self._unopened_since_s = None
        elif self._unopened_since_s is None:
            self._unopened_since_s = now_s
        since_s = self._unopened_since_s
        if stuck or self._dawdles() or (since_s is not None and now_s - since_s > _IDLE_LIMIT_S):
            self.transport.abort()

    def _dawdles(self) -> bool:
        """It holds the place of a large message, which others wait for, and hardly sends it."""
        before, self._gathered_before_bytes = self._gathered_before_bytes, None
        if not self._has_place or self._large_with_app or self.read_paused:
            return False
        self._gathered_before_bytes = self._gathered_bytes
        least = UPLOAD_WINDOW_S * MIN_UPLOAD_BYTES_PER_S
        return before is not None and 0 <= self._gathered_bytes - before < least

    def shutdown(self) -> None:
        """A moment later than uvicorn would: an app that ends it in order has its last words out.

        What is still open then is cut off.
        """
        if self.handshake_complete and not self.close_sent:
            self.loop.call_later(_LAST_WORDS_S, self._cut_off)
        else:
            super().shutdown()

    def _cut_off(self) -> None:
        if not self.transport.is_closing():
            super().shutdown()

    def keepalive_timeout(self) -> None:
        if self._client_left():
            self.transport.abort()
            return
        if (self.read_paused or self._unread or self._large_with_app) and self.ping_timeout:
            # the pong lies behind what the app has not taken yet
            self.pong_timer = self.loop.call_later(self.ping_timeout, self.keepalive_timeout)
            return
        super().keepalive_timeout()
        if self.transport.get_write_buffer_size():
            # closed, it would wait for ever for a client that is gone
            self.transport.abort()

    def _client_left(self) -> bool:
        """Its system has closed the connection, which is not seen while nothing is read."""
        held = self.transport.get_extra_info("socket")
        try:
            with socket.socket(fileno=os.dup(held.fileno())) as peer:
                state = peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        except OSError:
            return False
        return state in _LEFT

    # -- what comes in --------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self._unread += data
        if not self._scheduled and not self.read_paused:
            self._take()

    def connection_lost(self, exc: Exception | None) -> None:
        self._give_up_place()
        super().connection_lost(exc)

    async def receive(self) -> ASGIReceiveEvent:
        if self._large_with_app:
            # it asks for more, so it is done with that
            self._give_up_place()
            self._take_later()
        message = await super().receive()
        if not self.read_paused:
            self._take_later()
        return message

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body"):
            # refused by an answer: the handshake is over, which uvicorn would call a fault
            self.handshake_complete = True
        if self.close_sent:
            # what is left of the client's bytes has its answer to the close
            self._take_later()

    def _take_later(self) -> None:
        if self._unread and not self._scheduled and not self.transport.is_closing():
            self._scheduled = True
            self._hold()
            self.loop.call_soon(self._take)

    def _hold(self) -> None:
        self._held = True
        self.transport.pause_reading()

    def _take(self) -> None:
        """The next piece; what it holds may be the app's turn first."""
        self._scheduled = False
        if self.transport.is_closing() and not self.close_sent:
            self._unread.clear()
            return
        if not self._may_take():
            self._hold()
            return
        piece = bytes(self._unread[:_PIECE_BYTES])
        del self._unread[:_PIECE_BYTES]
        self._gathered_bytes += len(piece)
        super().data_received(piece)
        if self._is_abused():
            self.transport.abort()
        elif self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.transport.write(_handshake_answer())
            self.transport.close()
        elif not self.read_paused:
            if self._unread:
                self._take_later()
            elif self._held:
                self._held = False
                self.transport.resume_reading()

    # -- large messages -------------------------------------------------------------------------

    def _may_take(self) -> bool:
        """Whatever comes after a large message waits until that is done."""
        if self._large_with_app:
            return False
        if self._gathered_bytes > _SMALL_BYTES and not self._has_place:
            self._has_place = self.gate.enter(self)
            return self._has_place
        return True

    def handle_text(self, event: Frame) -> None:
        super().handle_text(event)
        event.data = _FREED

    def handle_bytes(self, event: Frame) -> None:
        super().handle_bytes(event)
        event.data = _FREED

    def handle_cont(self, event: Frame) -> None:
        super().handle_cont(event)
        event.data = _FREED

    def let_in(self) -> None:
        self._has_place = True
        self._take_later()

    def send_receive_event_to_app(self) -> None:
        self._gathered_bytes = 0
        self._large_with_app = self._has_place and not self.close_sent
        super().send_receive_event_to_app()

    def _give_up_place(self) -> None:
        self._has_place = self._large_with_app = False
        self.gate.leave(self)

    def _is_abused(self) -> bool:
        unread = self.transport.get_write_buffer_size()
        return len(self.frames) > _MAX_FRAGMENTS or unread > _MAX_UNREAD_BYTES
