"""Live streams and the one process that hears them all, apart from those that decode files.

Knows no sound (nothing here may import numpy) and no client. The process starts with the first
stream; its death is noticed by no stream, as each goes on in the next one where it was.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from pathlib import Path

from voxfleet.audio.fsmn_present import present_fsmn
from voxfleet.audio.live_rate import rate_change
from voxfleet.core import VadMode
from voxfleet.errors import NotReadyError
from voxfleet.media.live_keeper import LiveKeeper
from voxfleet.media.live_settings import LiveHostSettings
from voxfleet.media.live_sound import LiveOptions
from voxfleet.media.live_stream import LiveStream, StreamMessage
from voxfleet.media.spool import new_file_id, prepare, remove, remove_empty
from voxfleet.media.watched_child import WatchedChild
from voxfleet.wire.channel import GarbledMessageError, Hub
from voxfleet.wire.live_messages import LiveFailed, LiveHeard, LiveReady
from voxfleet.wire.messages import FromChild, StartFailed, Stop, ToChild

_log = logging.getLogger(__name__)


class LiveHost:
    """`spool_dir` belongs to one host alone: what a killed one left there goes at the start."""

    def __init__(
        self,
        settings: LiveHostSettings,
        *,
        socket_path: Path,
        spool_dir: Path,
        log_path: Path | None = None,
    ) -> None:
        self._settings = settings
        self._socket_path, self.spool_dir, self._log_path = socket_path, spool_dir, log_path
        self._hub: Hub | None = None
        self._keeper: LiveKeeper | None = None
        self._loops: list[asyncio.Task[None]] = []
        self._removals: set[asyncio.Task[None]] = set()
        self._streams: dict[str, LiveStream] = {}
        #: closed, while the process may still write a file of theirs
        self._leaving: dict[str, LiveStream] = {}
        self._started = asyncio.Event()
        #: why no stream is taken at all; empty while the host runs
        self._closed = "live sound has not been started"

    async def start(self) -> None:
        """Starts no process yet: most servers never hear a live stream."""
        self._closed = ""

    async def wake(self) -> None:
        """Have the process running; raises NotReadyError where it cannot be had."""
        self._refuse()
        if self._keeper is None:
            self._begin()
        await self._process_ready()

    async def stop(self) -> None:
        """In order: no new stream, no reader waits, the process ends, the spool is empty."""
        self._closed = "the server is stopping"
        for stream in list(self._streams.values()):
            stream.fail(NotReadyError(f"{self._closed}; connect again later"))
        self._started.set()
        await self._end_process()
        await asyncio.gather(*self._removals)
        folders = [stream.folder for stream in (*self._streams.values(), *self._leaving.values())]
        self._streams.clear()
        self._leaving.clear()
        await asyncio.to_thread(_remove_all, folders)
        remove_empty(self.spool_dir)

    @property
    def refusal(self) -> str:
        """Why a stream that comes now is not heard, as far as anyone can tell; else empty.

        A process that is yet to be started is no reason.
        """
        return self._closed or (self._keeper.reason if self._keeper else "")

    @property
    def child(self) -> WatchedChild | None:
        """The process, once there is one."""
        return self._keeper.child if self._keeper else None

    async def open(self, options: LiveOptions) -> LiveStream:
        """A new stream, to be closed by the caller.

        Raises ParameterError for a rate or a detector that cannot be had, NotReadyError when no
        process starts.
        """
        self.check(options)
        await self.wake()
        stream_id = new_file_id()
        stream = LiveStream(
            self, stream_id, options, self.spool_dir / stream_id, self._settings.keep_s
        )
        self._streams[stream_id] = stream
        if self.child is not None and self.child.ready:
            stream.hold()
        return stream

    def check(self, options: LiveOptions) -> None:
        """Raises ParameterError for what `open` would not take."""
        rate_change(options.sample_rate_hz)
        self.check_detector(options.vad)

    # -- for the streams --------------------------------------------------------------------

    def check_detector(self, vad: VadMode) -> None:
        if vad is VadMode.FSMN:
            present_fsmn(self._settings.fsmn_dir)

    def tell(self, message: ToChild) -> None:
        """What is for a process that has ended is dropped: the next one is told everything."""
        if self._hub is not None and self.child is not None:
            self._hub.post(self.child.name, message)

    def discard(self, stream: LiveStream) -> None:
        if self._streams.pop(stream.id, None) is None:
            return
        stream.release()
        if stream.writing:
            self._leaving[stream.id] = stream
        else:
            self._remove(stream)

    # -- for the keeper ---------------------------------------------------------------------

    @property
    def owes_a_word(self) -> bool:
        streams = (*self._streams.values(), *self._leaving.values())
        return any(stream.owes_a_word for stream in streams)

    def lost(self) -> None:
        self._started.clear()
        for stream in list(self._streams.values()):
            stream.let_go()
        for stream in list(self._leaving.values()):
            stream.let_go()
            self._leave(stream)

    def hopeless(self, reason: str) -> None:
        self._started.set()
        for stream in list(self._streams.values()):
            stream.fail(NotReadyError(f"{reason}; connect again later"))

    # -- the process ------------------------------------------------------------------------

    def _refuse(self) -> None:
        if self.refusal:
            raise NotReadyError(f"{self.refusal}; connect again later")

    async def _process_ready(self) -> None:
        # ends: the keeper kills a process that does not get ready, and gives up in the end
        await self._started.wait()
        self._refuse()

    def _begin(self) -> None:
        prepare(self.spool_dir)
        self._hub = Hub(self._socket_path)
        self._keeper = LiveKeeper(self._settings, self._hub.address, self._log_path, self)
        self._run(self._receive(self._hub, self._keeper))
        self._run(self._keeper.keep())
        self._run(self._keeper.watch())

    async def _end_process(self) -> None:
        hub, keeper = self._hub, self._keeper
        if hub is None or keeper is None:
            return
        self.tell(Stop())
        await keeper.stop()
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        self._loops.clear()
        # a replacement may have been on its way
        await keeper.stop()
        self._hub = self._keeper = None
        hub.close()

    async def _receive(self, hub: Hub, keeper: LiveKeeper) -> None:
        while True:
            try:
                name, message = await hub.receive()
            except GarbledMessageError as fault:
                if child := keeper.named(fault.child):
                    keeper.end(child, "it sent what is no message")
                continue
            # a message that outlived its process is repeated by the next one
            if child := keeper.named(name):
                self._hear(keeper, child, message)

    def _hear(self, keeper: LiveKeeper, child: WatchedChild, message: FromChild) -> None:
        child.silent_s = 0.0
        match message:
            case LiveReady():
                keeper.welcome(child)
                self._started.set()
                for stream in list(self._streams.values()):
                    stream.hold()
            case StartFailed(failure=failure):
                child.explain(failure)
            case _ if isinstance(message, StreamMessage):
                child.useful = child.useful or isinstance(message, LiveHeard)
                self._hear_of_stream(message)
            case _:
                keeper.end(child, f"it said {type(message).__name__}, which is not its to say")

    def _hear_of_stream(self, message: StreamMessage) -> None:
        if stream := self._streams.get(message.stream_id):
            if isinstance(message, LiveFailed):
                _log.error("a live stream failed: %s", message.failure.message)
            stream.hear(message)
        elif stream := self._leaving.get(message.stream_id):
            stream.hear(message)
            self._leave(stream)

    def _leave(self, stream: LiveStream) -> None:
        """Its folder goes once nobody can write into it."""
        if not stream.writing:
            self._leaving.pop(stream.id, None)
            self._remove(stream)

    def _remove(self, stream: LiveStream) -> None:
        # mostly its pieces have been read, and so removed: then no thread is needed
        if not remove_empty(stream.folder):
            task = asyncio.create_task(asyncio.to_thread(remove, stream.folder))
            self._removals.add(task)
            task.add_done_callback(self._removals.discard)

    def _run(self, loop: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(loop)
        task.add_done_callback(self._loop_ended)
        self._loops.append(task)

    def _loop_ended(self, task: asyncio.Task[None]) -> None:
        """None ends by itself: what did is a fault of ours, and nobody must wait because of it."""
        fault = None if task.cancelled() else task.exception()
        if fault is not None:
            _log.critical("hearing live sound has broken down", exc_info=fault)
            self._closed = f"hearing live sound has broken down ({type(fault).__name__})"
            self.hopeless(self._closed)


def _remove_all(folders: list[Path]) -> None:
    for folder in folders:
        remove(folder)
