"""Keeps house for jobs: leases that ended, jobs that are old, sources that are to go away.

Knows the store and two callables; neither runs a file nor removes one itself.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from voxfleet.errors import VoxfleetError
from voxfleet.jobs.job import ArchiveDue
from voxfleet.jobs.job_contract import JobStore
from voxfleet.jobs.outage_note import OutageNote
from voxfleet.jobs.retry_rule import delay_s

logger = logging.getLogger(__name__)

_EXPIRE_EVERY_S = 3.0
_CLEAN_EVERY_S = 60.0
#: each piece is one transaction, and others wait for it
_JOBS_AT_ONCE = 10
_PIECES_A_ROUND = 20
_ARCHIVED_AT_ONCE = 50
#: sources that could not be moved or deleted and are left alone for a while
_MOST_FAILING = 1000


class JobKeeper:
    """`archive` moves or deletes one source, and must bear to be asked twice."""

    def __init__(
        self,
        store: JobStore,
        retention_s: float,
        remove_blobs: Callable[[Sequence[str]], Awaitable[None]],
        archive: Callable[[ArchiveDue], Awaitable[None]],
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._retention_s = retention_s
        self._remove_blobs = remove_blobs
        self._archive = archive
        self._clock = clock
        self._sleep = sleep
        #: blobs of jobs that are gone already: the store will not name them again
        self._blobs: list[str] = []
        #: by file: how often its source could not be archived, and when to try again
        self._failing: dict[tuple[str, int], tuple[int, float]] = {}
        self._archives = OutageNote("a source of a job cannot be moved or deleted")

    async def follow(self) -> None:
        """For ever; none of the three waits for another."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(
                self._every(_EXPIRE_EVERY_S, self.expire, "leases of jobs are not looked at")
            )
            tasks.create_task(
                self._every(_CLEAN_EVERY_S, self.remove_old, "old jobs are not removed")
            )
            tasks.create_task(self._every(_CLEAN_EVERY_S, self.archive_due, "sources of jobs stay"))

    async def _every(self, interval_s: float, do: Callable[[], Awaitable[None]], what: str) -> None:
        note = OutageNote(what)
        while True:
            try:
                await do()
            except VoxfleetError as fault:
                note.failed(fault)
            except Exception:
                logger.exception("%s", what)
            else:
                note.worked()
            await self._sleep(interval_s)

    async def expire(self) -> None:
        count = await self._store.expire(self._clock())
        if count:
            logger.info("%d files of jobs are queued again: their server shows no life", count)

    async def remove_old(self) -> None:
        """In small pieces; what is left after so many of them is for the next round."""
        for _ in range(_PIECES_A_ROUND):
            if self._blobs:
                await self._remove_blobs(self._blobs)
                self._blobs = []
            before_s = self._clock() - self._retention_s
            self._blobs = list(await self._store.remove_older(before_s, _JOBS_AT_ONCE))
        if self._blobs:
            await self._remove_blobs(self._blobs)
            self._blobs = []

    async def archive_due(self) -> None:
        """All that are due; those that fail neither keep others waiting nor are asked each time."""
        if len(self._failing) >= _MOST_FAILING:
            # too many to be remembered: all are asked again
            self._failing.clear()
        failed = False
        while len(self._failing) < _MOST_FAILING and (todo := await self._archivable()):
            for due in todo:
                failed = not await self._tried(due) or failed
        if not failed and not self._failing:
            self._archives.worked()

    async def _archivable(self) -> Sequence[ArchiveDue]:
        now_s = self._clock()
        limit = _ARCHIVED_AT_ONCE + len(self._failing)
        due = await self._store.archive_due(limit)
        return [one for one in due if self._failing.get(_key(one), (0, 0.0))[1] <= now_s]

    async def _tried(self, due: ArchiveDue) -> bool:
        try:
            await self._archive(due)
        except VoxfleetError as fault:
            self._archives.failed(fault)
            self._leave_alone(due)
            return False
        except Exception:
            logger.exception("job %s file %d: its source stays", due.job_id, due.position)
            self._leave_alone(due)
            return False
        await self._store.archived(due.job_id, due.position)
        self._failing.pop(_key(due), None)
        return True

    def _leave_alone(self, due: ArchiveDue) -> None:
        failures = self._failing.get(_key(due), (0, 0.0))[0] + 1
        self._failing[_key(due)] = (failures, self._clock() + delay_s(failures, jitter=1.0))


def _key(due: ArchiveDue) -> tuple[str, int]:
    return due.job_id, due.position
