"""The sockets between the gateway and its child processes: ZeroMQ over `ipc://`, children dial in.

Knows how a message travels and whom it came from; knows nothing of what it means. Whoever can open
the socket can speak, so it is its owner's alone.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import tempfile
from collections import deque
from contextlib import suppress
from pathlib import Path

import msgspec
import zmq

from voxfleet.errors import StartError
from voxfleet.wire.messages import FromChild, Heartbeat, ToChild

#: the kernel's limit for a Unix socket's path (sun_path), less the closing zero
_MAX_SOCKET_PATH_BYTES = 107
#: where a socket goes whose own folder has too long a path
_SHORT_PARENTS = (Path("/tmp"), Path("/dev/shm"))  # noqa: S108 - mkdtemp makes a private folder
_log = logging.getLogger(__name__)
#: ends the name under which a child's second socket speaks, that of its heartbeat's thread
BEAT_SUFFIX = "!"

#: how many messages are taken off a socket at once
_MESSAGES_A_TURN = 100

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
        self._context = zmq.Context()
        self._socket = _router(self._context)
        try:
            self._socket.bind(self.address)
            socket_path.chmod(0o600)
        except (zmq.ZMQError, OSError) as fault:
            self._end()
            raise StartError(
                f"{socket_path}: no socket can be made there ({fault}); make its folder writable"
            ) from None
        self._inbox = _Inbox(self._socket)
        #: messages that came together, and the child they came from
        self._read: deque[tuple[str, FromChild]] = deque()

    async def receive(self) -> tuple[str, FromChild]:
        """The next message and the name of the child it came from; raises GarbledMessageError.

        Cancelled when the hub is closed meanwhile.
        """
        while not self._read:
            name, *frames = await self._inbox.take()
            speaker = name.decode(errors="replace")
            child = speaker.removesuffix(BEAT_SUFFIX)
            try:
                self._read.extend((child, _decoded(frame, speaker != child)) for frame in frames)
            except (msgspec.DecodeError, UnicodeDecodeError) as fault:
                raise GarbledMessageError(child, fault) from None
        return self._read.popleft()

    async def send(self, child: str, message: ToChild) -> bool:
        """`post`, as something to wait for."""
        return self.post(child, message)

    def post(self, child: str, message: ToChild) -> bool:
        """Hand a message to a child, at once; False when no child of that name is connected."""
        try:
            self._socket.send_multipart([child.encode(), _encoder.encode(message)], zmq.NOBLOCK)
        except zmq.ZMQError as fault:
            if fault.errno in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                return False
            raise
        finally:
            self._inbox.look()
        return True

    def close(self) -> None:
        """Also removes the socket's file, and the folder that was made for it."""
        self._path.unlink(missing_ok=True)
        self._inbox.close()
        self._end()

    def _end(self) -> None:
        self._socket.close(linger=0)
        self._context.term()
        if self._private_folder is not None:
            shutil.rmtree(self._private_folder, ignore_errors=True)


def _decoded(frame: bytes, is_beat: bool) -> FromChild:
    message = _from_child.decode(frame)
    if is_beat and not isinstance(message, Heartbeat):
        raise msgspec.DecodeError(f"{type(message).__name__} is no heartbeat")
    return message


def _router(context: zmq.Context[zmq.Socket[bytes]]) -> zmq.Socket[bytes]:
    socket = context.socket(zmq.ROUTER)
    # a restarted child takes its name over from the dead one's connection
    socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
    socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.SNDHWM, 0)
    socket.setsockopt(zmq.RCVHWM, 0)
    return socket


class _Inbox:
    """What has come to a socket, taken off it when the event loop sees its descriptor ready.

    pyzmq's own asyncio socket does the same, for a fifth of all the gateway's work: it makes
    futures and turns of the loop for each message. ZeroMQ's descriptor tells only once that there
    is something new: whoever did anything with the socket must look, or nobody is told again.
    """

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self._socket = socket
        self._loop = asyncio.get_running_loop()
        self._descriptor = socket.fileno()
        self._messages: deque[list[bytes]] = deque()
        self._takers: list[asyncio.Future[None]] = []
        self._loop.add_reader(self._descriptor, self.look)
        self.look()

    async def take(self) -> list[bytes]:
        while not self._messages:
            taker = self._loop.create_future()
            self._takers.append(taker)
            await taker
        return self._messages.popleft()

    def look(self) -> None:
        """Take what has come; of very much only some, as others want their turn of the loop."""
        try:
            for _ in range(_MESSAGES_A_TURN):
                self._messages.append(self._socket.recv_multipart(zmq.NOBLOCK))
        except zmq.Again:
            # nothing more: from here on the descriptor tells
            pass
        else:
            self._loop.call_soon(self._look_again)
        if self._messages:
            self._wake_all()

    def _look_again(self) -> None:
        if not self._socket.closed:
            self.look()

    def close(self) -> None:
        """To be called while the socket is open: later its descriptor may be another's."""
        self._loop.remove_reader(self._descriptor)
        for taker in self._takers:
            taker.cancel()

    def _wake_all(self) -> None:
        takers, self._takers = self._takers, []
        for taker in takers:
            # one that was cancelled is done
            if not taker.done():
                taker.set_result(None)


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
        # what was said last must still arrive after close: an answer, or why the start failed
        self._context, self._socket = _dealer(address, name, linger_ms=2_000)

    def send(self, *messages: FromChild) -> None:
        """All of them together: the gateway is woken once."""
        if messages:
            self._socket.send_multipart([_encoder.encode(message) for message in messages])

    def receive(self, timeout_s: float | None = None) -> ToChild | None:
        """The next message, or None when none came in `timeout_s` (None waits for ever)."""
        if timeout_s is not None and not self._socket.poll(int(timeout_s * 1000)):
            return None
        return _to_child.decode(self._socket.recv())

    def close(self) -> None:
        self._socket.close()
        self._context.term()


class BeatDial:
    """The second end of the child `name`, for its heartbeats; used by one thread.

    Never waits: a beat that nobody takes is dropped, as the next one says more.
    """

    def __init__(self, address: str, name: str) -> None:
        self._context, self._socket = _dealer(address, name + BEAT_SUFFIX, linger_ms=0)

    def send(self, beat: Heartbeat) -> None:
        with suppress(zmq.Again):
            self._socket.send(_encoder.encode(beat), zmq.NOBLOCK)

    def close(self) -> None:
        self._socket.close()
        self._context.term()


def _dealer(
    address: str, identity: str, *, linger_ms: int
) -> tuple[zmq.Context[zmq.Socket[bytes]], zmq.Socket[bytes]]:
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.IDENTITY, identity.encode())
    socket.setsockopt(zmq.LINGER, linger_ms)
    socket.connect(address)
    return context, socket
