"""Orders to the fleet: restart, drain, scale and reload, from operators and from the autoscaler.

One change of numbers at a time. Knows pools and workers; knows neither requests nor HTTP.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from voxfleet.errors import NotReadyError, ParameterError, PlanError, VoxfleetError
from voxfleet.fleet.autoscaler import Autoscaler
from voxfleet.fleet.local_pool import LocalPool
from voxfleet.fleet.machine_reader import MachineReader
from voxfleet.fleet.pool_order import OrderChanges, PoolOrder, compare
from voxfleet.fleet.rolling import roll_pool
from voxfleet.fleet.roster import Roster
from voxfleet.pool_contract import GpuSnapshot, ScaleDecision

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reread:
    """The settings as they are now: the pools, and what has changed but needs a new start."""

    orders: tuple[PoolOrder, ...]
    needs_start: tuple[str, ...] = ()


class ModelHost(Protocol):
    """Whoever lets requests name models."""

    def queued_s(self, pool: LocalPool) -> float:
        """How much sound waits for the pool's model."""
        ...

    async def add(self, pool: LocalPool, orders: Sequence[PoolOrder]) -> None:
        """Serve one more model; raises StartError when none of its workers gets ready."""
        ...

    async def remove(self, pool: LocalPool) -> None: ...
    def retune(self, pool: LocalPool, orders: Sequence[PoolOrder]) -> None:
        """The model's orders have changed."""
        ...


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
        self._start_timeout_s = start_timeout_s
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

    async def restart(self, worker_id: str) -> None:
        self._roster.holder_of(worker_id).restart(worker_id, "restarted by an operator")

    async def drain(self, worker_id: str) -> None:
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
            before = len(self._roster.workers(pool))
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
        await asyncio.to_thread(self._roster.check, reread.orders)
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
        if self._rolling is not None and not self._rolling.done():
            raise NotReadyError("a reload is being carried out; try again when it is done")

    # -- carrying out a reload --------------------------------------------------------------------

    async def _roll(self, changes: OrderChanges, orders: Sequence[PoolOrder]) -> None:
        async with self._changing:
            try:
                await self._carry_out(changes, orders)
            except VoxfleetError as fault:
                _log.error("reload: %s; what had not been changed yet goes on as it was", fault)
                for order in changes.replaced + changes.added + changes.resized:
                    count = len(self._roster.workers(order.name))
                    self._scaler.note(order.name, count, count, f"reload failed: {fault.message}")
                return
        _log.info("reload: done, pools are %s", ", ".join(order.name for order in orders))

    async def _carry_out(self, changes: OrderChanges, orders: Sequence[PoolOrder]) -> None:
        roster = self._roster
        for order in changes.retuned + changes.resized:
            roster.orders[order.name] = order
            self._retune(order)
        for order in changes.resized:
            await roster.resize(order, order.plan.instances, "resized by a reload")
        for order in changes.replaced:
            await roll_pool(roster, order, self._start_timeout_s)
            self._retune(order)
        await self._exchange(changes, {order.model for order in orders})

    async def _exchange(self, changes: OrderChanges, models: set[str]) -> None:
        """What comes is there before what goes has left, unless memory or a name forbids it."""
        going = {order.name for order in changes.removed}
        later: list[PoolOrder] = []
        for order in changes.added:
            try:
                if order.name in going:
                    later.append(order)
                else:
                    await self._begin(order)
            except PlanError:
                later.append(order)
        for order in changes.removed:
            await self._end(order, still_served=order.model in models)
        for order in later:
            await self._begin(order)

    def _retune(self, order: PoolOrder) -> None:
        pool = self._roster.pool_of(order)
        self._host.retune(pool, self._orders_of(order.model))

    def _orders_of(self, model: str) -> list[PoolOrder]:
        return [order for order in self._roster.orders.values() if order.model == model]

    async def _end(self, order: PoolOrder, *, still_served: bool) -> None:
        """A model that other pools will serve keeps its queue, though nobody may serve it now."""
        roster = self._roster
        workers = roster.workers(order.name)
        roster.orders.pop(order.name, None)
        if not still_served and not self._orders_of(order.model):
            await self._host.remove(roster.pools.pop(order.model))
            return
        roster.remove(order, len(workers), "its pool is not wanted any more")
        for worker in workers:
            await roster.until_gone(worker, self._start_timeout_s)

    async def _begin(self, order: PoolOrder) -> None:
        roster = self._roster
        if order.model in roster.pools:
            roster.orders[order.name] = order
            await roster.add(order, order.plan.instances)
            self._retune(order)
            return
        plans = await asyncio.to_thread(roster.place, [order.plan])
        pool = roster.make(order.model, [order], plans)
        try:
            await self._host.add(pool, [order])
        except VoxfleetError:
            del roster.pools[order.model]
            raise
        roster.orders[order.name] = order


def _tell(task: asyncio.Task[None]) -> None:
    """Neither task may end in silence."""
    fault = None if task.cancelled() else task.exception()
    if fault is not None:
        _log.error("the fleet's task %r failed", task.get_name(), exc_info=fault)
