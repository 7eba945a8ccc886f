"""The workers of all pools: where each is, what was planned for it, and places for more.

Knows pools, orders and plans; decides nothing of when there should be more or fewer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from voxfleet.errors import NotFoundError, StartError
from voxfleet.fleet.local_pool import LocalPool
from voxfleet.fleet.machine_reader import MachineReader
from voxfleet.fleet.plan import PoolPlanInput, WorkerPlan, most_instances, plan
from voxfleet.fleet.pool_order import PoolOrder
from voxfleet.fleet.worker_spec import WorkerSpec
from voxfleet.pool_contract import WorkerSnapshot, WorkerState

#: how often it is looked whether a worker is ready or gone
_LOOK_S = 0.05

#: what a new pool is made of: its model, its workers, and who is told of a lost device
MakePool = Callable[[str, Sequence[WorkerSpec], Callable[[str, str], None]], LocalPool]


@dataclass(frozen=True, slots=True)
class _Present:
    """Who is there; what the `measured` ones take is missing from what the machine has free.

    One that still loads may not have taken anything yet, so that its part is not given back.
    """

    all: tuple[WorkerPlan, ...]
    measured: tuple[WorkerPlan, ...]


class Roster:
    """`orders` are the pools as they should be; `pools` the running ones, by model."""

    def __init__(
        self, orders: Sequence[PoolOrder], machine: MachineReader, make_pool: MakePool
    ) -> None:
        self._machine = machine
        self._make_pool = make_pool
        self.orders = {order.name: order for order in orders}
        self.pools: dict[str, LocalPool] = {}
        self._plans: dict[str, WorkerPlan] = {}
        for model, own in _by_model(orders).items():
            present = _Present(tuple(self._plans.values()), ())
            self.make(model, own, self._place([order.plan for order in own], present))

    def make(
        self, model: str, orders: Sequence[PoolOrder], plans: Sequence[WorkerPlan]
    ) -> LocalPool:
        """A pool of that model, not started yet."""
        by_name = {order.name: order for order in orders}
        specs = [by_name[each.pool].spec(each) for each in plans]
        self._plans.update({each.id: each for each in plans})
        self.pools[model] = pool = self._make_pool(model, specs, self._lost_device)
        return pool

    def _lost_device(self, device_key: str, worker_id: str) -> None:
        """A broken card takes all who compute on it along, whatever their model."""
        for pool in self.pools.values():
            pool.restart_device(device_key, worker_id)

    # -- what there is --------------------------------------------------------------------------

    def order(self, name: str) -> PoolOrder:
        if name not in self.orders:
            known = ", ".join(self.orders)
            raise NotFoundError(f"pool {name!r} is unknown; there are {known}", param="pool")
        return self.orders[name]

    def pool_of(self, order: PoolOrder) -> LocalPool:
        return self.pools[order.model]

    def holder_of(self, worker_id: str) -> LocalPool:
        for pool in self.pools.values():
            if any(spec.id == worker_id for spec in pool.specs):
                return pool
        known = ", ".join(spec.id for pool in self.pools.values() for spec in pool.specs)
        raise NotFoundError(f"worker {worker_id!r} is unknown; there are {known}")

    def workers(self, order: PoolOrder) -> list[WorkerSpec]:
        """Those of the pool, as far as they compute its model, that are to stay."""
        pool = self.pools.get(order.model)
        return [spec for spec in pool.specs if spec.pool == order.name] if pool else []

    def rows(self, order: PoolOrder) -> list[WorkerSnapshot]:
        """The states of the same workers."""
        staying = {spec.id for spec in self.workers(order)}
        if not staying:
            return []
        return [row for row in self.pool_of(order).snapshot().workers if row.id in staying]

    def _present(self) -> _Present:
        """Everybody who still takes memory, the leaving ones too."""
        rows = [row for pool in self.pools.values() for row in pool.snapshot().workers]
        ids = {row.id for row in rows}
        self._plans = {name: each for name, each in self._plans.items() if name in ids}
        loading = {row.id for row in rows if row.state is WorkerState.STARTING}
        measured = [each for name, each in self._plans.items() if name not in loading]
        return _Present(tuple(self._plans.values()), tuple(measured))

    # -- places for more: who is there is seen by the loop, the machine is read by a thread -----

    async def place(self, pools: Sequence[PoolPlanInput]) -> tuple[WorkerPlan, ...]:
        """Plans for that many more workers of each; raises PlanError with the arithmetic."""
        return await asyncio.to_thread(self._place, pools, self._present())

    def _place(self, pools: Sequence[PoolPlanInput], present: _Present) -> tuple[WorkerPlan, ...]:
        own = {wish.name: sum(e.pool == wish.name for e in present.all) for wish in pools}
        wishes = [replace(wish, instances=own[wish.name] + wish.instances) for wish in pools]
        known = {each.id for each in present.all}
        placed = plan(wishes, self._machine.read(present.measured), present.all)
        return tuple(each for each in placed if each.id not in known)

    async def check(self, orders: Sequence[PoolOrder]) -> None:
        """Raises PlanError when so many do not fit, as if nothing ran yet."""
        machine = await asyncio.to_thread(self._machine.read, self._present().measured)
        plan([order.plan for order in orders], machine)

    async def limits(self, order: PoolOrder) -> tuple[int, float | None]:
        """How many instances of the pool memory allows in all, and how busy (0 to 1) the least
        busy of its cards is; None where it has none, or nobody tells.
        """
        present = self._present()
        machine = await asyncio.to_thread(self._machine.read, present.measured)
        keys = {each.device_key for each in present.all if each.pool == order.name}
        loads = [
            gpu.load_percent / 100
            for gpu in machine.gpus
            if gpu.load_percent is not None and (gpu.uuid or f"gpu-{gpu.index}") in keys
        ]
        return most_instances(order.plan, machine, present.all), min(loads, default=None)

    # -- more and fewer --------------------------------------------------------------------------

    async def add(self, order: PoolOrder, count: int) -> list[WorkerSpec]:
        """Start so many more; raises PlanError and starts none where they do not fit."""
        wish = replace(order.plan, instances=count)
        plans = await self.place([wish])
        specs = [order.spec(each) for each in plans]
        self._plans.update({each.id: each for each in plans})
        for spec in specs:
            self.pool_of(order).add(spec)
        return specs

    def remove(self, order: PoolOrder, count: int, reason: str) -> None:
        """End so many, first those that do not serve, then the newest."""
        newest_first = list(reversed(self.rows(order)))
        newest_first.sort(key=lambda row: row.state is WorkerState.READY)
        for row in newest_first[:count]:
            self.pool_of(order).remove(row.id, reason)

    async def resize(self, order: PoolOrder, instances: int, reason: str) -> None:
        """As many of the pool's workers as that; raises PlanError where they do not fit."""
        there = len(self.workers(order))
        if instances > there:
            await self.add(order, instances - there)
        elif instances < there:
            self.remove(order, there - instances, reason)

    async def add_ready(self, order: PoolOrder, count: int, limit_s: float) -> None:
        """The same, and wait for them; raises StartError and takes them back when one fails."""
        added = await self.add(order, count)
        try:
            for spec in added:
                await self.until_ready(spec, limit_s)
        except StartError:
            for spec in added:
                self.pool_of(order).remove(spec.id, "could not be started")
            for spec in added:
                await self.until_gone(spec, limit_s)
            raise

    async def until_ready(self, spec: WorkerSpec, limit_s: float) -> None:
        """Raises StartError when the worker cannot be had in time."""
        clock = asyncio.get_running_loop().time
        end_s = clock() + limit_s
        while (row := self._row(spec)) is None or row.state is not WorkerState.READY:
            if row is None or row.state is WorkerState.FAILED or row.restarts or clock() > end_s:
                why = (row and (row.last_error or row.reason)) or f"not ready within {limit_s:g} s"
                raise StartError(f"worker {spec.id}: {why}")
            await asyncio.sleep(_LOOK_S)

    async def until_gone(self, spec: WorkerSpec, limit_s: float) -> None:
        """So long at most: a process that cannot be ended frees no memory either."""
        clock = asyncio.get_running_loop().time
        end_s = clock() + limit_s
        while self._row(spec) is not None:
            await asyncio.sleep(_LOOK_S)
            if clock() > end_s:
                return

    def _row(self, spec: WorkerSpec) -> WorkerSnapshot | None:
        rows = (row for pool in self.pools.values() for row in pool.snapshot().workers)
        return next((row for row in rows if row.id == spec.id), None)


def _by_model(orders: Sequence[PoolOrder]) -> dict[str, list[PoolOrder]]:
    found: dict[str, list[PoolOrder]] = {}
    for order in orders:
        found.setdefault(order.model, []).append(order)
    return found
