"""Runs files of jobs: claims as many as there is room for, and keeps their leases while they run.

Knows the queue's store and how many run; what happens to one file is `file_runner`'s. A server
that was thought lost, and was not, changes nothing: its leases are, and their files are dropped.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass

from voxfleet.errors import VoxfleetError
from voxfleet.jobs.file_run import FileRun, Sources, Transcribe
from voxfleet.jobs.file_runner import FileRunner, Times
from voxfleet.jobs.job import ClaimedFile, Lease
from voxfleet.jobs.job_contract import JobStore
from voxfleet.jobs.job_pace import JobPace
from voxfleet.jobs.outage_note import OutageNote
from voxfleet.jobs.retry_rule import pause_s

logger = logging.getLogger(__name__)

#: how soon a cancel, another server's submission, and a file whose time has come are seen
_LOOK_EVERY_S = 1.0
#: so that one transaction stays short
_MOST_AT_ONCE = 64
_AFTER_UNFORESEEN_S = 5.0
_FILES_PER_WORKER = 4
_LEAST_FILES = 8


@dataclass(frozen=True, slots=True)
class RunnerSettings:
    """`running_files` 0 follows the number of workers."""

    running_files: int = 0
    lease_s: float = 30.0
    attempts: int = 5


def files_at_once(running_files: int, workers: int) -> int:
    """Enough to fill the workers' batches, and a few whose sound is still being fetched."""
    return running_files or max(_LEAST_FILES, _FILES_PER_WORKER * workers)


