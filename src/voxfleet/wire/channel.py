"""The sockets between the gateway and its child processes: ZeroMQ over `ipc://`, children dial in.

Knows how a message travels and whom it came from; knows nothing of what it means. Whoever can open
the socket can speak, so it is its owner's alone.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from pathlib import Path

import msgspec
import zmq
import zmq.asyncio

from voxfleet.errors import StartError
from voxfleet.wire.messages import FromChild, ToChild

#: the kernel's limit for a Unix socket's path (sun_path), less the closing zero
_MAX_SOCKET_PATH_BYTES = 107
#: where a socket goes whose own folder has too long a path
_SHORT_PARENTS = (Path("/tmp"), Path("/dev/shm"))  # noqa: S108 - mkdtemp makes a private folder
_log = logging.getLogger(__name__)

_encoder = msgspec.msgpack.Encoder()
_from_child: msgspec.msgpack.Decoder[FromChild] = msgspec.msgpack.Decoder(FromChild)
_to_child: msgspec.msgpack.Decoder[ToChild] = msgspec.msgpack.Decoder(ToChild)


class GarbledMessageError(msgspec.DecodeError):
    """A child said something that is no message; `child` is its name."""

    def __init__(self, child: str, fault: Exception) -> None:
        super().__init__(f"{child} sent no message we know: {fault}")
        self.child = child


class Hub:
    """The gateway's end (ROUTER): any number of children, each known by the name it was given.

    A path too long for a socket is replaced by a private folder; children are told the `address`.
    """

    def __init__(self, socket_path: Path) -> None:
        self._private_folder: Path | None = None
        if not _fits(socket_path):
            self._private_folder = _short_folder()
            socket_path = self._private_folder / "socket"
        self._path = socket_path
        self.address = f"ipc://{socket_path}"
        self._context = zmq.asyncio.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        # a restarted child takes its name over from the dead one's connection
        self._socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
        self._socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.SNDHWM, 0)
        self._socket.setsockopt(zmq.RCVHWM, 0)
        try:
            self._socket.bind(self.address)
            socket_path.chmod(0o600)
        except (zmq.ZMQError, OSError) as fault:
            self._end()
            raise StartError(
                f"{socket_path}: no socket can be made there ({fault}); make its folder writable"
            ) from None

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
        """Also removes the socket's file, and the folder that was made for it."""
        self._path.unlink(missing_ok=True)
        self._end()

    def _end(self) -> None:
        self._socket.close(linger=0)
        self._context.term()
        if self._private_folder is not None:
            shutil.rmtree(self._private_folder, ignore_errors=True)


def _fits(socket_path: Path) -> bool:
    return len(os.fsencode(socket_path)) <= _MAX_SOCKET_PATH_BYTES


def _short_folder() -> Path:
    """A new folder, its owner's alone, with a path short enough for a socket."""
    for parent in (Path(tempfile.gettempdir()), *_SHORT_PARENTS):
        if not _fits(parent / "voxfleet-12345678" / "socket"):
            continue
        try:
            return Path(tempfile.mkdtemp(prefix="voxfleet-", dir=parent))
        except OSError as fault:
            _log.warning("no folder for a socket in %s: %s", parent, fault.strerror)
    places = " nor ".join(map(str, _SHORT_PARENTS))
    raise StartError(f"a folder for sockets can be made neither in {places}; make one writable")


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
