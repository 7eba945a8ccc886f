"""The processes of one pool: started together, heard on one socket, replaced, stopped together.

Knows how workers live and die and that they speak; what they say and what they had in hand is the
pool's own business, told through `CrewOwner`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from voxfleet.errors import NotReadyError, StartError, rebuild
from voxfleet.fleet.worker_keeper import KeeperSettings, WorkerKeeper
from voxfleet.fleet.worker_slot import WorkerSlot
from voxfleet.pool_contract import WorkerSnapshot, WorkerState
from voxfleet.wire.channel import GarbledMessageError, Hub
from voxfleet.wire.messages import FromChild, StartFailed, Stop, ToChild

_log = logging.getLogger(__name__)
_STOPPING = "the server is stopping; try again later"


class CrewOwner(Protocol):
    """The pool that the workers belong to."""

    def heard(self, slot: WorkerSlot, message: FromChild) -> bool:
        """A living worker's message; False when it makes no sense now."""
        ...

    def bereaved(self, slot: WorkerSlot, how: str, *, from_outside: bool) -> None:
        """The worker is gone, and whatever it held with it."""
        ...

    def refused(self, reason: str) -> None:
        """Nothing can be computed any more."""
        ...


class WorkerCrew:
    """`subject` is what the workers serve, as messages about a failed start call it."""

    def __init__(
        self,
        owner: CrewOwner,
        slots: Sequence[WorkerSlot],
        settings: KeeperSettings,
        socket_path: Path,
        subject: str,
    ) -> None:
        self._owner = owner
        self._slots = slots
        self._settings = settings
        self._socket_path = socket_path
        self._subject = subject
        self._keepers: dict[str, WorkerKeeper] = {}
        #: why nothing can be computed; empty while workers live or may live again
        self.refusal = "the pool has not been started yet; try again later"
        self._broken = ""
        self._was_ready = False
        self._hub: Hub | None = None
        self._hearing: asyncio.Task[None] | None = None
        self._keeping: list[asyncio.Task[None]] = []
        self._stop = asyncio.Event()
        self._first_news = asyncio.Event()

    async def start(self) -> None:
        """Wait until the first worker is ready; raises StartError, with nothing left running."""
        self._hub = hub = Hub(self._socket_path)
        self.refusal = ""
        self._hearing = self.watched(self._hear(hub), "worker messages")
        settings = replace(self._settings, address=hub.address)
        for slot in self._slots:
            keeper = WorkerKeeper(
                slot,
                settings,
                stop=self._stop,
                ask_to_stop=lambda slot: hub.send(slot.name, Stop()),
                on_death=self._mourn,
            )
            self._keepers[slot.id] = keeper
            self._keeping.append(self.watched(keeper.run(), f"keeper of {slot.id}"))
        try:
            await self._wait_for_news(settings.start_timeout_s)
            if self.refusal:
                raise StartError(self.refusal)
        except BaseException:
            await self.stop()
            raise

    async def _wait_for_news(self, limit_s: float) -> None:
        try:
            await asyncio.wait_for(self._first_news.wait(), limit_s)
        except TimeoutError:
            raise StartError(
                f"{self._subject}: no worker was ready within {limit_s:g} s;"
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

    async def send(self, slot: WorkerSlot, message: ToChild) -> bool:
        """Hand it to the slot's present process; False when that is not there."""
        if self._hub is None:
            raise NotReadyError(self.refusal)
        return await self._hub.send(slot.name, message)

    def kill(self, slot: WorkerSlot, reason: str) -> None:
        """End the slot's present process; the next one follows by the rules for restarts."""
        self._keepers[slot.id].kill(reason)

    def rows(self, model: str, device: str) -> tuple[WorkerSnapshot, ...]:
        rows = tuple(slot.snapshot(model, device) for slot in self._slots)
        if not self._broken:
            return rows
        return tuple(replace(row, state=WorkerState.FAILED, reason=self._broken) for row in rows)

    def watched(self, work: Coroutine[object, object, None], name: str) -> asyncio.Task[None]:
        """A task without which the pool cannot go on."""
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._notice)
        return task

    # -- what workers say ---------------------------------------------------------------------

    def is_ready(self, slot: WorkerSlot, credit_s: float = 0.0) -> None:
        """The owner has understood that this worker can take work now."""
        slot.become_ready(credit_s)
        self._was_ready = True
        self._first_news.set()
        _log.info("worker %s is ready", slot.id)

    async def _hear(self, hub: Hub) -> None:
        while True:
            try:
                name, message = await hub.receive()
            except GarbledMessageError as fault:
                slot = self._alive(fault.child)
                if slot:
                    self.kill(slot, f"answered nonsense: {fault}")
                continue
            slot = self._alive(name)
            if slot:
                self._take(slot, message)

    def _alive(self, name: str) -> WorkerSlot | None:
        """Whose present life the name belongs to; None for the last words of the dead."""
        return next((slot for slot in self._slots if slot.speaks_as(name)), None)

    def _take(self, slot: WorkerSlot, message: FromChild) -> None:
        if isinstance(message, StartFailed):
            failure = message.failure
            fault = rebuild(failure.code, failure.message, failure.param)
            self._keepers[slot.id].explain(fault)
        elif not self._owner.heard(slot, message):
            self.kill(slot, f"answered nonsense: {type(message).__name__} out of turn")

    # -- deaths -------------------------------------------------------------------------------

    def _mourn(self, slot: WorkerSlot, how: str) -> None:
        keeper = self._keepers[slot.id]
        self._owner.bereaved(slot, how, from_outside=keeper.killed_from_outside)
        if not self._was_ready and keeper.start_fault is not None:
            # what cannot be loaded will not be loaded by trying again
            self._stop.set()
            self._refuse(keeper.start_fault.message)
        elif all(slot.state is WorkerState.FAILED for slot in self._slots):
            self._refuse(f"no worker is left: worker {slot.id} {how}; restart the server")

    def _refuse(self, reason: str) -> None:
        self.refusal = reason
        self._first_news.set()
        self._owner.refused(reason)

    def _notice(self, task: asyncio.Task[None]) -> None:
        """A task of the pool that fails takes the pool with it, seen by everyone who asks."""
        fault = None if task.cancelled() else task.exception()
        if fault is not None:
            _log.error("the pool's task %r failed", task.get_name(), exc_info=fault)
            self._broken = f"the pool failed ({type(fault).__name__}); the server's log says more"
            self._refuse(self._broken)
