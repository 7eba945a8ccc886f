"""One file of a job while it is in work: fetched, heard, and how far it is.

Knows the request it becomes and what may be told of it; no queue of files, and no table.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

from voxfleet.core import AudioInfo, Hypothesis, SpooledSegment, Transcription, WorkClass
from voxfleet.jobs.job import ClaimedFile, FileProgress, FileResult, FileSource, Lease
from voxfleet.jobs.result_codec import transcription_bytes
from voxfleet.jobs.segment_checkpoints import SegmentCheckpoints
from voxfleet.transcribe.transcribe_request import TranscribeRequest

Transcribe = Callable[[TranscribeRequest], Awaitable[Transcription]]


class Sources(Protocol):
    def local(self, source: FileSource) -> AbstractAsyncContextManager[Path]:
        """The file's bytes where they can be read, fetched first where they lie elsewhere.

        Raises VoxfleetError; `retryable` tells whether they may be there later.
        """
        ...


class FileRun:
    """One claim of a file; also who listens to its request.

    `ending`: what it came to is being stored. `settled`: nothing more is to be stored of it.
    """

    def __init__(self, claimed: ClaimedFile, parts: SegmentCheckpoints) -> None:
        self.claimed = claimed
        self.parts = parts
        self.ending = False
        self.settled = False
        self._heard_s = 0.0
        self._duration_s: float | None = None

    @property
    def lease(self) -> Lease:
        return self.claimed.lease

    @property
    def label(self) -> str:
        return f"{self.lease.job_id}-{self.lease.position}"

    @property
    def place(self) -> tuple[str, int]:
        """For a line of the log."""
        return self.lease.job_id, self.lease.position

    def opened(self, info: AudioInfo) -> None:
        self._duration_s = info.duration_s

    def recognised(self, segment: SpooledSegment, hypothesis: Hypothesis) -> None:  # noqa: ARG002
        self._heard_s = max(self._heard_s, segment.end_s)

    def progress(self) -> FileProgress:
        return FileProgress(self.lease, self._heard_s, self._duration_s)

    async def result(self, sources: Sources, transcribe: Transcribe) -> FileResult:
        """Raises VoxfleetError; what is kept of a file without a result is in `parts`."""
        async with sources.local(self.claimed.source) as path, self.parts:
            answer = await transcribe(self._request(path))
        return FileResult(transcription_bytes(answer), answer.duration_s, answer.cached)

    def _request(self, path: Path) -> TranscribeRequest:
        options = self.claimed.options
        return TranscribeRequest(
            path,
            self.claimed.source.name,
            model=options.model,
            work_class=WorkClass.BATCH,
            audio=options.audio,
            recognition=options.recognition,
            text=options.text,
            id=self.label,
            client=self.claimed.client,
            listener=self,
            checkpoints=self.parts,
            use_results=options.use_cache,
            use_decoded=options.use_cache,
        )
