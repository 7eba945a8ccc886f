"""Workers as processes of this machine: fed with batches, and their answers taken.

Its crew starts, hears and replaces the processes. Knows no queue and no client.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path

from voxfleet.core import Batch, EngineInfo
from voxfleet.engines.catalog import EngineOptions
from voxfleet.errors import NotReadyError, RequestError, VoxfleetError, WorkerLostError
from voxfleet.fleet.batch_messages import recognise_message, result_of
from voxfleet.fleet.rate_meter import BatchLimit, RateMeter
from voxfleet.fleet.room_line import RoomLine
from voxfleet.fleet.worker_crew import WorkerCrew
from voxfleet.fleet.worker_keeper import KeeperSettings
from voxfleet.fleet.worker_slot import RestartPolicy, WorkerSlot
from voxfleet.pool_contract import BatchResult, PoolSnapshot, Room, WorkerState
from voxfleet.wire.messages import FromChild, Recognised, WorkerReady

_WORKER_MODULE = "voxfleet.worker"


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
        self._min_batch_timeout_s = min_batch_timeout_s
        settings = KeeperSettings(
            module=_WORKER_MODULE,
            options=options,
            address="",
            log_dir=log_dir,
            start_timeout_s=start_timeout_s,
            stop_grace_s=stop_grace_s,
            restarts=restarts or RestartPolicy(),
        )
        label = re.sub(r"[^\w-]+", "-", Path(options.model).name)[:40]
        self._slots = [WorkerSlot(f"{label}-{number}") for number in range(instances)]
        self._crew = WorkerCrew(self, self._slots, settings, socket_path, f"model {options.model}")
        self._line = RoomLine(self._slots)
        self._work: dict[str, _Work] = {}
        self._meter = RateMeter()
        self._info: EngineInfo | None = None

    @property
    def info(self) -> EngineInfo:
        if self._info is None:
            raise NotReadyError(self._crew.refusal or "the model is still loading; try again later")
        return self._info

    async def start(self) -> None:
        await self._crew.start()

    async def stop(self) -> None:
        await self._crew.stop()

    async def room(self, avoid: frozenset[str] = frozenset()) -> Room:
        if self._crew.refusal:
            raise NotReadyError(self._crew.refusal)
        return await self._line.wait(avoid)

    def release(self, room: Room) -> None:
        self._line.release(room)

    async def recognise(self, batch: Batch, room: Room) -> BatchResult:
        if self._crew.refusal:
            raise NotReadyError(self._crew.refusal)
        slot = next((slot for slot in self._slots if slot.room is room), None)
        if slot is None:
            raise WorkerLostError(
                f"worker {room.worker_id} was lost before it got the batch", blames_work=False
            )
        work = self._begin_work(slot, batch)
        try:
            sent = await self._crew.send(slot, recognise_message(batch))
        except UnicodeEncodeError as fault:
            self._abandon(slot)
            raise RequestError(f"hotwords: not valid text ({fault.reason}); use UTF-8") from fault
        if not sent:
            work.blamed = False
            self._crew.kill(slot, "is not connected any more")
        # a caller who goes away leaves the worker to finish; its answer then finds nobody
        return await work.answer

    def snapshot(self) -> PoolSnapshot:
        # until it is loaded, a model is called by the last part of its folder's path
        model = self._info.model if self._info else Path(self._options.model).name
        rows = self._crew.rows(model, self._options.device)
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
        self._crew.kill(slot, hung)

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

    # -- what the crew tells ------------------------------------------------------------------

    def heard(self, slot: WorkerSlot, message: FromChild) -> bool:
        match message:
            case WorkerReady(info=info, credit_s=credit_s) if slot.state is WorkerState.STARTING:
                self._info = self._info or info
                self._crew.is_ready(slot, credit_s)
                self._line.serve()
                return True
            case Recognised() if slot.batch and slot.batch.id == message.batch_id:
                return self._take_answer(slot, slot.batch, message)
        return False

    def _take_answer(self, slot: WorkerSlot, batch: Batch, message: Recognised) -> bool:
        result = result_of(message, batch)
        if result is None:
            return False
        audio_s = sum(segment.duration_s for segment in batch.segments)
        self._meter.observe(audio_s, message.compute_s)
        slot.finish_batch()
        self._end_work(slot, result)
        self._line.serve()
        return True

    def bereaved(self, slot: WorkerSlot, how: str, *, from_outside: bool) -> None:
        work = self._work.get(slot.id)
        if work is not None:
            blamed = work.blamed and not from_outside
            loss = WorkerLostError(f"worker {slot.id} {how}", blames_work=blamed)
            self._end_work(slot, loss)

    def refused(self, reason: str) -> None:
        self._line.refuse(reason)
        for slot in self._slots:
            self._end_work(slot, NotReadyError(reason))
