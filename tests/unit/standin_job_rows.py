"""The rows of the job store in memory: which file is held, which is next, what a change does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from voxfleet.errors import VoxfleetError
from voxfleet.jobs.job import (
    FINAL_JOBS,
    NEXT,
    FileCounts,
    FileState,
    Job,
    JobFile,
    JobFilter,
    Lease,
    NewJob,
    Priority,
)

_ORDER = {Priority.HIGH: 0, Priority.NORMAL: 1, Priority.LOW: 2}


@dataclass(slots=True)
class StoredFile:
    file: JobFile
    token: int = 0
    server: str = ""
    lease_until_s: float = 0.0
    not_before_s: float = 0.0
    result: bytes | None = None
    archive_due: bool = False
    parts: dict[str, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class StoredJob:
    new: NewJob
    job: Job
    files: list[StoredFile]


class StandinRows:
    """`away` is raised by every call while it is set; `calls` are their names."""

    def __init__(self) -> None:
        self.stored: dict[str, StoredJob] = {}
        self.away: VoxfleetError | None = None
        self.calls: list[str] = []

    def called(self, name: str) -> None:
        self.calls.append(name)
        if self.away:
            raise self.away

    def file(self, job_id: str, position: int = 0) -> JobFile:
        return self.stored[job_id].files[position].file

    # -- how it is kept -------------------------------------------------------------------------

    def held(self, lease: Lease) -> StoredFile | None:
        stored = self.stored.get(lease.job_id)
        row = stored.files[lease.position] if stored else None
        held = row and row.token == lease.token and row.file.state is FileState.RUNNING
        return row if held else None

    def next(self, now_s: float) -> tuple[StoredJob, StoredFile] | None:
        running = Counter(
            stored.new.client
            for stored in self.stored.values()
            for row in stored.files
            if row.file.state is FileState.RUNNING
        )
        # of equals, min takes the first: the oldest
        return min(
            (
                (stored, row)
                for stored in self.stored.values()
                for row in stored.files
                if row.file.state is FileState.QUEUED and row.not_before_s <= now_s
            ),
            key=lambda found: (_ORDER[found[0].new.priority], running[found[0].new.client]),
            default=None,
        )

    def requeue(self, now_s: float, lost: Callable[[StoredFile], bool]) -> int:
        count = 0
        for job_id, stored in self.stored.items():
            for row in stored.files:
                if row.file.state is FileState.RUNNING and lost(row):
                    count += 1
                    self.change(job_id, row, now_s, replace(row.file, state=FileState.QUEUED))
        return count

    def change(self, job_id: str, row: StoredFile, now_s: float, file: JobFile) -> None:
        stored = self.stored[job_id]
        assert file.state in NEXT[row.file.state], (row.file.state, file.state)
        version = stored.job.version + 1
        row.file = replace(file, version=version)
        states = Counter(each.file.state.value for each in stored.files)
        job = replace(stored.job, counts=FileCounts(**states), version=version)
        if file.state is FileState.RUNNING and job.started_s is None:
            job = replace(job, started_s=now_s)
        finished = job.state in FINAL_JOBS
        stored.job = replace(job, finished_s=now_s if finished else None)


def fits(job: Job, wanted: JobFilter) -> bool:
    after_s, before_s = wanted.created_after_s, wanted.created_before_s
    return (
        wanted.owner in (None, job.owner)
        and (not wanted.states or job.state in wanted.states)
        and (after_s is None or job.created_s > after_s)
        and (before_s is None or job.created_s < before_s)
    )
