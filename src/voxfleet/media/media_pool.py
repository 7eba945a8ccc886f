"""The media processes of this gateway, and the files shared among them.

Knows no sound (nothing here may import numpy or a decoder) and no client. The death of a process is
noticed by nobody but the file it was working on: all others go on elsewhere where they were.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Coroutine, Iterable
from pathlib import Path

import msgspec

from voxfleet.audio.displayed_name import displayed_name
from voxfleet.core import AudioOptions, WorkClass
from voxfleet.errors import CorruptAudioError, NotReadyError, StartError, VoxfleetError
from voxfleet.media.media_child import MediaChild, death_fault, least_loaded
from voxfleet.media.media_file import FileMessage, MediaFile
from voxfleet.media.media_settings import MediaSettings
from voxfleet.media.media_starts import Starts
from voxfleet.media.media_supervisor import MediaSupervisor
from voxfleet.media.spool import new_file_id, prepare, remove_empty
from voxfleet.wire.channel import Hub
from voxfleet.wire.messages import (
    CloseFile,
    FileFailed,
    FileFinished,
    FromChild,
    Granted,
    MediaReady,
    OpenFile,
    SliceEnded,
    StartFailed,
    Stop,
    ToChild,
)

_log = logging.getLogger(__name__)
_STARTING = "no decoding process is ready; one is starting"


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
        self._socket_path, self.spool_dir, self._log_path = socket_path, spool_dir, log_path
        self._hub: Hub | None = None
        self._supervisor: MediaSupervisor | None = None
        self._loops: list[asyncio.Task[None]] = []
        self._discards: set[asyncio.Task[None]] = set()
        self._files: dict[str, MediaFile] = {}
        self._waiting: list[MediaFile] = []
        self._starts = Starts(settings.processes)
        self._first_start: asyncio.Future[None] | None = None
        #: why no file is taken at all; empty while the pool runs
        self._closed = "decoding has not been started"

    async def start(self) -> None:
        """Start the processes and wait until one takes files; raises StartError when none can."""
        await asyncio.to_thread(prepare, self.spool_dir)
        self._hub = Hub(self._socket_path)
        self._supervisor = MediaSupervisor(
            self._settings,
            self._hub.address,
            self.spool_dir,
            self._log_path,
            self._lost,
            self._unstarted,
        )
        self._first_start = asyncio.get_running_loop().create_future()
        self._closed = ""
        self._run(self._receive(self._hub))
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
        self._closed = "the server is stopping"
        self._fail_all(self._files.values(), self._closed)
        hub, supervisor = self._hub, self._supervisor
        self._hub = self._supervisor = None
        if hub is None or supervisor is None:
            return
        await supervisor.stop(lambda child: hub.send(child.name, Stop()))
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        self._loops.clear()
        # a replacement may have been on its way
        await supervisor.stop(lambda child: hub.send(child.name, Stop()))
        await asyncio.gather(*self._discards)
        await asyncio.gather(*map(_remove_folder, self._files.values()))
        self._files.clear()
        hub.close()
        self._socket_path.unlink(missing_ok=True)

    @property
    def ready(self) -> bool:
        """Whether a file that comes now is decoded at once."""
        return not self._closed and any(child.able for child in self.children())

    @property
    def refusal(self) -> str:
        """Why not; empty when ready."""
        return "" if self.ready else self._closed or self._starts.reason or _STARTING

    def open(
        self,
        path: Path,
        name: str,
        options: AudioOptions | None = None,
        work_class: WorkClass = WorkClass.INTERACTIVE,
    ) -> MediaFile:
        """Have a file decoded; returns at once, what is wrong with it is raised by the file."""
        name = displayed_name(name)
        if self._closed:
            raise NotReadyError(f"{name}: {self._closed}; send it again later")
        file_id = new_file_id()
        order = OpenFile(
            file_id,
            os.fsencode(path),
            name,
            str(self.spool_dir / file_id),
            work_class,
            options or AudioOptions(),
            self._settings.window,
        )
        self._files[file_id] = file = MediaFile(self, order)
        self._waiting.append(file)
        self._assign()
        return file

    def taken(self, file: MediaFile) -> None:
        """A segment was read: the process may deliver another."""
        holder = self._holder(file)
        if holder is not None:
            self._tell(holder, Granted(file.id, 1))

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
            self._tell(holder, CloseFile(file.id))
        # ends: the watch kills a process that does not answer
        await file.unheld()
        # mostly its segments have been read, and so removed: then no thread is needed
        if not remove_empty(self.spool_dir / file.id):
            await _remove_folder(file)
        self._files.pop(file.id, None)

    def _holder(self, file: MediaFile) -> MediaChild | None:
        return next((child for child in self.children() if file.id in child.files), None)

    def children(self) -> Iterable[MediaChild]:
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
                child.explain(failure)
            case _ if isinstance(message, FileMessage):
                self._hear_of_file(child, message)
            case _:
                _log.error("%s: said %s, which is not its to say", child.name, message)

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
        self._starts.succeed()
        if self._first_start is not None and not self._first_start.done():
            self._first_start.set_result(None)
        self._assign()

    def _assign(self) -> None:
        """Give the files that wait to the processes that are ready."""
        while self._waiting:
            child = least_loaded(self.children(), self._waiting[0].work_class)
            if child is None:
                return
            file = self._waiting.pop(0)
            child.files[file.id] = file
            self._tell(child, file.hold())

    def _let_go(self, child: MediaChild, file: MediaFile) -> None:
        del child.files[file.id]
        file.let_go()

    def _lost(self, child: MediaChild, in_work: str | None, how: str) -> None:
        """A process has died: the file it worked on is blamed, the others go on elsewhere."""
        for file in list(child.files.values()):
            self._let_go(child, file)
            if file.id == in_work and file.blame():
                fault = death_fault(child, how, self._settings.step_timeout_s)
                text = f"{file.name}: {fault}, {file.deaths} times; convert it to WAV or FLAC"
                file.fail(CorruptAudioError(text))
            if not file.over:
                self._waiting.append(file)
        self._assign()

    def _unstarted(self, slot: int, why: str) -> None:
        """A process did not get ready: those who wait are told so when none is expected to."""
        if self._closed:
            return
        self._starts.fail(slot, why)
        if self._starts.all_failed:
            self._give_up_start(self._starts.reason)
        if self._starts.hopeless and not self.ready:
            self._fail_all(self._waiting, self._starts.reason)
            self._waiting.clear()

    def _give_up_start(self, reason: str) -> None:
        if self._first_start is not None and not self._first_start.done():
            self._first_start.set_exception(StartError(reason))

    def _tell(self, child: MediaChild, message: ToChild) -> None:
        """What is for a process that has ended is dropped."""
        try:
            if self._hub is not None:
                self._hub.post(child.name, message)
        except (TypeError, ValueError, OverflowError) as fault:
            _log.error("%s: cannot be told %r", child.name, message, exc_info=fault)
            if isinstance(message, OpenFile):
                # no process can be told of this file: that is its end, and nobody else's
                file = child.files[message.file_id]
                self._let_go(child, file)
                text = f"cannot be handed to decoding ({type(fault).__name__})"
                file.fail(VoxfleetError(f"{file.name}: {text}; the server's log says more"))

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
        self._closed = f"decoding has broken down ({type(fault).__name__})"
        self._fail_all(self._files.values(), self._closed)
        self._give_up_start(self._closed)

    def _fail_all(self, files: Iterable[MediaFile], reason: str) -> None:
        for file in files:
            file.fail(NotReadyError(f"{file.name}: {reason}; send it again later"))


async def _remove_folder(file: MediaFile) -> None:
    await asyncio.to_thread(file.remove_folder)
