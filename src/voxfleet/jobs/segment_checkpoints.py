"""Finished segments of one file, kept so that a lost server costs seconds and not hours.

Knows the store and segments; neither sound nor text. A segment is told by its place and the digest
of its sound, so one that is cut differently the next time is recognised again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from types import TracebackType

from voxfleet.core import SAMPLE_RATE_HZ, Hypothesis, SpooledSegment
from voxfleet.errors import VoxfleetError
from voxfleet.jobs.job import Lease
from voxfleet.jobs.job_contract import JobStore
from voxfleet.jobs.result_codec import hypothesis_bytes, read_hypothesis

logger = logging.getLogger(__name__)

#: a file that takes less than this never writes one
FLUSH_EVERY_S = 5.0
#: what may wait to be stored: minutes of a fast server whose database is away
MOST_WAITING = 1000


def checkpoint_key(segment: SpooledSegment) -> str | None:
    """None for a segment whose sound nobody could tell from another's."""
    if not segment.digest:
        return None
    start = round(segment.start_s * SAMPLE_RATE_HZ)
    return f"{segment.channel}:{start}:{segment.sample_count}:{segment.digest}"


class SegmentCheckpoints:
    """`transcribe_request.Checkpoints` for one lease; a context while the file is in work."""

    def __init__(
        self,
        store: JobStore,
        lease: Lease,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._lease = lease
        self._clock = clock
        self._sleep = sleep
        self._found: dict[str, bytes] = {}
        #: what is stored, so that nothing is stored twice
        self._known: set[str] = set()
        self._waiting: dict[str, Hypothesis] = {}
        self._lost = False
        self._full = False
        self._flushing = asyncio.Lock()
        self._timer: asyncio.Task[None] | None = None

    async def load(self) -> None:
        """Whatever earlier runs have stored; raises VoxfleetError."""
        self._found = await self._store.checkpoints(self._lease)
        self._known = set(self._found)

    def found(self, segment: SpooledSegment) -> Hypothesis | None:
        key = checkpoint_key(segment)
        # asked for once: its bytes need not stay
        content = self._found.pop(key, None) if key else None
        if key is None or content is None:
            return None
        hypothesis = read_hypothesis(content)
        if hypothesis is None:
            self._known.discard(key)
        return hypothesis

    def keep(self, segment: SpooledSegment, hypothesis: Hypothesis) -> None:
        key = checkpoint_key(segment)
        if key is None or key in self._known or self._lost:
            return
        if len(self._waiting) < MOST_WAITING:
            self._waiting[key] = hypothesis
        elif not self._full:
            self._full = True
            logger.info(
                "job %s file %d: its parts cannot be stored fast enough; some are recognised"
                " again should this server be lost",
                self._lease.job_id,
                self._lease.position,
            )

    async def flush(self) -> None:
        """Store what waits, in one call; what cannot be stored now waits on."""
        async with self._flushing:
            parts = [(key, hypothesis_bytes(heard)) for key, heard in self._waiting.items()]
            if not parts:
                return
            try:
                self._lost = not await self._store.keep_checkpoints(
                    self._lease, parts, self._clock()
                )
            except VoxfleetError as fault:
                logger.debug("job %s: parts are not stored: %s", self._lease.job_id, fault.message)
                return
            for key, _ in parts:
                del self._waiting[key]
                self._known.add(key)

    async def __aenter__(self) -> SegmentCheckpoints:
        self._timer = asyncio.create_task(self._flush_for_ever(), name="checkpoints")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """What waits then is stored by `flush`, where somebody will want it."""
        if self._timer:
            self._timer.cancel()
            await asyncio.gather(self._timer, return_exceptions=True)

    async def _flush_for_ever(self) -> None:
        while True:
            await self._sleep(FLUSH_EVERY_S)
            try:
                await self.flush()
            except Exception:
                # the file goes on without: they only save work
                logger.exception("job %s: checkpoints failed", self._lease.job_id)
