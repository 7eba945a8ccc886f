"""Workers as processes of this machine: fed with batches, heard, and replaced when they are lost.

Each worker has a keeper that owns its process; one task here hears what all of them say. Knows no
queue and no client.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from pathlib import Path

from voxfleet.core import Batch, EngineInfo
from voxfleet.engines.catalog import EngineOptions
from voxfleet.errors import (
    NotReadyError,
    RequestError,
    StartError,
    VoxfleetError,
    WorkerLostError,
    rebuild,
)
from voxfleet.fleet.batch_messages import recognise_message, result_of
from voxfleet.fleet.rate_meter import BatchLimit, RateMeter
from voxfleet.fleet.room_line import RoomLine
from voxfleet.fleet.worker_keeper import KeeperSettings, WorkerKeeper
from voxfleet.fleet.worker_slot import RestartPolicy, WorkerSlot
from voxfleet.pool_contract import BatchResult, PoolSnapshot, Room, WorkerState
from voxfleet.wire.channel import GarbledMessageError, Hub
from voxfleet.wire.messages import FromChild, Recognised, StartFailed, Stop, WorkerReady

_log = logging.getLogger(__name__)
_STOPPING = "the server is stopping; try again later"


@dataclass(slots=True)
class _Work:
    """A batch on its way through a worker; `alarm` rings when the worker counts as hung.

    `blamed` says whether the batch would be at fault if the worker died now.
    """

    answer: asyncio.Future[BatchResult]
    alarm: asyncio.TimerHandle
    blamed: bool = True


class LocalPool:
    def __init__(
        self,
        options: EngineOptions,
        *,
        instances: int,
        socket_path: Path,
        log_dir: Path | None,
        start_timeout_s: float,
        min_batch_timeout_s: float,
        stop_grace_s: float = 2.0,
        restarts: RestartPolicy | None = None,
    ) -> None:
        self._options = options
        self._socket_path = socket_path
        self._min_batch_timeout_s = min_batch_timeout_s
        self._keeper_settings = KeeperSettings(
            options, "", log_dir, start_timeout_s, stop_grace_s, restarts or RestartPolicy()
        )
        label = re.sub(r"[^\w-]+", "-", Path(options.model).name)[:40]
        self._slots = [WorkerSlot(f"{label}-{number}") for number in range(instances)]
        self._keepers: dict[str, WorkerKeeper] = {}
        self._line = RoomLine(self._slots)
        self._work: dict[str, _Work] = {}
        self._meter = RateMeter()
        self._info: EngineInfo | None = None
        #: why nothing can be recognised; empty while workers live or may live again
        self._refusal = "the pool has not been started yet; try again later"
        self._broken = ""
        self._hub: Hub | None = None
        self._hearing: asyncio.Task[None] | None = None
        self._keeping: list[asyncio.Task[None]] = []
        self._stop = asyncio.Event()
        self._first_news = asyncio.Event()

    @property
    def info(self) -> EngineInfo:
        if self._info is None:
            raise NotReadyError(self._refusal or "the model is still loading; try again later")
        return self._info

    async def start(self) -> None:
        self._hub = hub = Hub(self._socket_path)
        self._refusal = ""
        self._hearing = self._watched(self._hear(hub), "worker messages")
        settings = replace(self._keeper_settings, address=hub.address)
        for slot in self._slots:
            keeper = WorkerKeeper(
                slot,
                settings,
                stop=self._stop,
                ask_to_stop=lambda slot: hub.send(slot.name, Stop()),
                on_death=self._mourn,
            )
            self._keepers[slot.id] = keeper
            self._keeping.append(self._watched(keeper.run(), f"keeper of {slot.id}"))
        try:
            await self._wait_for_news(settings.start_timeout_s)
            if self._refusal:
                raise StartError(self._refusal)
        except BaseException:
            await self.stop()
            raise

    async def _wait_for_news(self, limit_s: float) -> None:
        try:
            await asyncio.wait_for(self._first_news.wait(), limit_s)
        except TimeoutError:
            raise StartError(
                f"model {self._options.model}: no worker was ready within {limit_s:g} s;"
                " raise worker.start_timeout_s, or see the workers' logs"
            ) from None

    async def stop(self) -> None:
        # nobody waits any longer, then the keepers end their processes, then the socket goes
        self._refuse(_STOPPING)
        self._stop.set()
        await asyncio.gather(*self._keeping, return_exceptions=True)
        if self._hearing is not None:
            self._hearing.cancel()
            await asyncio.gather(self._hearing, return_exceptions=True)
        if self._hub is not None:
            self._hub.close()
            self._hub = None

    async def room(self, avoid: frozenset[str] = frozenset()) -> Room:
        if self._refusal:
            raise NotReadyError(self._refusal)
        return await self._line.wait(avoid)

    def release(self, room: Room) -> None:
        self._line.release(room)

    async def recognise(self, batch: Batch, room: Room) -> BatchResult:
        if self._refusal or self._hub is None:
            raise NotReadyError(self._refusal)
        slot = next((slot for slot in self._slots if slot.room is room), None)
        if slot is None:
            raise WorkerLostError(
                f"worker {room.worker_id} was lost before it got the batch", blames_work=False
            )
        work = self._begin_work(slot, batch)
        try:
            sent = await self._hub.send(slot.name, recognise_message(batch))
        except UnicodeEncodeError as fault:
            self._abandon(slot)
            raise RequestError(f"hotwords: not valid text ({fault.reason}); use UTF-8") from fault
        if not sent:
            work.blamed = False
            self._keepers[slot.id].kill("is not connected any more")
        # a caller who goes away leaves the worker to finish; its answer then finds nobody
        return await work.answer

    def snapshot(self) -> PoolSnapshot:
        model = self._info.model if self._info else self._options.model
        rows = tuple(slot.snapshot(model, self._options.device) for slot in self._slots)
        if self._broken:
            rows = tuple(
                replace(row, state=WorkerState.FAILED, reason=self._broken) for row in rows
            )
        ready = sum(row.state is WorkerState.READY for row in rows)
        rate = self._meter.rate
        return PoolSnapshot(model, rows, rate * max(1, ready) if rate else None)

    # -- one batch ----------------------------------------------------------------------------

    def _begin_work(self, slot: WorkerSlot, batch: Batch) -> _Work:
        loop = asyncio.get_running_loop()
        limit = self._meter.limit(batch.padded_s, self.info.speed, self._min_batch_timeout_s)
        alarm = loop.call_later(limit.limit_s, self._give_up, slot, limit)
        slot.take(batch)
        self._work[slot.id] = work = _Work(loop.create_future(), alarm)
        return work

    def _give_up(self, slot: WorkerSlot, limit: BatchLimit) -> None:
        self._meter.observe_hang()
        self._work[slot.id].blamed = limit.learned
        hung = f"hung: it gave no answer to a batch in {limit.limit_s:.3g} s"
        self._keepers[slot.id].kill(hung)

    def _abandon(self, slot: WorkerSlot) -> None:
        """The worker never got the batch: it is as free as before."""
        work = self._work.pop(slot.id)
        work.alarm.cancel()
        work.answer.cancel()
        slot.finish_batch()
        self._line.serve()

    def _end_work(self, slot: WorkerSlot, outcome: BatchResult | VoxfleetError) -> None:
        work = self._work.pop(slot.id, None)
        if work is None:
            return
        work.alarm.cancel()
        if work.answer.done():
            return
        if isinstance(outcome, BatchResult):
            work.answer.set_result(outcome)
        else:
            work.answer.set_exception(outcome)

    # -- what workers say ---------------------------------------------------------------------

    async def _hear(self, hub: Hub) -> None:
        while True:
            try:
                name, message = await hub.receive()
            except GarbledMessageError as fault:
                slot = self._alive(fault.child)
                if slot:
                    self._keepers[slot.id].kill(f"answered nonsense: {fault}")
                continue
            slot = self._alive(name)
            if slot:
                self._take(slot, message)

    def _alive(self, name: str) -> WorkerSlot | None:
        """Whose present life the name belongs to; None for the last words of the dead."""
        return next((slot for slot in self._slots if slot.speaks_as(name)), None)

    def _take(self, slot: WorkerSlot, message: FromChild) -> None:
        match message:
            case WorkerReady(info=info, credit_s=credit_s) if slot.state is WorkerState.STARTING:
                self._info = self._info or info
                slot.become_ready(credit_s)
                self._first_news.set()
                _log.info("worker %s is ready", slot.id)
                self._line.serve()
            case StartFailed(failure=failure):
                fault = rebuild(failure.code, failure.message, failure.param)
                self._keepers[slot.id].explain(fault)
            case Recognised() if slot.batch and slot.batch.id == message.batch_id:
                self._take_answer(slot, slot.batch, message)
            case _:
                kind = type(message).__name__
                self._keepers[slot.id].kill(f"answered nonsense: {kind} out of turn")

    def _take_answer(self, slot: WorkerSlot, batch: Batch, message: Recognised) -> None:
        result = result_of(message, batch)
        if result is None:
            self._keepers[slot.id].kill(f"answered nonsense to batch {batch.id}")
            return
        audio_s = sum(segment.duration_s for segment in batch.segments)
        self._meter.observe(audio_s, message.compute_s)
        slot.finish_batch()
        self._end_work(slot, result)
        self._line.serve()

    # -- deaths -------------------------------------------------------------------------------

    def _mourn(self, slot: WorkerSlot, how: str) -> None:
        work = self._work.get(slot.id)
        if work is not None:
            blamed = work.blamed and not self._keepers[slot.id].killed_from_outside
            loss = WorkerLostError(f"worker {slot.id} {how}", blames_work=blamed)
            self._end_work(slot, loss)
        fault = self._keepers[slot.id].start_fault
        if self._info is None and fault is not None:
            # a model that cannot be loaded will not be loaded by trying again
            self._stop.set()
            self._refuse(fault.message)
        elif all(slot.state is WorkerState.FAILED for slot in self._slots):
            self._refuse(f"no worker is left: worker {slot.id} {how}; restart the server")

    def _refuse(self, reason: str) -> None:
        self._refusal = reason
        self._first_news.set()
        self._line.refuse(reason)
        for slot in self._slots:
            self._end_work(slot, NotReadyError(reason))

    def _watched(self, work: Coroutine[object, object, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._notice)
        return task

    def _notice(self, task: asyncio.Task[None]) -> None:
        """A task of the pool that fails takes the pool with it, seen by everyone who asks."""
        fault = None if task.cancelled() else task.exception()
        if fault is not None:
            _log.error("the pool's task %r failed", task.get_name(), exc_info=fault)
            self._broken = f"the pool failed ({type(fault).__name__}); the server's log says more"
            self._refuse(self._broken)
