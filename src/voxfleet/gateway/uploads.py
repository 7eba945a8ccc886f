"""Takes an upload into a spool file while it arrives, within limits of size and of waiting.

The file exists only inside `receive`: it is gone afterwards, whatever happened. Knows the form's
outside (fields and one file) and nothing of what the fields mean.
"""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from starlette.requests import Request
from starlette.types import Receive

from voxfleet.errors import (
    CancelledError,
    DeadlineError,
    EmptyAudioError,
    OverloadError,
)
from voxfleet.gateway.multipart_form import (
    MAX_FIELD_BYTES,
    MAX_PARTS,
    Form,
    FormParser,
    boundary_of,
    too_large,
)

#: bytes gathered before a thread writes them: few thread switches, and the loop never waits for a
#: disk that is slow
_WRITE_BYTES = 1_000_000
#: text fields and the lines around each part, beside the file itself
_FORM_OVERHEAD_BYTES = MAX_FIELD_BYTES + MAX_PARTS * 1000
_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_DISK_FULL_RETRY_S = 60.0


@dataclass(frozen=True, slots=True)
class Upload:
    """A received file in its spool; `name` is for messages only."""

    path: Path
    name: str
    fields: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Uploads:
    """Where uploads go and what they may cost. `stall_s` is the longest wait for more bytes."""

    folder: Path
    max_file_mb: int
    stall_s: float

    @asynccontextmanager
    async def receive(
        self, request: Request, file_fields: tuple[str, ...]
    ) -> AsyncIterator[Upload]:
        """The whole upload, checked; refuses by the headers alone where they say enough."""
        boundary = boundary_of(request.headers.get("content-type"))
        self._refuse_too_large(request.headers.get("content-length", ""))
        parser = FormParser(boundary, file_fields, self.max_file_mb)
        # not the request's id, which a client may choose and choose twice
        path = self.folder / f"{uuid4().hex}.upload"
        try:
            form = await self._spool(request.receive, parser, path)
            if form.file_bytes == 0:
                raise EmptyAudioError(
                    f"{form.file_name}: the file is empty (0 bytes); send the recording itself",
                    param=file_fields[0],
                )
            yield Upload(path, form.file_name, form.fields)
        finally:
            # not in a thread: this must happen even when the task is cancelled a second time
            path.unlink(missing_ok=True)

    def _refuse_too_large(self, content_length: str) -> None:
        limit = self._max_body_bytes()
        if content_length.isdecimal() and int(content_length[:20]) > limit:
            raise too_large("the upload", self.max_file_mb)

    def _max_body_bytes(self) -> int:
        return self.max_file_mb * 1_000_000 + _FORM_OVERHEAD_BYTES

    async def _spool(self, receive: Receive, parser: FormParser, path: Path) -> Form:
        received = 0
        with _SpoolFile(path) as spool:
            async for chunk in body_chunks(receive, self.stall_s):
                received += len(chunk)
                if received > self._max_body_bytes():
                    raise too_large("the upload", self.max_file_mb)
                parser.feed(chunk)
                if parser.pending_bytes >= _WRITE_BYTES:
                    await asyncio.to_thread(spool.write, parser.take_file_bytes())
            await asyncio.to_thread(spool.write, parser.take_file_bytes())
        return parser.finish()


class _SpoolFile:
    """A new file that only its owner can read; a full disk is told as an overload.

    A cancelled task leaves its writing thread behind: the lock keeps the descriptor from being
    closed, and its number from being given to another file, under that thread's hands.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._descriptor: int | None = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)

    def __enter__(self) -> _SpoolFile:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
            self._descriptor = None

    def write(self, data: bytearray) -> None:
        try:
            with self._lock:
                self._write_all(memoryview(data))
        except OSError as error:
            if error.errno not in _DISK_FULL:
                raise
            raise OverloadError(
                "the server's disk has no room for the upload; try later, and tell its operator",
                retry_after_s=_DISK_FULL_RETRY_S,
            ) from error

    def _write_all(self, left: memoryview) -> None:
        while left and self._descriptor is not None:
            left = left[os.write(self._descriptor, left) :]


async def body_chunks(receive: Receive, stall_s: float) -> AsyncIterator[bytes]:
    """The request's body, piece by piece; raises when the client goes away or sends nothing."""
    more = True
    while more:
        try:
            async with asyncio.timeout(stall_s):
                message = await receive()
        except TimeoutError as error:
            raise DeadlineError(
                f"the upload stalled: no byte came for {stall_s:g} s; send it again"
            ) from error
        if message["type"] == "http.disconnect":
            raise CancelledError("the client went away during the upload")
        more = message.get("more_body", False)
        yield message.get("body", b"")
