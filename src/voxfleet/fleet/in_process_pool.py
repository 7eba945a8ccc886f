"""One engine in a thread of this very process: for the library and for tests, not for a server.

For a program that imports voxfleet and wants no child processes, and for the contract suite, which
proves by it that a pool's promises need no process. One promise it cannot keep: what an engine does
to its process (a crash, a hang) it does to the caller's. Knows no queue and no client.
"""

from __future__ import annotations

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor

from voxfleet.core import Batch, EngineInfo
from voxfleet.engines.engine import Engine
from voxfleet.errors import NotReadyError, WorkerLostError
from voxfleet.fleet.batch_messages import orders_of
from voxfleet.fleet.pace_meter import PaceMeter
from voxfleet.fleet.room_line import RoomLine
from voxfleet.fleet.worker_slot import WorkerSlot
from voxfleet.pool_contract import BatchResult, PoolSnapshot, Room, WorkerState
from voxfleet.worker import answer_orders

_NOT_STARTED = "the pool has not been started yet; try again later"
_STOPPING = "the pool is stopping; start another one"


class InProcessPool:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._slot = WorkerSlot("in-process-0")
        self._line = RoomLine(lambda: [self._slot], self._promise)
        self._meter = PaceMeter()
        self._thread = ThreadPoolExecutor(1, "engine")
        self._refusal = _NOT_STARTED
        self._in_work: asyncio.Future[BatchResult] | None = None

    @property
    def info(self) -> EngineInfo:
        return self._engine.info

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._slot.begin_life()
        await loop.run_in_executor(self._thread, self._engine.load)
        await loop.run_in_executor(self._thread, self._engine.warm_up)
        self._slot.pid = os.getpid()
        self._slot.become_ready()
        self._refusal = ""

    async def stop(self) -> None:
        # a thread cannot be ended: what it still computes finds nobody
        self._refusal = _STOPPING
        self._line.refuse(_STOPPING)
        if self._in_work and not self._in_work.done():
            self._in_work.set_exception(NotReadyError(_STOPPING))
        if self._slot.state is not WorkerState.DRAINING:
            self._slot.move(WorkerState.DRAINING, _STOPPING)
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def room(self, avoid: frozenset[str] = frozenset()) -> Room:
        if self._refusal:
            raise NotReadyError(self._refusal)
        return await self._line.wait(avoid)

    def release(self, room: Room) -> None:
        self._line.release(room)

    async def recognise(self, batch: Batch, room: Room) -> BatchResult:
        if self._refusal:
            raise NotReadyError(self._refusal)
        if self._slot.room is not room:
            raise WorkerLostError(f"the room at {room.worker_id} was used or given back before")
        self._slot.take(batch)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[BatchResult] = loop.create_future()
        self._in_work = answer
        computing = loop.run_in_executor(self._thread, self._compute, batch)
        computing.add_done_callback(lambda done: self._finish(batch, done, answer))
        return await answer

    def snapshot(self) -> PoolSnapshot:
        row = self._slot.snapshot(self.info.model, "in-process")
        return PoolSnapshot(self.info.model, (row,), self._meter.rate)

    def _promise(self, slot: WorkerSlot) -> Room:
        info = self._engine.info
        return slot.promise(info.max_batch_s, self._meter.model(info.speed))

    def _compute(self, batch: Batch) -> BatchResult:
        began_s = time.monotonic()
        outcomes = answer_orders(self._engine, orders_of(batch))
        return BatchResult(tuple(outcomes), time.monotonic() - began_s)

    def _finish(
        self,
        batch: Batch,
        computing: asyncio.Future[BatchResult],
        answer: asyncio.Future[BatchResult],
    ) -> None:
        self._slot.finish_batch()
        fault = None if computing.cancelled() else computing.exception()
        if not computing.cancelled() and fault is None:
            audio_s = sum(segment.duration_s for segment in batch.segments)
            self._meter.observe(audio_s, batch.padded_s, computing.result().compute_s)
        if not answer.done() and not computing.cancelled():
            if fault is None:
                answer.set_result(computing.result())
            else:
                answer.set_exception(fault)
        self._line.serve()
