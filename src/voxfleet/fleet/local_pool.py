"""Workers of one model as processes of this machine: fed with batches, and their answers taken.

Its crew starts, hears and replaces the processes. Knows no queue and no client.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from voxfleet.core import Batch, EngineInfo
from voxfleet.errors import (
    NotFoundError,
    NotReadyError,
    RequestError,
    VoxfleetError,
    WorkerLostError,
)
from voxfleet.fleet.batch_messages import recognise_message, result_of
from voxfleet.fleet.batch_watch import BatchWatch
from voxfleet.fleet.member import Member, Paces
from voxfleet.fleet.pool_share import PoolShare
from voxfleet.fleet.room_line import RoomLine
from voxfleet.fleet.worker_crew import WorkerCrew
from voxfleet.fleet.worker_keeper import After, KeeperSettings
from voxfleet.fleet.worker_slot import RestartPolicy, WorkerSlot
from voxfleet.fleet.worker_spec import WorkerSpec
from voxfleet.pool_contract import BatchResult, PoolSnapshot, RestartCause, Room, WorkerState
from voxfleet.wire.messages import FromChild, Recognised, WorkerReady

_WORKER_MODULE = "voxfleet.worker"


@dataclass(frozen=True, slots=True)
class LocalPoolSettings:
    """What all workers of all local pools have in common."""

    log_dir: Path | None
    start_timeout_s: float = 300.0
    min_batch_timeout_s: float = 10.0
    silence_limit_s: float = 10.0
    stop_grace_s: float = 2.0
    restarts: RestartPolicy = field(default_factory=RestartPolicy)


class LocalPool:
    """`name` is the model's until it has been loaded and says its own.

    `on_device_fault` hears of a card that one of the workers could not use any more.
    """

    def __init__(
        self,
        name: str,
        specs: Sequence[WorkerSpec],
        socket_path: Path,
        settings: LocalPoolSettings,
        on_device_fault: Callable[[str, str], None] = lambda _key, _worker: None,
    ) -> None:
        self._name = name
        self._settings = settings
        self._on_device_fault = on_device_fault
        self._crew = WorkerCrew(self, socket_path, f"model {name}", settings.silence_limit_s)
        self._members: dict[str, Member] = {}
        self._paces = Paces()
        self._share = PoolShare()
        self._line = RoomLine(lambda: self._crew.slots, self._promise, self._burden)
        self._work: dict[str, BatchWatch] = {}
        self._info: EngineInfo | None = None
        for spec in specs:
            self.add(spec)

    @property
    def info(self) -> EngineInfo:
        if self._info is None:
            raise NotReadyError(self._crew.refusal or "the model is still loading; try again later")
        return self._info

    async def start(self) -> None:
        await self._crew.start(self._settings.start_timeout_s)

    async def stop(self) -> None:
        await self._crew.stop()

    # -- its workers --------------------------------------------------------------------------

    @property
    def specs(self) -> tuple[WorkerSpec, ...]:
        """The workers there are to be; those that leave for good are none of them."""
        return tuple(member.spec for member in self._members.values() if not member.leaving)

    def add(self, spec: WorkerSpec) -> None:
        """One more worker; it starts with the pool, or at once when that runs already."""
        if spec.id in self._members:
            raise ValueError(f"there is a worker {spec.id} already")
        slot = WorkerSlot(spec.id, spec.pool, time.time)
        self._members[spec.id] = Member(spec, slot, self._paces.of(spec))
        self._share.join(spec.pool)
        settings = self._settings
        self._crew.add(
            slot,
            KeeperSettings(
                module=_WORKER_MODULE,
                options=spec.options,
                address="",
                log_dir=settings.log_dir,
                start_timeout_s=settings.start_timeout_s,
                stop_grace_s=settings.stop_grace_s,
                restarts=settings.restarts,
                env=spec.env,
                cores=spec.cores,
            ),
        )

    def remove(self, worker_id: str, reason: str) -> None:
        """It finishes what it has, and its place is given up."""
        member = self._member(worker_id)
        member.leaving = True
        self._crew.dismiss(member.slot, After.GO, reason)

    def restart(self, worker_id: str, reason: str) -> None:
        """It finishes what it has, and is started again."""
        self._crew.dismiss(self._member(worker_id).slot, After.RESTART, reason)

    def drain(self, worker_id: str, reason: str) -> None:
        """It finishes what it has, and stays away until it is restarted."""
        self._crew.dismiss(self._member(worker_id).slot, After.STAY, reason)

    def restart_device(self, device_key: str, worker_id: str) -> None:
        """One worker has lost the card: all who share it start again, and no sound is blamed."""
        for member in self._members.values():
            if member.spec.device_key != device_key or member.spec.id == worker_id:
                continue
            if watch := self._work.get(member.spec.id):
                watch.blamed = False
            reason = f"shares a device that worker {worker_id} has lost"
            self._crew.kill(member.slot, reason, RestartCause.SHARED_DEVICE)

    def _member(self, worker_id: str) -> Member:
        member = self._members.get(worker_id)
        if member is None or member.leaving:
            known = ", ".join(spec.id for spec in self.specs)
            raise NotFoundError(f"worker {worker_id!r} is unknown; there are {known}")
        return member

    def snapshot(self) -> PoolSnapshot:
        name, rate = (self._info.model, self._info.speed) if self._info else (self._name, None)
        rows = tuple(member.snapshot(name, rate) for member in self._members.values())
        if broken := self._crew.broken:
            rows = tuple(replace(row, state=WorkerState.FAILED, reason=broken) for row in rows)
        troubles = (member.slot.trouble for member in self._members.values())
        return PoolSnapshot(name, rows, self._rate(), next(filter(None, troubles), ""))

    def _rate(self) -> float | None:
        """Of all who are ready; who has not been measured counts as the average of the others."""
        rates = [member.meter.rate for member in self._members.values() if member.ready]
        measured = [rate for rate in rates if rate is not None]
        if not measured:
            # while all are being replaced, what was measured still holds for one of them
            return self._paces.last_rate
        return sum(measured) / len(measured) * len(rates)

    # -- rooms --------------------------------------------------------------------------------

    async def room(self, avoid: frozenset[str] = frozenset()) -> Room:
        if self._crew.refusal:
            raise NotReadyError(self._crew.refusal)
        return await self._line.wait(avoid)

    def release(self, room: Room) -> None:
        self._line.release(room)
        if member := self._members.get(room.worker_id):
            self._crew.settle(member.slot)

    def _promise(self, slot: WorkerSlot) -> Room:
        member = self._members[slot.id]
        pace = member.pace(self.info.speed)
        return slot.promise(member.credit.now_s(pace), pace)

    def _burden(self, slot: WorkerSlot) -> float:
        return self._share.burden(slot.pool)

    # -- one batch ----------------------------------------------------------------------------

    async def recognise(self, batch: Batch, room: Room) -> BatchResult:
        if self._crew.refusal:
            self.release(room)
            raise NotReadyError(self._crew.refusal)
        member = self._members.get(room.worker_id)
        if member is None or member.slot.room is not room:
            raise WorkerLostError(
                f"worker {room.worker_id} was lost before it got the batch", blames_work=False
            )
        watch = self._begin_work(member, batch)
        try:
            sent = await self._crew.send(member.slot, recognise_message(batch))
        except UnicodeEncodeError as fault:
            self._abandon(member.slot)
            raise RequestError(f"hotwords: not valid text ({fault.reason}); use UTF-8") from fault
        if not sent:
            watch.blamed = False
            reason = "is not connected any more"
            self._crew.kill(member.slot, reason, RestartCause.DISCONNECTED)
        # a caller who goes away leaves the worker to finish; its answer then finds nobody
        return await watch.answer

    def _begin_work(self, member: Member, batch: Batch) -> BatchWatch:
        at_least_s = self._settings.min_batch_timeout_s
        limit = member.meter.limit(batch.padded_s, self.info.speed, at_least_s)
        member.slot.take(batch)
        self._share.give(member.spec.pool, batch.padded_s, member.spec.weight)
        watch = BatchWatch(asyncio.get_running_loop().create_future(), limit)
        self._work[member.spec.id] = watch
        return watch

    def _abandon(self, slot: WorkerSlot) -> None:
        """The worker never got the batch: it is as free as before."""
        self._work.pop(slot.id).answer.cancel()
        slot.finish_batch()
        self._free(slot)

    def _free(self, slot: WorkerSlot) -> None:
        self._crew.settle(slot)
        self._line.serve()

    def _end_work(self, slot: WorkerSlot, outcome: BatchResult | VoxfleetError) -> None:
        watch = self._work.pop(slot.id, None)
        if watch is not None:
            watch.end(outcome)

    # -- what the crew tells ------------------------------------------------------------------

    def heard(self, slot: WorkerSlot, message: FromChild) -> bool:
        match message:
            case WorkerReady(info=info, credit_s=credit_s):
                return self._welcome(slot, info, credit_s)
            case Recognised() if slot.batch and slot.batch.id == message.batch_id:
                return self._take_answer(slot, slot.batch, message)
        return False

    def _welcome(self, slot: WorkerSlot, info: EngineInfo, credit_s: float) -> bool:
        if slot.state is WorkerState.DRAINING:
            # it was told to leave while it loaded
            return True
        if slot.state is not WorkerState.STARTING:
            return False
        # the newest: a reload may have changed what the model can do
        self._info = info
        self._members[slot.id].credit.begin(credit_s)
        self._crew.is_ready(slot)
        self._line.serve()
        return True

    def _take_answer(self, slot: WorkerSlot, batch: Batch, message: Recognised) -> bool:
        result = result_of(message, batch)
        if result is None:
            return False
        self._members[slot.id].observe(batch, message, self.info.speed)
        slot.finish_batch()
        self._end_work(slot, result)
        self._free(slot)
        return True

    def progressed(self, slot: WorkerSlot) -> None:
        if watch := self._work.get(slot.id):
            watch.progress()

    def ticked(self, slot: WorkerSlot, elapsed_s: float) -> None:
        watch = self._work.get(slot.id)
        if watch is None or not watch.exceeded(elapsed_s):
            return
        self._members[slot.id].meter.observe_hang()
        watch.blamed = watch.limit.learned
        self._crew.kill(slot, f"hung: it gave no answer to a batch in {watch.limit.limit_s:.3g} s")

    def bereaved(self, slot: WorkerSlot, how: str, *, from_outside: bool) -> None:
        watch = self._work.get(slot.id)
        if watch is not None:
            blamed = watch.blamed and not from_outside
            self._end_work(slot, WorkerLostError(f"worker {slot.id} {how}", blames_work=blamed))

    def lost_device(self, slot: WorkerSlot) -> None:
        device_key = self._members[slot.id].spec.device_key
        # nobody shares the CPU in this sense
        if device_key:
            self._on_device_fault(device_key, slot.id)

    def gone(self, slot: WorkerSlot) -> None:
        self._members.pop(slot.id, None)

    def refused(self, reason: str) -> None:
        self._line.refuse(reason)
        for member in self._members.values():
            self._end_work(member.slot, NotReadyError(reason))
