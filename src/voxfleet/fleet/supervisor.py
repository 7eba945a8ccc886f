"""Orders to the fleet: restart, drain, scale and reload, from operators and from the autoscaler.

One change of numbers at a time. Knows pools and workers; knows neither requests nor HTTP.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from voxfleet.errors import NotReadyError, ParameterError, VoxfleetError
from voxfleet.fleet.autoscaler import Autoscaler
from voxfleet.fleet.machine_reader import MachineReader
from voxfleet.fleet.pool_order import OrderChanges, PoolOrder, compare
from voxfleet.fleet.reload import ModelHost, Reload
from voxfleet.fleet.roster import Roster
from voxfleet.pool_contract import GpuSnapshot, ScaleDecision

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reread:
    """The settings as they are now: the pools, and what has changed but needs a new start."""

    orders: tuple[PoolOrder, ...]
    needs_start: tuple[str, ...] = ()


class FleetSupervisor:
    """`reread` reads the settings again and may raise SettingsError; it blocks."""

    def __init__(
        self,
        roster: Roster,
        machine: MachineReader,
        host: ModelHost,
        reread: Callable[[], Reread],
        *,
        autoscale_interval_s: float,
        start_timeout_s: float,
    ) -> None:
        self._roster = roster
        self._machine = machine
        self._host = host
        self._reread = reread
        self._reload = Reload(roster, host, start_timeout_s)
        self._scaler = Autoscaler(roster, host.queued_s, autoscale_interval_s)
        self._changing = asyncio.Lock()
        self._watching: asyncio.Task[None] | None = None
        self._rolling: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch the load; the pools are started by whoever serves their models."""
        self._watching = asyncio.create_task(self._scaler.run(self._changing), name="autoscaler")
        self._watching.add_done_callback(_tell)

    async def stop(self) -> None:
        tasks = [task for task in (self._watching, self._rolling) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- FleetControl ---------------------------------------------------------------------------

    def gpus(self) -> tuple[GpuSnapshot, ...]:
        return self._machine.gpus()

    @property
    def decisions(self) -> Sequence[ScaleDecision]:
        return self._scaler.decisions

    def _refuse_before_start(self) -> None:
        """What is changed while the first workers load would be taken for a failed start."""
        if self._watching is None:
            raise NotReadyError("the server is still starting; try again when it is ready")

    async def restart(self, worker_id: str) -> None:
        self._refuse_before_start()
        self._roster.holder_of(worker_id).restart(worker_id, "restarted by an operator")

    async def drain(self, worker_id: str) -> None:
        self._refuse_before_start()
        self._roster.holder_of(worker_id).drain(worker_id, "drained by an operator")

    async def scale(self, pool: str, instances: int) -> None:
        order = self._roster.order(pool)
        if instances < 1:
            raise ParameterError(f"instances {instances}: a pool has at least 1", param="instances")
        rule = order.scale
        if rule and not rule.min_instances <= instances <= rule.max_instances:
            raise ParameterError(
                f"pool {pool} is scaled by its load between {rule.min_instances} and"
                f" {rule.max_instances} instances; {instances} is outside",
                param="instances",
            )
        self._refuse_while_rolling()
        async with self._changing:
            before = len(self._roster.workers(order))
            reason = f"an operator wants {instances} instances instead of {before}"
            await self._roster.resize(order, instances, reason)
            self._keep_size(order, instances)
            self._scaler.note(pool, before, instances, reason)

    def _keep_size(self, order: PoolOrder, instances: int) -> None:
        resized = replace(order, plan=replace(order.plan, instances=instances))
        self._roster.orders[order.name] = resized

    async def reload(self) -> str:
        self._refuse_while_rolling()
        reread = await asyncio.to_thread(self._reread)
        changes = compare(self._roster.orders.values(), reread.orders)
        await self._roster.check(reread.orders)
        # nobody may have begun while the settings were read
        self._refuse_while_rolling()
        self._rolling = asyncio.create_task(self._roll(changes, reread.orders), name="reload")
        self._rolling.add_done_callback(_tell)
        told = changes.summary()
        if reread.needs_start:
            told += f"; needs a new start of the server: {', '.join(reread.needs_start)}"
        _log.info("reload: %s", told)
        return told

    def _refuse_while_rolling(self) -> None:
        self._refuse_before_start()
        if self._rolling is not None and not self._rolling.done():
            raise NotReadyError("a reload is being carried out; try again when it is done")

    # -- carrying out a reload --------------------------------------------------------------------

    async def _roll(self, changes: OrderChanges, orders: Sequence[PoolOrder]) -> None:
        async with self._changing:
            try:
                await self._reload.carry_out(changes, orders)
            except VoxfleetError as fault:
                _log.error("reload: %s; what had not been changed yet goes on as it was", fault)
                for order in changes.replaced + changes.added + changes.resized:
                    count = len(self._roster.workers(order))
                    self._scaler.note(order.name, count, count, f"reload failed: {fault.message}")
                return
        _log.info("reload: done, pools are %s", ", ".join(order.name for order in orders))


def _tell(task: asyncio.Task[None]) -> None:
    """Neither task may end in silence."""
    fault = None if task.cancelled() else task.exception()
    if fault is not None:
        _log.error("the fleet's task %r failed", task.get_name(), exc_info=fault)
