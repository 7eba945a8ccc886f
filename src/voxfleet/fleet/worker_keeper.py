"""Keeps one worker alive: starts its process, sees it end, starts the next one, until told to stop.

Alone owns the process and its ending. Knows no batch and no socket: what the worker says reaches
the slot through the pool.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from voxfleet.engines.catalog import EngineOptions
from voxfleet.engines.text_catalog import TextEngineOptions
from voxfleet.errors import VoxfleetError
from voxfleet.fleet.worker_slot import RestartPolicy, WorkerSlot
from voxfleet.pool_contract import WorkerState
from voxfleet.wire.child_process import ChildProcess, describe_exit
from voxfleet.worker_process import START_FAILED_STATUS

_log = logging.getLogger(__name__)
_LAST_WORDS_LIMIT_S = 2.0
_VISIBLE = "CUDA_VISIBLE_DEVICES"

WorkerOptions = EngineOptions | TextEngineOptions


@dataclass(frozen=True, slots=True)
class KeeperSettings:
    """What every life of a worker is started with; `module` is the program it runs."""

    module: str
    options: WorkerOptions
    address: str
    log_dir: Path | None
    start_timeout_s: float
    stop_grace_s: float
    restarts: RestartPolicy


def on_device(options: WorkerOptions, shown: str | None) -> tuple[WorkerOptions, dict[str, str]]:
    """What the worker is told, and the environment that hides every other device from it.

    `shown` is our own CUDA_VISIBLE_DEVICES: `cuda:1` is the second of those, as it is for PyTorch.
    """
    kind, _, index = options.device.partition(":")
    if kind != "cuda":
        return options, {_VISIBLE: ""}
    number = index or "0"
    if shown is None and number.isdecimal():
        chosen = number
    elif shown is not None and number.isdecimal() and int(number) < len(shown.split(",")):
        chosen = shown.split(",")[int(number)].strip()
    else:
        # no such device: the worker refuses it by the name it was given
        return options, {}
    # the one device that is left is the first
    return replace(options, device="cuda:0"), {_VISIBLE: chosen}


class WorkerKeeper:
    """`ask_to_stop` sends the message; `on_death` hears why, once for every life that ends."""

    def __init__(
        self,
        slot: WorkerSlot,
        settings: KeeperSettings,
        *,
        stop: asyncio.Event,
        ask_to_stop: Callable[[WorkerSlot], Awaitable[object]],
        on_death: Callable[[WorkerSlot, str], None],
    ) -> None:
        self.slot = slot
        self._settings = settings
        self._stop = stop
        self._ask_to_stop = ask_to_stop
        self._on_death = on_death
        self._process: ChildProcess | None = None
        self._kill_reason = ""
        self._start_fault: VoxfleetError | None = None
        self._exit_status: int | None = None
        self._explained = asyncio.Event()

    @property
    def killed_from_outside(self) -> bool:
        """The last life was ended by somebody's signal, not by ours nor by what it was doing.

        The kernel's own SIGKILL for memory looks the same, and is given the same benefit.
        """
        # 0 is a worker that heeded a SIGTERM: it leaves in order
        outside = (0, -signal.SIGKILL, -signal.SIGTERM)
        return self._exit_status in outside and not self._kill_reason

    @property
    def start_fault(self) -> VoxfleetError | None:
        """Why the present or last life could not start, in the worker's own words."""
        return self._start_fault

    def explain(self, fault: VoxfleetError) -> None:
        """The worker has said why it cannot start; it will end by itself."""
        self._start_fault = fault
        self._explained.set()

    def kill(self, reason: str) -> None:
        """End the present process; the next one follows by the rules for restarts."""
        if self._process is None or self._kill_reason:
            return
        _log.error("worker %s %s; it is ended", self.slot.id, reason)
        self._kill_reason = reason
        self._process.kill()

    async def run(self) -> None:
        while not self._stop.is_set():
            how = await self._live()
            if how is None:
                break
            delay_s = self.slot.end_life(how, self._settings.restarts)
            self._on_death(self.slot, how)
            if self._stop.is_set():
                # the pool has given up, and says why itself
                break
            _log.error("worker %s %s; %s", self.slot.id, how, _next_step(delay_s))
            if delay_s is None:
                return
            await _happened(self._stop, delay_s)
        self.slot.move(WorkerState.DRAINING, "the server is stopping")

    async def _live(self) -> str | None:
        """One life: how it ended, or None when it was ended because all must stop."""
        self.slot.begin_life()
        self._kill_reason = ""
        self._exit_status = None
        self._start_fault = None
        self._explained.clear()
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
        self._exit_status = status
        return None if status is None else await self._how(status)

    async def _how(self, status: int) -> str:
        if status == START_FAILED_STATUS:
            # its last message may still be on the way when its end is seen
            await _happened(self._explained, _LAST_WORDS_LIMIT_S)
        if self._start_fault is not None:
            return f"could not start: {self._start_fault.message}"
        return self._kill_reason or describe_exit(status)

    def _late(self, timeout_s: float) -> None:
        if self.slot.state is WorkerState.STARTING:
            self.kill(f"was not ready within {timeout_s:g} s")

    async def _spawn(self) -> ChildProcess:
        options, environment = on_device(self._settings.options, os.environ.get(_VISIBLE))
        log_dir = self._settings.log_dir
        return await ChildProcess.start(
            self._settings.module,
            [self._settings.address, self.slot.name, msgspec.json.encode(options).decode()],
            env=environment,
            log_path=log_dir / f"worker-{self.slot.id}.log" if log_dir else None,
        )

    async def _ended(self, process: ChildProcess) -> int | None:
        """The exit status; None when everything must stop before the process has ended."""
        ended = asyncio.create_task(process.wait())
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if ended.done():
            return ended.result()
        ended.cancel()
        return None

    async def _dismiss(self, process: ChildProcess) -> None:
        # first by message, then by signal, at last by force; each has its limit
        grace_s = self._settings.stop_grace_s
        await self._ask_to_stop(self.slot)
        try:
            await process.wait(grace_s)
        except TimeoutError:
            await process.terminate(grace_s)
        self.slot.pid = None


async def _happened(event: asyncio.Event, limit_s: float) -> None:
    """Wait for the event, so long at most."""
    waiting = asyncio.create_task(event.wait())
    await asyncio.wait({waiting}, timeout=limit_s)
    waiting.cancel()


def _next_step(delay_s: float | None) -> str:
    if delay_s is None:
        return "given up"
    return f"started again in {delay_s:g} s" if delay_s else "started again now"