class JobRunner:
    """`ready` says whether a model could answer now, `workers` how many there are."""

    def __init__(
        self,
        store: JobStore,
        transcribe: Transcribe,
        sources: Sources,
        settings: RunnerSettings,
        server_id: str,
        clock: Callable[[], float] = time.time,
        *,
        ready: Callable[[], bool],
        workers: Callable[[], int],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._settings = settings
        self._server_id = server_id
        self._clock = clock
        self._ready = ready
        self._workers = workers
        self._sleep = sleep
        self.pace = JobPace()
        times = Times(clock, sleep, jitter)
        self._one = FileRunner(store, transcribe, sources, settings.attempts, self.pace, times)
        self._runs: dict[Lease, tuple[FileRun, asyncio.Task[None]]] = {}
        self._wake = asyncio.Event()
        self._wake.set()
        self._taken_back = False
        self._stopping = False
        self._step: asyncio.Task[None] | None = None
        self._claims = OutageNote("files of jobs cannot be claimed")
        self._beats = OutageNote("the store of jobs is not told which files run")

    @property
    def running(self) -> int:
        return len(self._runs)

    def wake(self) -> None:
        """A job was submitted here, or there is room."""
        self._wake.set()

    # -- claiming -------------------------------------------------------------------------------

    async def follow(self) -> None:
        """For ever. What runs when this is cancelled runs on, until `stop`."""
        beating = asyncio.create_task(self._beat_for_ever(), name="heartbeat of jobs")
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._look()
        finally:
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)

    async def _look(self) -> None:
        rest_s = self._one.rest_s()
        if rest_s:
            await self._sleep(rest_s)
        if self._stopping:
            return
        if not self._taken_back:
            await self._try(self._take_back())
        elif self._room > 0 and self._ready():
            await self._try(self._claim(min(self._room, _MOST_AT_ONCE)))

    async def _try(self, step: Coroutine[None, None, None]) -> None:
        # not cancelled with `follow`: what it has claimed must run, or be given back
        self._step = asyncio.create_task(step, name="claim of files")
        try:
            await asyncio.shield(self._step)
        except VoxfleetError as fault:
            self._claims.failed(fault)
            await self._sleep(pause_s(self._claims.failures))
            self.wake()
        except Exception:
            logger.exception("claiming files of jobs failed")
            await self._sleep(_AFTER_UNFORESEEN_S)
            self.wake()
        else:
            self._claims.worked()

    @property
    def _room(self) -> int:
        most = files_at_once(self._settings.running_files, self._workers())
        return most - len(self._runs)

    async def _take_back(self) -> None:
        """Once: later it would take away what runs here."""
        count = await self._store.take_back(self._server_id, self._clock())
        self._taken_back = True
        if count:
            logger.info("%d files of jobs were in work when this server ended: queued again", count)
        self.wake()

    async def _claim(self, most: int) -> None:
        lease_s, now_s = self._settings.lease_s, self._clock()
        claimed = await self._store.claim(self._server_id, most, lease_s, now_s)
        for file in claimed:
            if file.lease.token > 1:
                self._drop_earlier(file.lease)
            self._begin(file)
        if len(claimed) == most:
            # there may be more, and room for them
            self.wake()

    def _begin(self, claimed: ClaimedFile) -> None:
        run = self._one.begin(claimed)
        task = asyncio.create_task(self._one.run(run), name=f"job file {run.label}")
        self._runs[run.lease] = (run, task)
        self._note_pace()
        task.add_done_callback(lambda _: self._ended(run))

    def _ended(self, run: FileRun) -> None:
        del self._runs[run.lease]
        self._note_pace()
        self.wake()

    def _note_pace(self) -> None:
        self.pace.passed(len(self._runs), asyncio.get_running_loop().time())

    # -- leases ---------------------------------------------------------------------------------

    async def _beat_for_ever(self) -> None:
        while True:
            await self._sleep(min(_LOOK_EVERY_S, self._settings.lease_s / 3))
            self.wake()
            try:
                await self._beat()
            except VoxfleetError as fault:
                self._beats.failed(fault)
            except Exception:
                logger.exception("telling the store of running files failed")

    async def _beat(self) -> None:
        if not self._runs:
            return
        self._note_pace()
        progress = [run.progress() for run, _ in self._runs.values()]
        lost = await self._store.heartbeat(progress, self._settings.lease_s, self._clock())
        self._beats.worked()
        for lease in lost:
            if lease in self._runs:
                self._drop(*self._runs[lease])

    def _drop_earlier(self, claimed: Lease) -> None:
        """A file whose lease ran out may be claimed by the very server that still runs it."""
        for run, task in list(self._runs.values()):
            if run.place == (claimed.job_id, claimed.position):
                self._drop(run, task)

    @staticmethod
    def _drop(run: FileRun, task: asyncio.Task[None]) -> None:
        """It was cancelled, or another server has it."""
        if run.ending:
            # it learns so from the store, which may just have taken its end
            return
        run.settled = True
        task.cancel()
        logger.debug("job %s file %d: no longer ours", *run.place)

    # -- the end --------------------------------------------------------------------------------

    async def stop(self, grace_s: float) -> None:
        """In order: no more is claimed, what runs may finish, the rest is queued again."""
        self._stopping = self._one.stopping = True
        if self._step:
            await asyncio.gather(self._step, return_exceptions=True)
        await self._finish_within(grace_s)
        left = list(self._runs.values())
        for _, task in left:
            task.cancel()
        await asyncio.gather(*(task for _, task in left), return_exceptions=True)
        await self._give_back([run for run, _ in left if not run.settled])

    async def _finish_within(self, grace_s: float) -> None:
        # whether `follow` is still there or not: leases must last as long as the files do
        beating = asyncio.create_task(self._beat_for_ever(), name="last heartbeats of jobs")
        try:
            if self._runs:
                await asyncio.wait([task for _, task in self._runs.values()], timeout=grace_s)
        finally:
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)

    async def _give_back(self, runs: Sequence[FileRun]) -> None:
        if not runs:
            return
        await asyncio.gather(*(run.parts.flush() for run in runs))
        try:
            await self._store.release([run.lease for run in runs], self._clock())
        except VoxfleetError as fault:
            logger.warning(
                "%d files of jobs stay with this server until it starts again: %s",
                len(runs),
                fault.message,
            )
