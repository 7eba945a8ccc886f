"""A file that is being decoded, as the gateway sees it: its segments as they come, or its error.

Knows neither the process that decodes nor any sound; `MediaPool` tells it what has happened.
"""

from __future__ import annotations

import asyncio
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import msgspec

from voxfleet.core import AudioInfo, SpooledSegment
from voxfleet.errors import CancelledError, VoxfleetError, rebuild
from voxfleet.media.spool import remove
from voxfleet.wire.messages import (
    FileFailed,
    FileFinished,
    FileOpened,
    OpenFile,
    SegmentCut,
    SliceBegun,
    SliceEnded,
)

FileMessage = FileOpened | SliceBegun | SegmentCut | SliceEnded | FileFinished | FileFailed

#: deaths without progress in between, and in all, after which a file is not tried again
_MAX_DEATHS_HERE = 2
_MAX_DEATHS = 10


class FileKeeper(Protocol):
    """Whoever gave the file out and is told what its reader does."""

    def taken(self, file: MediaFile) -> None: ...
    async def discard(self, file: MediaFile) -> None: ...


class MediaFile:
    """Iterate over its segments; afterwards `duration_s`, `channels` and `warnings` are true.

    One reader at a time, which deletes each segment's file; `close` removes all that is left.
    """

    def __init__(self, keeper: FileKeeper, order: OpenFile) -> None:
        self.id = order.file_id
        self.name = order.name
        self.work_class = order.work_class
        self.duration_s = 0.0
        self.decoded_s = 0.0
        self.channels = 0
        self.warnings: tuple[str, ...] = ()
        #: processes that died while working on this file, and the last of them at one place
        self.deaths = 0
        self._deaths_here = 0
        self._died_at_s = -1.0
        self._keeper = keeper
        self._order = order
        self._info: AudioInfo | None = None
        self._error: VoxfleetError | None = None
        self._unread: deque[SpooledSegment] = deque()
        self._received = 0
        self._finished = False
        self._changed = asyncio.Event()
        self._unheld = asyncio.Event()
        self._unheld.set()

    # -- for the reader ---------------------------------------------------------------------

    async def info(self) -> AudioInfo:
        """What the file says of itself, once it has been opened; raises the file's error."""
        while self._info is None:
            await self._change()
        return self._info

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SpooledSegment:
        while not self._unread or self._error:
            if self._finished and not self._error:
                raise StopAsyncIteration
            await self._change()
        segment = self._unread.popleft()
        self._keeper.taken(self)
        return segment

    async def close(self) -> None:
        """Stop decoding and leave nothing behind; to be called however the reading ended."""
        self.fail(CancelledError(f"{self.name}: closed before its end was read"))
        await self._keeper.discard(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _change(self) -> None:
        if self._error is None:
            self._changed.clear()
            await self._changed.wait()
        if self._error is not None:
            raise self._error

    # -- for the pool -----------------------------------------------------------------------

    def hold(self) -> OpenFile:
        """A process writes into its folder from now; this tells it what to do, and from where."""
        self._unheld.clear()
        return msgspec.structs.replace(
            self._order,
            window=self._order.window - len(self._unread),
            skip_segments=self._received,
        )

    def blame(self) -> bool:
        """A process died working on it; True when that is the file's own fault.

        Whoever goes on beyond the place of a death was not its cause: processes are also killed
        from outside, and a long file is most likely to be at work then.
        """
        same_place = self.decoded_s <= self._died_at_s
        self._deaths_here = self._deaths_here + 1 if same_place else 1
        self._died_at_s = self.decoded_s
        self.deaths += 1
        return self._deaths_here >= _MAX_DEATHS_HERE or self.deaths >= _MAX_DEATHS

    def let_go(self) -> None:
        self._unheld.set()

    async def unheld(self) -> None:
        """Wait until no process writes into its folder any more."""
        await self._unheld.wait()

    def remove_folder(self) -> None:
        """May take a while: not for the event loop."""
        remove(Path(self._order.spool_dir))

    @property
    def over(self) -> bool:
        """Nothing more will be decoded of it."""
        return self._finished or self._error is not None

    @property
    def wants_work(self) -> bool:
        """A process that holds it owes it progress: it is not paused by a full window."""
        return len(self._unread) < self._order.window or self._error is not None

    def hear(self, message: FileMessage) -> None:
        """What the process that holds it has done."""
        match message:
            case FileOpened(info=info):
                self._info = info
            case SegmentCut():
                self._cut(message)
            case SliceEnded(decoded_s=decoded_s):
                self._progress(decoded_s)
            case FileFinished():
                self._finish(message)
            case FileFailed(failure=failure):
                self.fail(rebuild(failure.code, failure.message, failure.param))
            case SliceBegun():
                return
        self._changed.set()

    def _cut(self, message: SegmentCut) -> None:
        segment = SpooledSegment(
            f"{self.id}-{message.index}",
            Path(message.path),
            message.start_s,
            message.sample_count,
            message.channel,
            digest=message.digest,
        )
        self._received = message.index + 1
        self._unread.append(segment)
        self._progress(message.decoded_s)

    def _progress(self, decoded_s: float) -> None:
        """A second process starts over, which is no step back for whoever watches."""
        self.decoded_s = max(self.decoded_s, decoded_s)

    def _finish(self, message: FileFinished) -> None:
        self.duration_s = self.decoded_s = message.duration_s
        self.channels = message.channels
        self.warnings = message.warnings
        self._finished = True

    def fail(self, error: VoxfleetError) -> None:
        """The first error is the one that is told; a file that was read to its end has none."""
        if not self.over:
            self._error = error
            self._changed.set()
