"""The sockets between the gateway and its child processes: ZeroMQ over `ipc://`, children dial in.

Knows how a message travels and whom it came from; knows nothing of what it means. The socket's
folder must be readable by its owner alone: whoever can open it can speak.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import zmq
import zmq.asyncio

from voxfleet.errors import StartError
from voxfleet.wire.messages import FromChild, ToChild

#: the kernel's limit for a Unix socket's path (sun_path), less the closing zero
_MAX_SOCKET_PATH_BYTES = 107

_encoder = msgspec.msgpack.Encoder()
_from_child: msgspec.msgpack.Decoder[FromChild] = msgspec.msgpack.Decoder(FromChild)
_to_child: msgspec.msgpack.Decoder[ToChild] = msgspec.msgpack.Decoder(ToChild)


def endpoint(socket_path: Path) -> str:
    """The ZeroMQ address of a socket file; raises StartError when the path is too long for one."""
    if len(str(socket_path).encode()) > _MAX_SOCKET_PATH_BYTES:
        raise StartError(
            f"{socket_path}: the path of a socket may have {_MAX_SOCKET_PATH_BYTES} bytes at most;"
            " choose a shorter data_dir"
        )
    return f"ipc://{socket_path}"


class GarbledMessageError(msgspec.DecodeError):
    """A child said something that is no message; `child` is its name."""

    def __init__(self, child: str, fault: Exception) -> None:
        super().__init__(f"{child} sent no message we know: {fault}")
        self.child = child


class Hub:
    """The gateway's end (ROUTER): any number of children, each known by the name it was given."""

    def __init__(self, socket_path: Path) -> None:
        self.address = endpoint(socket_path)
        self._context = zmq.asyncio.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        # a restarted child takes its name over from the dead one's connection
        self._socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
        self._socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.SNDHWM, 0)
        self._socket.setsockopt(zmq.RCVHWM, 0)
        self._socket.bind(self.address)

    async def receive(self) -> tuple[str, FromChild]:
        """The next message and the name of the child it came from; raises GarbledMessageError."""
        name, *payload = await self._socket.recv_multipart()
        child = name.decode(errors="replace")
        try:
            return child, _from_child.decode(b"".join(payload))
        except (msgspec.DecodeError, UnicodeDecodeError) as fault:
            raise GarbledMessageError(child, fault) from None

    async def send(self, child: str, message: ToChild) -> bool:
        """Hand a message to a child; False when no child of that name is connected."""
        try:
            await self._socket.send_multipart([child.encode(), _encoder.encode(message)])
        except zmq.ZMQError as fault:
            if fault.errno in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                return False
            raise
        return True

    def close(self) -> None:
        self._socket.close(linger=0)
        self._context.term()


class Dial:
    """A child's end (DEALER), used by one thread, without asyncio."""

    def __init__(self, address: str, name: str) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.IDENTITY, name.encode())
        # what was said last must still arrive after close: an answer, or why the start failed
        self._socket.setsockopt(zmq.LINGER, 2_000)
        self._socket.connect(address)

    def send(self, message: FromChild) -> None:
        self._socket.send(_encoder.encode(message))

    def receive(self, timeout_s: float | None = None) -> ToChild | None:
        """The next message, or None when none came in `timeout_s` (None waits for ever)."""
        if timeout_s is not None and not self._socket.poll(int(timeout_s * 1000)):
            return None
        return _to_child.decode(self._socket.recv())

    def close(self) -> None:
        self._socket.close()
        self._context.term()
