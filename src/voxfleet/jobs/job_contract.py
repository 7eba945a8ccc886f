"""What keeps jobs: the store, its outbox, and the texts it keeps. Protocols only.

`job_store`, `webhook_outbox` and `result_shelf` implement them over a `store.Database`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from voxfleet.jobs.job import (
    ArchiveDue,
    ClaimedFile,
    Delivery,
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


class JobStore(Protocol):
    """Every method may raise VoxfleetError (OverloadError while the database cannot take it).

    A change is on the disk when its call returns. `now_s` is Unix time.
    """

    # -- for clients ------------------------------------------------------------------------

    async def enqueue(self, job: NewJob, now_s: float) -> tuple[Job, bool]:
        """The stored job, and whether it is new: an owner's idempotency key gives the first one.

        Raises ConflictError where that first one was another request.
        """
        ...

    async def find(self, job_id: str) -> Job | None: ...
    async def list_jobs(self, wanted: JobFilter, limit: int, cursor: str | None) -> JobPage: ...
    async def files(
        self,
        job_id: str,
        *,
        after: int = -1,
        limit: int = 100,
        since_version: int = -1,
        states: frozenset[FileState] = frozenset(),
    ) -> Sequence[JobFile]:
        """By position from behind `after`; only those changed after `since_version`."""
        ...

    async def result(self, job_id: str, position: int) -> bytes | None:
        """`FileResult.content`; None where the file has none."""
        ...

    async def ahead(self, job_id: str) -> int:
        """About how many queued files go before the job's first queued one."""
        ...

    async def cancel(self, job_id: str, now_s: float) -> Job | None:
        """What is queued or running is cancelled at once; leases of it are lost. Idempotent."""
        ...

    async def remove(self, job_id: str) -> Sequence[str]:
        """All of a finished job; gives the blobs that nobody needs any more."""
        ...

    # -- for runners ------------------------------------------------------------------------

    async def claim(
        self, server: str, most: int, lease_s: float, now_s: float
    ) -> Sequence[ClaimedFile]:
        """Files to run: by priority, then the client who has fewest running, then age."""
        ...

    async def heartbeat(
        self, running: Sequence[FileProgress], lease_s: float, now_s: float
    ) -> Sequence[Lease]:
        """Prolongs the leases and notes the progress; gives those that are lost."""
        ...

    async def complete(self, lease: Lease, result: FileResult, now_s: float) -> bool:
        """Stores the result and the change of state as one; False where the lease is lost."""
        ...

    async def fail(self, lease: Lease, fault: FileFault, now_s: float) -> bool: ...
    async def postpone(self, lease: Lease, fault: FileFault, until_s: float, now_s: float) -> bool:
        """Back into the queue, not to be claimed before `until_s`; the attempt counts."""
        ...

    async def release(self, leases: Sequence[Lease], now_s: float) -> None:
        """Back into the queue as if never claimed: the server stops."""
        ...

    async def take_back(self, server: str, now_s: float) -> int:
        """Whatever an earlier life of this server had claimed is queued again; gives how many."""
        ...

    async def expire(self, now_s: float) -> int:
        """Files whose lease has ended are queued again, or failed after too many lost leases."""
        ...

    async def unfinished(self) -> int:
        """Files that are queued or running."""
        ...

    # -- checkpoints ------------------------------------------------------------------------

    async def keep_checkpoints(
        self, lease: Lease, parts: Sequence[tuple[str, bytes]], now_s: float
    ) -> bool:
        """Finished segments by their keys; False where the lease is lost."""
        ...

    async def checkpoints(self, lease: Lease) -> dict[str, bytes]: ...

    # -- what is over -----------------------------------------------------------------------

    async def archive_due(self, limit: int) -> Sequence[ArchiveDue]: ...
    async def archived(self, job_id: str, position: int) -> None: ...
    async def remove_older(self, finished_before_s: float, limit: int) -> Sequence[str]:
        """Finished jobs of that age are removed, so many at most; gives their blobs."""
        ...

    async def known_blobs(self, keys: Sequence[str]) -> frozenset[str]:
        """Those of the keys that a stored job still names."""
        ...


class Outbox(Protocol):
    """Webhook messages: written with the change they tell of, sent at least once."""

    async def due(
        self,
        server: str,
        limit: int,
        lease_s: float,
        now_s: float,
        *,
        per_host: int,
        sending: Mapping[str, int],
    ) -> Sequence[Delivery]:
        """Messages to send now, leased to this server for so long.

        Of one host (`webhook_rules.host_of`) so many that with those it is `sending` already they
        are `per_host` at most: messages to a slow receiver are passed over.
        """
        ...

    async def delivered(self, delivery_id: str, now_s: float) -> None: ...
    async def postponed(self, delivery_id: str, until_s: float, why: str) -> None: ...
    async def given_up(self, delivery_id: str, why: str, now_s: float) -> None: ...
    async def remove_older(self, before_s: float) -> int:
        """Messages that were delivered or given up before then."""
        ...


class ResultShelf(Protocol):
    """Stored texts by what they were made from; bounded in size and age."""

    async def find(self, key: str, now_s: float) -> bytes | None: ...
    async def keep(self, key: str, content: bytes, now_s: float) -> None: ...
    async def trim(self, max_bytes: int, oldest_s: float) -> int: ...
