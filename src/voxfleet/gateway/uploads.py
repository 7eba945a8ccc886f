"""Takes an upload into a spool file while it arrives, within limits of size and pace.

The file exists only inside `receive`: it is gone afterwards, whatever happened. Knows the form's
outside (fields and one file) and nothing of what the fields mean.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from starlette.requests import Request
from starlette.types import Message, Receive

from voxfleet.errors import (
    CancelledError,
    DeadlineError,
    EmptyAudioError,
)
from voxfleet.gateway.multipart_form import (
    MAX_FIELD_BYTES,
    MAX_PARTS,
    Form,
    FormParser,
    boundary_of,
    too_large,
)
from voxfleet.gateway.spool_file import WRITE_BYTES, WRITE_PIECES, SpoolFile
from voxfleet.gateway.upload_pace import MIN_UPLOAD_BYTES_PER_S, UPLOAD_WINDOW_S, UploadPace
from voxfleet.observe.stages import UNOBSERVED, Stage, Stages

#: text fields and the lines around each part, beside the file itself
_FORM_OVERHEAD_BYTES = MAX_FIELD_BYTES + MAX_PARTS * 1000


@dataclass(frozen=True, slots=True)
class Upload:
    """A received file in its spool; `name` is for messages only."""

    path: Path
    name: str
    fields: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Uploads:
    """Where uploads go and how large one may be."""

    folder: Path
    max_file_mb: int
    stages: Stages = UNOBSERVED

    @asynccontextmanager
    async def receive(
        self, request: Request, file_fields: tuple[str, ...]
    ) -> AsyncIterator[Upload]:
        """The whole upload, checked; refuses by the headers alone where they say enough."""
        boundary = boundary_of(request.headers.get("content-type"))
        self._refuse_too_large(request.headers.get("content-length", ""))
        parser = FormParser(boundary, file_fields, self.max_file_mb)
        # not the request's id, which a client may choose and choose twice
        spool = SpoolFile(self.folder / f"{uuid4().hex}.upload")
        try:
            with self.stages.timed(Stage.UPLOAD):
                form = await self._spool(request.receive, parser, spool)
            if form.file_bytes == 0:
                raise EmptyAudioError(
                    f"{form.file_name}: the file is empty (0 bytes); send the recording itself",
                    param=file_fields[0],
                )
            yield Upload(spool.path, form.file_name, form.fields)
        finally:
            await spool.remove()

    def _refuse_too_large(self, content_length: str) -> None:
        limit = self._max_body_bytes()
        if content_length.isdecimal() and int(content_length[:20]) > limit:
            raise too_large("the upload", self.max_file_mb)

    def _max_body_bytes(self) -> int:
        return self.max_file_mb * 1_000_000 + _FORM_OVERHEAD_BYTES

    async def _spool(self, receive: Receive, parser: FormParser, spool: SpoolFile) -> Form:
        received = 0
        pace = UploadPace(UPLOAD_WINDOW_S, MIN_UPLOAD_BYTES_PER_S)
        async for chunk in body_chunks(receive, pace):
            received += len(chunk)
            if received > self._max_body_bytes():
                raise too_large("the upload", self.max_file_mb)
            parser.feed(chunk)
            if parser.pending_bytes >= WRITE_BYTES or parser.pending_pieces >= WRITE_PIECES:
                await asyncio.to_thread(spool.write, parser.take_file_bytes())
        if parser.pending_bytes:
            await asyncio.to_thread(spool.write, parser.take_file_bytes())
        return parser.finish()


class _Patience:
    """A limit for each of many waits of a task, with one timer for all: each its own costs more
    than the chunk that comes. When it rings, it looks whether the present wait has had its time.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        #: when the present wait is over; None while nobody waits
        self._ends_s: float | None = None
        self._rang = False

    async def wait(self, receive: Receive, limit_s: float) -> Message:
        """What `receive` gives; raises TimeoutError as asyncio.timeout would."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("only a task can be waited in")
        cancelled_before = task.cancelling()
        self._ends_s = self._loop.time() + limit_s
        if self._timer is None or self._timer.when() > self._ends_s:
            self._set(self._ends_s, task)
        try:
            return await receive()
        except asyncio.CancelledError as error:
            # somebody else may have cancelled the task too, which then goes first
            if self._rang and task.uncancel() <= cancelled_before:
                raise TimeoutError from error
            raise
        finally:
            self._ends_s = None

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _set(self, when_s: float, task: asyncio.Task[object]) -> None:
        self.end()
        self._timer = self._loop.call_at(when_s, self._ring, task)

    def _ring(self, task: asyncio.Task[object]) -> None:
        self._timer = None
        if self._ends_s is None:
            return
        if self._loop.time() < self._ends_s:
            self._set(self._ends_s, task)
            return
        self._rang = True
        task.cancel()


async def body_chunks(receive: Receive, pace: UploadPace) -> AsyncIterator[bytes]:
    """The request's body, piece by piece; raises when the client goes away or is too slow."""
    clock = asyncio.get_running_loop().time
    patience = _Patience()
    more = True
    try:
        while more:
            waits_since_s = clock()
            try:
                message = await patience.wait(receive, pace.left_s)
            except TimeoutError as error:
                raise DeadlineError(pace.fault) from error
            if message["type"] == "http.disconnect":
                raise CancelledError("the client went away during the upload")
            chunk = message.get("body", b"")
            more = message.get("more_body", False)
            pace.came(len(chunk), clock() - waits_since_s)
            yield chunk
            if more and not pace.left_s:
                raise DeadlineError(pace.fault)
    finally:
        patience.end()
