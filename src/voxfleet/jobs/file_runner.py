"""From a claimed file to its stored end: a text, a fault, or a place in the queue again.

Knows the store, where files lie and who hears them; not which files are claimed, nor how leases
are kept. While the database is away an end waits here, as long as its lease may still be good.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from voxfleet.errors import VoxfleetError
from voxfleet.jobs.file_run import FileRun, Sources, Transcribe
from voxfleet.jobs.job import ClaimedFile, FileFault, FileResult
from voxfleet.jobs.job_contract import JobStore
from voxfleet.jobs.job_pace import JobPace
from voxfleet.jobs.outage_note import OutageNote
from voxfleet.jobs.retry_rule import Again, next_try, pause_s
from voxfleet.jobs.segment_checkpoints import SegmentCheckpoints

logger = logging.getLogger(__name__)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Times:
    """What tells the time and lets it pass. `clock` is Unix time, `jitter` from 0 to 1."""

    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    jitter: Callable[[], float]


class FileRunner:
    """`attempts` are those a file has; after `stopping` a fault of the server uses up none."""

    def __init__(
        self,
        store: JobStore,
        transcribe: Transcribe,
        sources: Sources,
        attempts: int,
        pace: JobPace,
        times: Times,
    ) -> None:
        self._store = store
        self._transcribe = transcribe
        self._sources = sources
        self._attempts = attempts
        self._pace = pace
        self._times = times
        self._clock = times.clock
        self.stopping = False
        #: how often in a row there was no model, and whether claiming is to wait for one
        self._refusals = 0
        self._refused = False
        self._ends = OutageNote("what became of a job's file cannot be stored")

    def begin(self, claimed: ClaimedFile) -> FileRun:
        times = self._times
        parts = SegmentCheckpoints(self._store, claimed.lease, times.clock, times.sleep)
        return FileRun(claimed, parts)

    def rest_s(self) -> float:
        """How long nothing should be claimed, because there was no model for a file; told once."""
        if not self._refused:
            return 0.0
        self._refused = False
        self._refusals += 1
        return pause_s(self._refusals)

    async def run(self, run: FileRun) -> None:
        """Raises nothing. A file whose end cannot be stored is queued again when its lease ends,
        as nobody prolongs that any more.
        """
        try:
            await self._to_its_end(run)
        except VoxfleetError as fault:
            logger.error("job %s file %d: its end is not stored (%s)", *run.place, fault.code)
        except Exception:
            logger.exception("job %s file %d: its end is not stored", *run.place)

    async def _to_its_end(self, run: FileRun) -> None:
        try:
            await self._complete(run, await self._heard(run))
        except VoxfleetError as fault:
            await self._after(run, fault)
        except asyncio.CancelledError:
            if _asked_to_end():
                raise
            await self._after(run, VoxfleetError("the work was ended by the server; send it again"))
        except Exception:
            logger.exception("job %s file %d: an unforeseen fault", *run.place)
            await self._after(run, VoxfleetError("the server has a fault; its log says more"))

    async def _heard(self, run: FileRun) -> FileResult:
        if run.claimed.has_checkpoints:
            await self._insist(run.parts.load)
        return await run.result(self._sources, self._transcribe)

    async def _complete(self, run: FileRun, result: FileResult) -> None:
        self._refusals = 0
        run.ending = True
        stored = await self._insist(lambda: self._store.complete(run.lease, result, self._clock()))
        run.settled = True
        if stored:
            self._pace.finished(result.duration_s, asyncio.get_running_loop().time())
        logger.debug("job %s file %d: %s", *run.place, "done" if stored else "no longer ours")

    async def _after(self, run: FileRun, fault: VoxfleetError) -> None:
        run.ending = True
        jitter, attempts = self._times.jitter(), run.claimed.attempts
        again = next_try(fault, attempts, self._attempts, jitter=jitter, stopping=self.stopping)
        if again is None:
            await self._fail(run, fault)
        else:
            await run.parts.flush()
            await (self._postpone(run, fault, again) if again.counts else self._release(run, fault))
        run.settled = True

    async def _fail(self, run: FileRun, fault: VoxfleetError) -> None:
        logger.info("job %s file %d failed: %s", *run.place, fault.code)
        told = FileFault(fault.code, fault.message)
        await self._insist(lambda: self._store.fail(run.lease, told, self._clock()))

    async def _postpone(self, run: FileRun, fault: VoxfleetError, again: Again) -> None:
        logger.info(
            "job %s file %d: %s; tried again in %.0f s", *run.place, fault.code, again.after_s
        )
        told = FileFault(fault.code, fault.message)
        until_s = self._clock() + again.after_s
        await self._insist(lambda: self._store.postpone(run.lease, told, until_s, self._clock()))

    async def _release(self, run: FileRun, fault: VoxfleetError) -> None:
        """There was no model for it: it would only be claimed again at once."""
        logger.debug("job %s file %d: %s; queued again", *run.place, fault.code)
        self._refused = True
        await self._insist(lambda: self._store.release([run.lease], self._clock()))

    async def _insist(self, call: Callable[[], Awaitable[_T]]) -> _T:
        """Until the store takes it; raises what it will never take."""
        failures = 0
        while True:
            try:
                answer = await call()
            except VoxfleetError as fault:
                if not fault.retryable:
                    raise
                failures += 1
                self._ends.failed(fault)
                await self._times.sleep(pause_s(failures))
            else:
                self._ends.worked()
                return answer


def _asked_to_end() -> bool:
    """Whether this task was cancelled, and not only something that it waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
