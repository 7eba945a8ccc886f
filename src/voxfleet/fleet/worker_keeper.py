"""Keeps one worker alive: starts its process, sees it end, starts the next one, until told to stop.

Alone owns the process and its ending. Knows no batch and no socket: what the worker says reaches
the slot through the pool.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import msgspec

from voxfleet.engines.catalog import EngineOptions
from voxfleet.engines.text_catalog import TextEngineOptions
from voxfleet.errors import VoxfleetError
from voxfleet.fleet.life_end import LifeEnd
from voxfleet.fleet.worker_slot import RestartPolicy, WorkerSlot
from voxfleet.pool_contract import RestartCause, WorkerState
from voxfleet.wire.child_process import ChildProcess

_log = logging.getLogger(__name__)
_LAST_WORDS_LIMIT_S = 2.0
#: how long a killed process may take to be gone before its work is given to others; a driver can
#: hold it for ever
_GONE_LIMIT_S = 2.0

WorkerOptions = EngineOptions | TextEngineOptions


class After(Enum):
    """What follows when a worker has left because it was told to."""

    RESTART = "it is started again"
    STAY = "it stays away until it is started again"
    GO = "its place is given up"


@dataclass(frozen=True, slots=True)
class KeeperSettings:
    """What every life of a worker is started with; `module` is the program it runs.

    `env` holds before its first import; `cores` () leaves it all there are.
    """

    module: str
    options: WorkerOptions
    address: str
    log_dir: Path | None
    start_timeout_s: float
    stop_grace_s: float
    restarts: RestartPolicy
    env: Mapping[str, str] = field(default_factory=dict)
    cores: tuple[int, ...] = ()


class WorkerKeeper:
    """`ask_to_stop` sends the message; `on_death` hears why, once for every life that ends.

    While `first_start` holds, a worker that says it cannot load is not tried again at once: what
    has never been loaded here will not be loaded by trying again.
    """

    def __init__(
        self,
        slot: WorkerSlot,
        settings: KeeperSettings,
        *,
        stop: asyncio.Event,
        ask_to_stop: Callable[[WorkerSlot], Awaitable[object]],
        on_death: Callable[[WorkerSlot, str], None],
        first_start: Callable[[], bool] = lambda: False,
    ) -> None:
        self.slot = slot
        self._settings = settings
        self._stop = stop
        self._ask_to_stop = ask_to_stop
        self._on_death = on_death
        self._first_start = first_start
        self._process: ChildProcess | None = None
        #: what is known of the end of the present life, or of the last one
        self._end = LifeEnd()
        self._explained = asyncio.Event()
        self._killed = asyncio.Event()
        self._leave = asyncio.Event()
        self._revive = asyncio.Event()
        #: set while it is to leave, at once or when its batch is done
        self.after: After | None = None
        #: between two lives
        self.waits = False

    @property
    def killed_from_outside(self) -> bool:
        """The last life was ended by somebody's signal, not by ours nor by what it was doing."""
        return self._end.from_outside

    @property
    def lost_device(self) -> bool:
        """The last life ended because its device cannot compute any more."""
        return self._end.lost_device

    @property
    def start_fault(self) -> VoxfleetError | None:
        """Why the present or last life could not start, in the worker's own words."""
        return self._end.start_fault

    def explain(self, fault: VoxfleetError) -> None:
        """The worker has said why it cannot start; it will end by itself."""
        self._end.start_fault = fault
        self._explained.set()

    def kill(self, reason: str, cause: RestartCause) -> None:
        """End the present process; the next one follows by the rules for restarts."""
        if self._process is None or self._end.killed_for:
            return
        _log.error("worker %s %s; it is ended", self.slot.id, reason)
        self._end.killed_for, self._end.kill_cause = reason, cause
        self._killed.set()
        self._process.kill()

    def leave(self) -> None:
        """Nothing is in its hands: end the process in order, then what `after` says."""
        self._leave.set()

    def revive(self) -> None:
        """Start the next life now, whatever it waits for."""
        self.after = None
        self._leave.clear()
        self._revive.set()

    async def run(self) -> None:
        while not self._stop.is_set():
            how = await self._live()
            if self._stop.is_set() and how is None:
                break
            if how is not None and not await self._died(how):
                break
            if self.after is not None and not await self._left(self.after):
                return
        if self.slot.state is not WorkerState.DRAINING:
            self.slot.move(WorkerState.DRAINING, "the server is stopping")

    async def _died(self, how: str) -> bool:
        """What follows a death; False when the pool stops because of it."""
        hopeless = self._end.start_fault is not None and self._first_start()
        policy = self._settings.restarts
        delay_s = self.slot.end_life(how, policy, self._end.cause, hopeless=hopeless)
        self._on_death(self.slot, how)
        if self._stop.is_set():
            # the pool has given up, and says why itself
            return False
        if self.after is not None:
            self.slot.move(WorkerState.DRAINING, how)
            return True
        again_s = policy.restart_failed_after_s if delay_s is None else delay_s
        _log.error("worker %s %s; %s", self.slot.id, how, _next_step(delay_s, again_s))
        self._revive.clear()
        await self._wait(again_s, self._stop, self._revive, self._leave)
        return True

    async def _left(self, after: After) -> bool:
        """What follows leaving in order; False when the slot is given up."""
        self._leave.clear()
        # whoever was told to come back may be told to stay away before it has heard of it
        while after is After.STAY and not self._stop.is_set():
            self._revive.clear()
            await self._wait(None, self._stop, self._revive, self._leave)
            self._leave.clear()
            after = self.after or After.RESTART
        if after is After.GO:
            return False
        self.after = None
        return True

    async def _wait(self, limit_s: float | None, *events: asyncio.Event) -> None:
        """Between two lives; only now can `revive` be heard."""
        self.waits = True
        try:
            await _first_of(limit_s, *events)
        finally:
            self.waits = False

    async def _live(self) -> str | None:
        """One life: how it ended, or None when it left because it was told to."""
        self.slot.begin_life()
        self._end = LifeEnd()
        self._explained.clear()
        self._killed.clear()
        try:
            self._process = process = await self._spawn()
        except (OSError, RuntimeError) as fault:
            # no memory, no descriptor, or (RuntimeError) no thread to wait for it in
            return f"could not be started: {fault}"
        self.slot.pid = process.pid
        timeout_s = self._settings.start_timeout_s
        alarm = asyncio.get_running_loop().call_later(timeout_s, self._late, timeout_s)
        try:
            status = await self._ended(process)
            if status is None:
                await self._dismiss(process)
        finally:
            alarm.cancel()
            self._process = None
        self._end.exit_status = status
        return None if status is None else await self._how(status)

    async def _how(self, status: int) -> str:
        if self._end.words_expected:
            # its last message may still be on the way when its end is seen
            await _first_of(_LAST_WORDS_LIMIT_S, self._explained)
        return self._end.how(status)

    def _late(self, timeout_s: float) -> None:
        if self.slot.state is WorkerState.STARTING:
            reason = f"was not ready within {timeout_s:g} s"
            self.kill(reason, RestartCause.START_TIMEOUT)

    async def _spawn(self) -> ChildProcess:
        settings = self._settings
        log_dir = settings.log_dir
        return await ChildProcess.start(
            settings.module,
            [settings.address, self.slot.name, msgspec.json.encode(settings.options).decode()],
            env=settings.env,
            log_path=log_dir / f"worker-{self.slot.id}.log" if log_dir else None,
            cores=settings.cores,
        )

    async def _ended(self, process: ChildProcess) -> int | None:
        """The exit status; None when it is to leave before the process has ended by itself."""
        ended = asyncio.create_task(process.wait())
        leaving = asyncio.create_task(_first_of(None, self._stop, self._leave))
        stuck = asyncio.create_task(self._cannot_be_ended())
        await asyncio.wait({ended, leaving, stuck}, return_when=asyncio.FIRST_COMPLETED)
        leaving.cancel()
        stuck.cancel()
        if ended.done():
            return ended.result()
        ended.cancel()
        if stuck.done():
            self._tell_unended(process)
            return -signal.SIGKILL
        return None

    async def _cannot_be_ended(self) -> None:
        await self._killed.wait()
        await asyncio.sleep(_GONE_LIMIT_S)

    def _tell_unended(self, process: ChildProcess) -> None:
        """What it still holds is not ours to take; its words are not heard any more."""
        _log.error(
            "worker %s: process %d was killed and does not end; see what holds it (a driver, a"
            " disk); it is replaced as if it had ended",
            self.slot.id,
            process.pid,
        )

    async def _dismiss(self, process: ChildProcess) -> None:
        # first by message, then by signal, at last by force; each has its limit
        grace_s = self._settings.stop_grace_s
        await self._ask_to_stop(self.slot)
        try:
            await process.wait(grace_s)
        except TimeoutError:
            await self._force(process, grace_s)
        self.slot.leave()

    async def _force(self, process: ChildProcess, grace_s: float) -> None:
        try:
            await process.terminate(grace_s)
        except TimeoutError:
            self._tell_unended(process)


async def _first_of(limit_s: float | None, *events: asyncio.Event) -> None:
    """Wait until one of the events happens, so long at most; None has no limit."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


def _next_step(delay_s: float | None, again_s: float) -> str:
    if delay_s is None:
        return f"it has failed and is tried again in {again_s:g} s"
    return f"started again in {delay_s:g} s" if delay_s else "started again now"
