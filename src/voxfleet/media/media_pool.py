"""The media processes of this gateway, and the files shared among them.

Knows no sound (nothing here may import numpy or a decoder) and no client. The death of a process is
noticed by nobody but the file it was working on: all others go on elsewhere where they were.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from pathlib import Path

import msgspec

from voxfleet.core import AudioOptions, WorkClass
from voxfleet.errors import CorruptAudioError, NotReadyError, StartError
from voxfleet.media.media_child import MediaChild, least_loaded
from voxfleet.media.media_file import FileMessage, MediaFile
from voxfleet.media.media_settings import MediaSettings
from voxfleet.media.media_supervisor import MediaSupervisor
from voxfleet.media.spool import new_file_id, prepare
from voxfleet.wire.channel import Hub
from voxfleet.wire.messages import (
    CloseFile,
    FileFailed,
    FileFinished,
    FromChild,
    Granted,
    MediaReady,
    OpenFile,
    Recognised,
    SliceEnded,
    StartFailed,
    Stop,
    ToChild,
    WorkerReady,
)

__all__ = ["MediaPool", "MediaSettings"]

_log = logging.getLogger(__name__)
#: with so many failed starts in a row and no process left, those who wait are told so
_MAX_FAILED_STARTS = 3


class MediaPool:
    """`spool_dir` belongs to one pool alone: what a killed one left there goes at the start."""

    def __init__(
        self,
        settings: MediaSettings,
        socket_path: Path,
        spool_dir: Path,
        log_path: Path | None = None,
    ) -> None:
        self._settings = settings
        self._socket_path = socket_path
        self._spool_dir = spool_dir
        self._log_path = log_path
        self._hub: Hub | None = None
        self._supervisor: MediaSupervisor | None = None
        self._outbox: asyncio.Queue[tuple[str, ToChild]] = asyncio.Queue()
        self._loops: list[asyncio.Task[None]] = []
        self._discards: set[asyncio.Task[None]] = set()
        self._files: dict[str, MediaFile] = {}
        self._waiting: list[MediaFile] = []
        self._failed_starts = 0
        self._first_start: asyncio.Future[None] | None = None
        self._running = False

    async def start(self) -> None:
        """Start the processes and wait until the first takes files; raises StartError."""
        prepare(self._spool_dir)
        self._hub = Hub(self._socket_path)
        self._supervisor = MediaSupervisor(
            self._settings, self._hub.address, self._spool_dir, self._log_path, self._lost
        )
        self._first_start = asyncio.get_running_loop().create_future()
        self._running = True
        self._run(self._receive(self._hub))
        self._run(self._send(self._hub))
        self._run(self._supervisor.watch())
        for slot in range(self._settings.processes):
            self._run(self._supervisor.keep(slot))
        try:
            # ends: the watch kills a process that does not get ready
            await self._first_start
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """In order: no new file, no reader waits, the processes end, nothing stays in the spool."""
        self._running = False
        self._fail_all(self._files.values(), "the server is stopping")
        hub, supervisor = self._hub, self._supervisor
        self._hub = self._supervisor = None
        if hub is None or supervisor is None:
            return
        await supervisor.stop(lambda child: hub.send(child.name, Stop()))
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        self._loops.clear()
        # a replacement may have been on its way while the others ended
        await supervisor.stop(lambda child: hub.send(child.name, Stop()))
        await asyncio.gather(*self._discards)
        for file in self._files.values():
            file.remove_folder()
        self._files.clear()
        hub.close()
        self._socket_path.unlink(missing_ok=True)

    def open(
        self,
        path: Path,
        name: str,
        options: AudioOptions | None = None,
        work_class: WorkClass = WorkClass.INTERACTIVE,
    ) -> MediaFile:
        """Have a file decoded; returns at once, what is wrong with it is raised by the file."""
        if not self._running:
            raise NotReadyError(f"{name}: the server is not decoding now; send it again later")
        file_id = new_file_id()
        file = MediaFile(
            self,
            OpenFile(
                file_id,
                str(path),
                name,
                str(self._spool_dir / file_id),
                work_class,
                options or AudioOptions(),
                self._settings.window,
            ),
        )
        self._files[file_id] = file
        self._waiting.append(file)
        self._assign()
        return file

    def taken(self, file: MediaFile) -> None:
        """A segment was read: the process may deliver another."""
        holder = self._holder(file)
        if holder is not None:
            self._outbox.put_nowait((holder.name, Granted(file.id, 1)))

    async def discard(self, file: MediaFile) -> None:
        """Remove all traces once no process can leave new ones, even if the caller is gone."""
        if file.id in self._files:
            task = asyncio.create_task(self._discard(file))
            self._discards.add(task)
            task.add_done_callback(self._discards.discard)
            await asyncio.shield(task)

    async def _discard(self, file: MediaFile) -> None:
        if file in self._waiting:
            self._waiting.remove(file)
        holder = self._holder(file)
        if holder:
            self._outbox.put_nowait((holder.name, CloseFile(file.id)))
        # ends: the watch kills a process that does not answer
        await file.unheld()
        file.remove_folder()
        self._files.pop(file.id, None)

    def _holder(self, file: MediaFile) -> MediaChild | None:
        return next((child for child in self._children() if file.id in child.files), None)

    def _children(self) -> Iterable[MediaChild]:
        return self._supervisor.children.values() if self._supervisor else ()

    async def _receive(self, hub: Hub) -> None:
        while True:
            try:
                name, message = await hub.receive()
            except msgspec.DecodeError:
                # the watch ends a process that says nothing anybody understands
                _log.exception("a media process sent what is no message")
                continue
            # a message that outlived its process is repeated by the next one
            child = self._supervisor.children.get(name) if self._supervisor else None
            if child is not None:
                self._hear(child, message)

    def _hear(self, child: MediaChild, message: FromChild) -> None:
        child.silent_s = 0.0
        match message:
            case MediaReady():
                self._welcome(child)
            case StartFailed(failure=failure):
                child.start_failure = failure
            case WorkerReady() | Recognised():
                _log.error("%s: said %s, which is not its to say", child.name, message)
            case _:
                self._hear_of_file(child, message)

    def _hear_of_file(self, child: MediaChild, message: FileMessage) -> None:
        child.useful = child.useful or isinstance(message, SliceEnded)
        file = child.files.get(message.file_id)
        if file is None:
            return
        file.hear(message)
        if isinstance(message, FileFinished | FileFailed):
            self._let_go(child, file)

    def _welcome(self, child: MediaChild) -> None:
        child.ready = True
        self._failed_starts = 0
        if self._first_start is not None and not self._first_start.done():
            self._first_start.set_result(None)
        self._assign()

    def _assign(self) -> None:
        """Give the files that wait to the processes that are ready."""
        while self._waiting:
            child = least_loaded(self._children(), self._waiting[0].work_class)
            if child is None:
                return
            file = self._waiting.pop(0)
            child.files[file.id] = file
            self._outbox.put_nowait((child.name, file.hold()))

    def _let_go(self, child: MediaChild, file: MediaFile) -> None:
        del child.files[file.id]
        file.let_go()

    def _lost(self, child: MediaChild, in_work: str | None, how: str) -> None:
        """A process has died: the file it worked on is blamed, the others go on elsewhere."""
        for file in list(child.files.values()):
            self._let_go(child, file)
            if file.id == in_work and file.blame():
                file.fail(CorruptAudioError(self._blame(file, child, how)))
            if not file.over:
                self._waiting.append(file)
        if not child.ready and self._running:
            self._count_failed_start(child, how)
        self._assign()

    def _blame(self, file: MediaFile, child: MediaChild, how: str) -> str:
        fault = f"decoding it killed its process ({how})"
        if child.hung:
            fault = f"one step of decoding took over {self._settings.step_timeout_s:g} s"
        return f"{file.name}: {fault}, {file.deaths} times; convert it to WAV or FLAC"

    def _count_failed_start(self, child: MediaChild, how: str) -> None:
        self._failed_starts += 1
        reason = f"decoding cannot start: a media process {how}; the log says more"
        if child.start_failure is not None:
            reason = f"decoding cannot start: {child.start_failure.message}"
        if self._first_start is not None and not self._first_start.done():
            self._first_start.set_exception(StartError(reason))
        nobody_left = not any(other.able for other in self._children())
        if self._failed_starts >= _MAX_FAILED_STARTS and nobody_left:
            self._fail_all(self._waiting, reason)
            self._waiting.clear()

    async def _send(self, hub: Hub) -> None:
        while True:
            name, message = await self._outbox.get()
            # a process that is not there any more is buried with its files soon
            await hub.send(name, message)

    def _run(self, loop: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(loop)
        task.add_done_callback(self._loop_ended)
        self._loops.append(task)

    def _loop_ended(self, task: asyncio.Task[None]) -> None:
        """None ends by itself: what did is a fault of ours, and nobody must wait because of it."""
        fault = None if task.cancelled() else task.exception()
        if fault is None:
            return
        _log.critical("decoding has broken down", exc_info=fault)
        self._running = False
        reason = f"decoding has broken down ({type(fault).__name__})"
        self._fail_all(self._files.values(), reason)
        if self._first_start is not None and not self._first_start.done():
            self._first_start.set_exception(StartError(reason))

    def _fail_all(self, files: Iterable[MediaFile], reason: str) -> None:
        for file in files:
            file.fail(NotReadyError(f"{file.name}: {reason}; send it again later"))
