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

from voxfleet.errors import NotReadyError, StartError, rebuild
from voxfleet.fleet.crew_owner import CrewOwner
from voxfleet.fleet.worker_keeper import After, KeeperSettings, WorkerKeeper
from voxfleet.fleet.worker_slot import WorkerSlot
from voxfleet.pool_contract import RestartCause, WorkerState
from voxfleet.wire.channel import GarbledMessageError, Hub
from voxfleet.wire.messages import FromChild, Heartbeat, StartFailed, Stop, ToChild

_log = logging.getLogger(__name__)
_STOPPING = "the server is stopping; try again later"
#: how often signs of life are looked for
TICK_S = 0.2


class WorkerCrew:
    """`subject` is what the workers serve, for messages about a failed start; an idle worker that
    says nothing for `silence_limit_s` is taken to be stuck.
    """

    def __init__(
        self, owner: CrewOwner, socket_path: Path, subject: str, silence_limit_s: float = 10.0
    ) -> None:
        self._owner = owner
        self._socket_path = socket_path
        self._subject = subject
        self._silence_limit_s = silence_limit_s
        self._places: dict[str, tuple[WorkerSlot, KeeperSettings]] = {}
        self._keepers: dict[str, WorkerKeeper] = {}
        #: why nothing can be computed; empty while workers live or may live again
        self.refusal = "the pool has not been started yet; try again later"
        self.broken = ""
        self._was_ready = False
        self._hub: Hub | None = None
        self._loops: list[asyncio.Task[None]] = []
        self._keeping: dict[str, asyncio.Task[None]] = {}
        self._stop = asyncio.Event()
        self._first_news = asyncio.Event()

    # -- start and stop -----------------------------------------------------------------------

    def add(self, slot: WorkerSlot, settings: KeeperSettings) -> None:
        """One more worker; it is started with the others, or at once when they run already."""
        self._places[slot.id] = (slot, settings)
        if self._hub is not None and not self._stop.is_set():
            self._keep(slot, settings, self._hub)

    async def start(self, limit_s: float) -> None:
        """Wait until the first worker is ready; raises StartError, with nothing left running."""
        self._hub = hub = Hub(self._socket_path)
        self.refusal = ""
        self._loops.append(self.watched(self._hear(hub), "worker messages"))
        self._loops.append(self.watched(self._tick(), "worker heartbeats"))
        for slot, settings in list(self._places.values()):
            self._keep(slot, settings, hub)
        try:
            await self._wait_for_news(limit_s)
            if self.refusal:
                raise StartError(self.refusal)
        except BaseException:
            await self.stop()
            raise

    def _keep(self, slot: WorkerSlot, settings: KeeperSettings, hub: Hub) -> None:
        keeper = WorkerKeeper(
            slot,
            replace(settings, address=hub.address),
            stop=self._stop,
            ask_to_stop=lambda slot: hub.send(slot.name, Stop()),
            on_death=self._mourn,
            first_start=lambda: not self._was_ready,
        )
        self._keepers[slot.id] = keeper
        task = self.watched(keeper.run(), f"keeper of {slot.id}")
        self._keeping[slot.id] = task
        task.add_done_callback(lambda _: self._forget(slot))

    def _forget(self, slot: WorkerSlot) -> None:
        if self._stop.is_set() or self._keepers[slot.id].after is not After.GO:
            return
        for book in (self._keepers, self._keeping, self._places):
            book.pop(slot.id, None)
        self._owner.gone(slot)
        self.judge()

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
        await asyncio.gather(*self._keeping.values(), return_exceptions=True)
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        self._loops.clear()
        if self._hub is not None:
            self._hub.close()
            self._hub = None

    # -- what the pool does with a worker -----------------------------------------------------

    @property
    def slots(self) -> Sequence[WorkerSlot]:
        return [slot for slot, _ in self._places.values()]

    async def send(self, slot: WorkerSlot, message: ToChild) -> bool:
        """Hand it to the slot's present process; False when that is not there."""
        if self._hub is None:
            raise NotReadyError(self.refusal)
        return await self._hub.send(slot.name, message)

    def kill(self, slot: WorkerSlot, reason: str, cause: RestartCause = RestartCause.HUNG) -> None:
        """End the slot's present process; the next one follows by the rules for restarts."""
        self._keepers[slot.id].kill(reason, cause)

    def dismiss(self, slot: WorkerSlot, after: After, reason: str) -> None:
        """Let it finish what it has, then leave in order."""
        keeper = self._keepers.get(slot.id)
        if keeper is None:
            return
        if after is After.RESTART and keeper.waits:
            # for its next life already
            keeper.revive()
            return
        keeper.after = after
        if slot.state is not WorkerState.DRAINING:
            slot.move(WorkerState.DRAINING, reason)
        slot.reason = reason
        self.settle(slot)

    def settle(self, slot: WorkerSlot) -> None:
        """To be called when a worker may have nothing in hand any more."""
        keeper = self._keepers.get(slot.id)
        if keeper and keeper.after and slot.state is WorkerState.DRAINING and slot.idle:
            keeper.leave()
            self.judge()

    def watched(self, work: Coroutine[object, object, None], name: str) -> asyncio.Task[None]:
        """A task without which the pool cannot go on."""
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._notice)
        return task

    # -- what workers say ---------------------------------------------------------------------

    def is_ready(self, slot: WorkerSlot) -> None:
        """The owner has understood that this worker can take work now."""
        slot.become_ready()
        self._was_ready = True
        if not self.broken and not self._stop.is_set():
            self.refusal = ""
        self._first_news.set()
        _log.info("worker %s is ready", slot.id)

    async def _hear(self, hub: Hub) -> None:
        while True:
            try:
                name, message = await hub.receive()
            except GarbledMessageError as fault:
                slot = self._alive(fault.child)
                if slot:
                    self.kill(slot, f"answered nonsense: {fault}", RestartCause.NONSENSE)
                continue
            slot = self._alive(name)
            if slot:
                slot.silent_s = 0.0
                self._take(slot, message)

    def _alive(self, name: str) -> WorkerSlot | None:
        """Whose present life the name belongs to; None for the last words of the dead."""
        place = self._places.get(name.rpartition(".")[0])
        return place[0] if place and place[0].speaks_as(name) else None

    def _take(self, slot: WorkerSlot, message: FromChild) -> None:
        if isinstance(message, Heartbeat):
            if slot.beat(message.progress):
                self._owner.progressed(slot)
        elif isinstance(message, StartFailed):
            failure = message.failure
            fault = rebuild(failure.code, failure.message, failure.param)
            self._keepers[slot.id].explain(fault)
        elif not self._owner.heard(slot, message):
            what = f"answered nonsense: {type(message).__name__} out of turn"
            self.kill(slot, what, RestartCause.NONSENSE)

    async def _tick(self) -> None:
        """Counts time only while this process runs: a machine that slept accuses no worker."""
        clock = asyncio.get_running_loop().time
        last_s = clock()
        while True:
            await asyncio.sleep(TICK_S)
            now_s = clock()
            elapsed_s, last_s = min(now_s - last_s, 2 * TICK_S), now_s
            for slot in self.slots:
                if slot.pid is not None:
                    self._pass_time(slot, elapsed_s)

    def _pass_time(self, slot: WorkerSlot, elapsed_s: float) -> None:
        self._owner.ticked(slot, elapsed_s)
        slot.pass_time(elapsed_s)
        # one that computes may hold the interpreter: its batch has a limit of its own
        waits = slot.state is WorkerState.READY and slot.batch is None
        if waits and slot.silent_s > self._silence_limit_s:
            what = f"hung: it gave no sign of life for {self._silence_limit_s:g} s"
            self.kill(slot, what, RestartCause.SILENT)

    # -- deaths -------------------------------------------------------------------------------

    def _mourn(self, slot: WorkerSlot, how: str) -> None:
        keeper = self._keepers[slot.id]
        self._owner.bereaved(slot, how, from_outside=keeper.killed_from_outside)
        if keeper.lost_device:
            self._owner.lost_device(slot)
        self.judge()

    def judge(self) -> None:
        """Refuse work when no worker will come by itself."""
        slots = self.slots
        if self._stop.is_set() or not slots or not all(map(self._is_away, slots)):
            return
        failed = [slot for slot in slots if slot.state is WorkerState.FAILED]
        if not failed:
            self._refuse("every worker has been drained; restart one")
            return
        fault = self._keepers[failed[0].id].start_fault
        if fault is not None and not self._was_ready:
            # nothing has ever been served: the fault is the news, not that none is left
            self._stop.set()
            self._refuse(fault.message)
            return
        last = failed[-1]
        self._refuse(f"no worker is left: worker {last.id} {last.reason}; its log says more")

    def _is_away(self, slot: WorkerSlot) -> bool:
        if slot.state is WorkerState.FAILED:
            return True
        keeper = self._keepers.get(slot.id)
        # whose place is given up is replaced, or others are there
        stays_away = keeper is not None and keeper.after is After.STAY
        return slot.state is WorkerState.DRAINING and stays_away and slot.idle

    def _refuse(self, reason: str) -> None:
        self.refusal = reason
        self._first_news.set()
        self._owner.refused(reason)

    def _notice(self, task: asyncio.Task[None]) -> None:
        """A task of the pool that fails takes the pool with it, seen by everyone who asks."""
        fault = None if task.cancelled() else task.exception()
        if fault is not None:
            _log.error("the pool's task %r failed", task.get_name(), exc_info=fault)
            self.broken = f"the pool failed ({type(fault).__name__}); the server's log says more"
            self._refuse(self.broken)
