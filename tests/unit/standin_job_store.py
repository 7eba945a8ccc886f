"""A job store in memory, as its contract says: for tests of those who use one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tests.unit.standin_job_rows import StandinRows, StoredFile, StoredJob, fits
from voxfleet.errors import ConflictError
from voxfleet.jobs.job import (
    FINAL_FILES,
    FINAL_JOBS,
    Archive,
    ArchiveDue,
    ClaimedFile,
    FileCounts,
    FileFault,
    FileProgress,
    FileResult,
    FileState,
    Job,
    JobFile,
    JobFilter,
    JobPage,
    Lease,
    NewJob,
)


class StandinJobStore(StandinRows):
    """See `JobStore`; tests may look at `stored`, and set `away`."""

    # -- for clients ----------------------------------------------------------------------------

    async def enqueue(self, job: NewJob, now_s: float) -> tuple[Job, bool]:
        self.called("enqueue")
        for stored in self.stored.values():
            same = (stored.new.owner, stored.new.idempotency_key)
            if job.idempotency_key and same == (job.owner, job.idempotency_key):
                if stored.new.digest != job.digest:
                    raise ConflictError("this idempotency key was another request's")
                return stored.job, False
        rows = [
            StoredFile(JobFile(position, source, FileState.QUEUED))
            for position, source in enumerate(job.files)
        ]
        first = Job(
            id=job.id,
            owner=job.owner,
            client=job.client,
            options=job.options,
            priority=job.priority,
            counts=FileCounts(queued=len(rows)),
            created_s=now_s,
            webhook=job.webhook,
        )
        self.stored[job.id] = StoredJob(job, first, rows)
        return first, True

    async def find(self, job_id: str) -> Job | None:
        self.called("find")
        stored = self.stored.get(job_id)
        return stored.job if stored else None

    async def list_jobs(self, wanted: JobFilter, limit: int, cursor: str | None) -> JobPage:
        self.called("list_jobs")
        jobs = [stored.job for stored in reversed(self.stored.values())]
        jobs = [job for job in jobs if fits(job, wanted)]
        start = int(cursor or 0)
        more = start + limit < len(jobs)
        return JobPage(tuple(jobs[start : start + limit]), str(start + limit) if more else None)

    async def files(
        self,
        job_id: str,
        *,
        after: int = -1,
        limit: int = 100,
        since_version: int = -1,
        states: frozenset[FileState] = frozenset(),
    ) -> Sequence[JobFile]:
        self.called("files")
        files = [row.file for row in self.stored[job_id].files] if job_id in self.stored else []
        return [
            file
            for file in files
            if file.position > after
            and file.version > since_version
            and (not states or file.state in states)
        ][:limit]

    async def result(self, job_id: str, position: int) -> bytes | None:
        self.called("result")
        stored = self.stored.get(job_id)
        return stored.files[position].result if stored and position < len(stored.files) else None

    async def ahead(self, job_id: str) -> int:
        self.called("ahead")
        own = self.stored[job_id]
        count = 0
        for stored in self.stored.values():
            if stored is own:
                break
            count += stored.job.counts.queued
        return count

    async def cancel(self, job_id: str, now_s: float) -> Job | None:
        self.called("cancel")
        if job_id not in self.stored:
            return None
        for row in self.stored[job_id].files:
            if row.file.state not in FINAL_FILES:
                row.token += 1
                self.change(job_id, row, now_s, replace(row.file, state=FileState.CANCELLED))
        return self.stored[job_id].job

    async def remove(self, job_id: str) -> Sequence[str]:
        self.called("remove")
        if self.stored[job_id].job.state not in FINAL_JOBS:
            raise ConflictError(f"job {job_id} is not finished; cancel it first")
        gone = self.stored.pop(job_id)
        return [source.place for source in gone.new.files if source.uploaded]

    # -- for runners ----------------------------------------------------------------------------

    async def claim(
        self, server: str, most: int, lease_s: float, now_s: float
    ) -> Sequence[ClaimedFile]:
        self.called("claim")
        claimed: list[ClaimedFile] = []
        while len(claimed) < most and (found := self.next(now_s)):
            stored, row = found
            row.token += 1
            row.server, row.lease_until_s = server, now_s + lease_s
            attempts = row.file.attempts + 1
            running = replace(row.file, state=FileState.RUNNING, attempts=attempts)
            self.change(stored.job.id, row, now_s, running)
            lease = Lease(stored.job.id, row.file.position, row.token)
            claimed.append(
                ClaimedFile(
                    lease,
                    row.file.source,
                    stored.new.options,
                    stored.new.client,
                    attempts,
                    bool(row.parts),
                )
            )
        return claimed

    async def heartbeat(
        self, running: Sequence[FileProgress], lease_s: float, now_s: float
    ) -> Sequence[Lease]:
        self.called("heartbeat")
        lost: list[Lease] = []
        for progress in running:
            row = self.held(progress.lease)
            if row is None:
                lost.append(progress.lease)
                continue
            row.lease_until_s = now_s + lease_s
            row.file = replace(row.file, heard_s=progress.heard_s, duration_s=progress.duration_s)
        return lost

    async def complete(self, lease: Lease, result: FileResult, now_s: float) -> bool:
        self.called("complete")
        row = self.held(lease)
        if row is None:
            return False
        row.result = result.content
        row.parts = {}
        row.archive_due = self.stored[lease.job_id].new.options.archive is not Archive.KEEP
        done = replace(row.file, duration_s=result.duration_s, cached=result.cached)
        self.change(lease.job_id, row, now_s, replace(done, state=FileState.DONE))
        return True

    async def fail(self, lease: Lease, fault: FileFault, now_s: float) -> bool:
        self.called("fail")
        row = self.held(lease)
        if row is not None:
            failed = replace(row.file, state=FileState.FAILED, fault=fault)
            self.change(lease.job_id, row, now_s, failed)
        return row is not None

    async def postpone(self, lease: Lease, fault: FileFault, until_s: float, now_s: float) -> bool:
        self.called("postpone")
        row = self.held(lease)
        if row is not None:
            row.not_before_s = until_s
            queued = replace(row.file, state=FileState.QUEUED, fault=fault)
            self.change(lease.job_id, row, now_s, queued)
        return row is not None

    async def release(self, leases: Sequence[Lease], now_s: float) -> None:
        self.called("release")
        for lease in leases:
            row = self.held(lease)
            if row is not None:
                queued = replace(row.file, state=FileState.QUEUED)
                queued = replace(queued, attempts=row.file.attempts - 1)
                self.change(lease.job_id, row, now_s, queued)

    async def take_back(self, server: str, now_s: float) -> int:
        self.called("take_back")
        return self.requeue(now_s, lambda row: row.server == server)

    async def expire(self, now_s: float) -> int:
        self.called("expire")
        return self.requeue(now_s, lambda row: row.lease_until_s < now_s)

    async def unfinished(self) -> int:
        self.called("unfinished")
        return sum(s.job.counts.queued + s.job.counts.running for s in self.stored.values())

    # -- checkpoints ----------------------------------------------------------------------------

    async def keep_checkpoints(
        self, lease: Lease, parts: Sequence[tuple[str, bytes]], now_s: float
    ) -> bool:
        self.called("keep_checkpoints")
        row = self.held(lease)
        if row is not None:
            row.parts.update(parts)
        return row is not None

    async def checkpoints(self, lease: Lease) -> dict[str, bytes]:
        self.called("checkpoints")
        row = self.held(lease)
        return dict(row.parts) if row else {}

    # -- what is over ---------------------------------------------------------------------------

    async def archive_due(self, limit: int) -> Sequence[ArchiveDue]:
        self.called("archive_due")
        due = [
            ArchiveDue(s.job.id, row.file.position, row.file.source, s.new.options.archive)
            for s in self.stored.values()
            for row in s.files
            if row.archive_due
        ]
        return due[:limit]

    async def archived(self, job_id: str, position: int) -> None:
        self.called("archived")
        self.stored[job_id].files[position].archive_due = False

    async def remove_older(self, finished_before_s: float, limit: int) -> Sequence[str]:
        self.called("remove_older")
        old = [
            job_id
            for job_id, stored in self.stored.items()
            if (stored.job.finished_s or finished_before_s) < finished_before_s
        ][:limit]
        gone = [self.stored.pop(job_id) for job_id in old]
        return [source.place for job in gone for source in job.new.files if source.uploaded]

    async def known_blobs(self, keys: Sequence[str]) -> frozenset[str]:
        self.called("known_blobs")
        places = {f.place for s in self.stored.values() for f in s.new.files if f.uploaded}
        return frozenset(places & set(keys))
