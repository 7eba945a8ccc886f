"""Brings waiting segments and free workers together; owns the waiting, decides nothing of its own.

The queue says which segments travel, the pool which worker has room; a batch is formed only when
there is room, so as late as possible. Knows no file and no client. One dispatcher serves one pool.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count

from voxfleet.core import Batch, Hypothesis, SpooledSegment, WorkClass
from voxfleet.errors import (
    DeadlineError,
    NotReadyError,
    PoisonError,
    RecognitionError,
    VoxfleetError,
    WorkerLostError,
)
from voxfleet.observe.stages import UNOBSERVED, Stage, Stages
from voxfleet.pool_contract import BatchResult, RetryReason, Room, WorkerPool
from voxfleet.scheduling.batcher import budget_s
from voxfleet.scheduling.quarantine import Quarantine, quarantine_key
from voxfleet.scheduling.queue import SegmentQueue
from voxfleet.scheduling.retries import Ticket, after_loss

_log = logging.getLogger(__name__)
#: somebody who spoke live so long ago may go on any moment
REALTIME_LINGERS_S = 10.0


class Dispatcher:
    """`realtime_goal_s` is within what live speech is to be answered."""

    def __init__(
        self, pool: WorkerPool, realtime_goal_s: float = 0.5, stages: Stages = UNOBSERVED
    ) -> None:
        self._pool = pool
        self._realtime_goal_s = realtime_goal_s
        self._stages = stages
        self._queue = SegmentQueue()
        self._quarantine = Quarantine()
        self._answers: dict[str, asyncio.Future[Hypothesis]] = {}
        #: when each segment in work went to its worker, by the loop's clock
        self._sent_s: dict[str, float] = {}
        self._retries: Counter[RetryReason] = Counter()
        self._arrived = asyncio.Event()
        self._batches: set[asyncio.Task[None]] = set()
        self._batch_ids = count(1)
        self._live_sessions = 0
        self._live_until_s = -math.inf
        self._loop: asyncio.Task[None] | None = None
        self._refusal = "the dispatcher has not been started yet; try again later"

    @property
    def refusal(self) -> str:
        """Why nothing is taken in; empty while segments are dispatched."""
        return self._refusal

    @property
    def waiting(self) -> int:
        return len(self._queue)

    @property
    def waiting_s(self) -> float:
        return self._queue.waiting_s

    @property
    def retries(self) -> Mapping[RetryReason, int]:
        """The segments that were computed again, ever, by reason."""
        return dict(self._retries)

    def place(self, segment_id: str) -> int | None:
        """About how many segments go before it; None when it does not wait."""
        return self._queue.place(segment_id)

    def start(self) -> None:
        self._refusal = ""
        self._loop = asyncio.create_task(self._dispatch(), name="dispatcher")
        self._loop.add_done_callback(self._notice)

    async def stop(self) -> None:
        """Give up what waits and what is in work; everyone who waits is told."""
        self._refusal = "the server is stopping; try again later"
        tasks = [task for task in (self._loop, *self._batches) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._refuse_all()

    @contextmanager
    def live_session(self) -> Iterator[None]:
        """While one is open, no batch of others blocks a worker for long."""
        self._live_sessions += 1
        try:
            yield
        finally:
            self._live_sessions -= 1

    async def recognise(
        self,
        segment: SpooledSegment,
        work_class: WorkClass,
        client: str = "",
        deadline_s: float = math.inf,
    ) -> Hypothesis:
        """Wait for the segment's text. Cancelling the caller takes the segment out of the queue.

        `deadline_s` is by the event loop's clock.
        """
        if self._refusal:
            raise NotReadyError(self._refusal)
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        self._refuse_poison(segment, now_s)
        if work_class is WorkClass.REALTIME:
            self._live_until_s = now_s + REALTIME_LINGERS_S
        answer: asyncio.Future[Hypothesis] = loop.create_future()
        self._answers[segment.id] = answer
        self._queue.add(Ticket(segment, work_class, client, deadline_s))
        self._arrived.set()
        try:
            return await answer
        finally:
            self._queue.cancel(segment.id)
            del self._answers[segment.id]
            self._tell_times(segment.id, now_s, loop.time())

    def _tell_times(self, segment_id: str, asked_s: float, ended_s: float) -> None:
        """To the request's own spans, too, as this is its task. A segment that was tried several
        times has waited until the last of them.
        """
        sent_s = self._sent_s.pop(segment_id, None)
        if sent_s is None:
            self._stages.spent(Stage.WAIT, ended_s - asked_s)
            return
        computed_s = ended_s - sent_s
        self._stages.spent(Stage.WAIT, sent_s - asked_s, ended_ago_s=computed_s)
        self._stages.spent(Stage.COMPUTE, computed_s)

    def _refuse_poison(self, segment: SpooledSegment, now_s: float) -> None:
        key = quarantine_key(segment)
        if key and self._quarantine.holds(key, now_s):
            raise PoisonError(
                f"the sound at {segment.start_s:.1f} s has ended the model's process before and is"
                " not tried again for a while; leave that part out"
            )

    def _notice(self, loop: asyncio.Task[None]) -> None:
        """A loop that fails lets nobody wait for it: not who is here, not who comes later."""
        fault = None if loop.cancelled() else loop.exception()
        if fault is not None:
            _log.critical("the dispatcher failed", exc_info=fault)
            name = type(fault).__name__
            self._refusal = f"the dispatcher failed ({name}); the server's log says more"
            self._refuse_all()

    def _refuse_all(self) -> None:
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(NotReadyError(self._refusal))

    async def _dispatch(self) -> None:
        while True:
            await self._arrived.wait()
            head = self._queue.head()
            if head is None:
                self._arrived.clear()
                continue
            try:
                room = await self._pool.room(head.avoid)
            except VoxfleetError as fault:
                # no worker will come: whoever waits is told now, and new work asks again
                self._fail(self._queue.take_all(), fault)
                continue
            self._send(room)

    def _send(self, room: Room) -> None:
        now_s = asyncio.get_running_loop().time()
        late = self._queue.expire(now_s)
        self._fail(late, DeadlineError("the time allowed passed while it waited for a worker"))
        live = self._live_sessions > 0 or now_s < self._live_until_s
        tickets = self._queue.take(budget_s(room.credit_s, room.pace, live, self._realtime_goal_s))
        if not tickets:
            # whoever waited has gone away while the room was awaited
            self._pool.release(room)
            return
        self._sent_s.update((ticket.segment.id, now_s) for ticket in tickets)
        task = asyncio.create_task(self._compute(tickets, room), name=f"batch {room.worker_id}")
        self._batches.add(task)
        task.add_done_callback(lambda done: self._forget(done, tickets))

    async def _compute(self, tickets: list[Ticket], room: Room) -> None:
        segments = tuple(ticket.segment for ticket in tickets)
        suspect = any(ticket.suspect for ticket in tickets)
        batch = Batch(f"b{next(self._batch_ids)}", segments, suspect)
        try:
            result = await self._pool.recognise(batch, room)
        except WorkerLostError as loss:
            self._try_again(tickets, room.worker_id, loss)
        except VoxfleetError as fault:
            self._fail(tickets, fault)
        else:
            self._deliver(tickets, result)

    def _forget(self, task: asyncio.Task[None], tickets: list[Ticket]) -> None:
        self._batches.discard(task)
        fault = None if task.cancelled() else task.exception()
        if fault is not None:
            _log.error("a batch failed in a way nobody foresaw", exc_info=fault)
            self._fail(tickets, VoxfleetError("the server failed; its log says why"))

    def _deliver(self, tickets: list[Ticket], result: BatchResult) -> None:
        for ticket, answer in zip(tickets, result.results, strict=True):
            if isinstance(answer, RecognitionError):
                self._fail([ticket], answer)
                continue
            waiter = self._answers.get(ticket.segment.id)
            if waiter and not waiter.done():
                waiter.set_result(answer)

    def _fail(self, tickets: Sequence[Ticket], fault: VoxfleetError) -> None:
        for ticket in tickets:
            waiter = self._answers.get(ticket.segment.id)
            if waiter and not waiter.done():
                waiter.set_exception(fault)

    def _try_again(self, tickets: list[Ticket], worker_id: str, loss: WorkerLostError) -> None:
        aftermath = after_loss(tickets, worker_id, loss)
        for ticket, fault in aftermath.failed:
            if isinstance(fault, PoisonError):
                now_s = asyncio.get_running_loop().time()
                self._quarantine.add(quarantine_key(ticket.segment), now_s)
            self._fail([ticket], fault)
        # who has gone away is not tried for
        wanted = [[t for t in group if t.segment.id in self._answers] for group in aftermath.again]
        self._retries[_reason(loss)] += sum(map(len, wanted))
        self._queue.put_back(wanted)
        self._arrived.set()


def _reason(loss: WorkerLostError) -> RetryReason:
    return RetryReason.BATCH_SUSPECTED if loss.blames_work else RetryReason.WORKER_LOST
