"""Carries out what a new set of orders asks of the running fleet, so that no request fails by it.

What comes is ready before what goes leaves, wherever memory holds both; what goes finishes what was
let in. Knows pools and workers; knows neither settings nor requests.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

from voxfleet.errors import PlanError, VoxfleetError
from voxfleet.fleet.local_pool import LocalPool
from voxfleet.fleet.pool_order import OrderChanges, PoolOrder
from voxfleet.fleet.rolling import roll_pool
from voxfleet.fleet.roster import Roster

_log = logging.getLogger(__name__)


class ModelHost(Protocol):
    """Whoever lets requests name models."""

    def queued_s(self, pool: LocalPool) -> float:
        """How much sound waits for the pool's model."""
        ...

    async def add(self, pool: LocalPool, orders: Sequence[PoolOrder]) -> None:
        """Serve one more model; raises StartError when none of its workers gets ready."""
        ...

    async def remove(self, pool: LocalPool) -> None:
        """Serve it no more; returns when all that was let in is answered and its workers ended."""
        ...

    def retune(self, pool: LocalPool, orders: Sequence[PoolOrder]) -> None:
        """The model's orders have changed."""
        ...


class Reload:
    def __init__(self, roster: Roster, host: ModelHost, start_timeout_s: float) -> None:
        self._roster = roster
        self._host = host
        self._start_timeout_s = start_timeout_s

    async def carry_out(self, changes: OrderChanges, orders: Sequence[PoolOrder]) -> None:
        """Raises PlanError or StartError where something cannot be had; the rest then stays."""
        for order in changes.retuned + changes.resized:
            self._roster.orders[order.name] = order
            self._retune(order)
        await self._resize(changes.resized)
        for order in changes.replaced:
            await roll_pool(self._roster, order, self._start_timeout_s)
            self._retune(order)
        await self._exchange(changes, {order.model for order in orders})

    async def _resize(self, orders: Sequence[PoolOrder]) -> None:
        """What shrinks first: what grows may need its memory."""
        roster = self._roster
        growing = [o for o in orders if o.plan.instances > len(roster.workers(o))]
        for order in [o for o in orders if o not in growing] + growing:
            before = roster.workers(order)
            await roster.resize(order, order.plan.instances, "resized by a reload")
            staying = {spec.id for spec in roster.workers(order)}
            for spec in before:
                if spec.id not in staying:
                    await roster.until_gone(spec, self._start_timeout_s)

    async def _exchange(self, changes: OrderChanges, models: set[str]) -> None:
        later: list[PoolOrder] = []
        for order in changes.added:
            try:
                await self._begin(order)
            except PlanError:
                # only when what goes has left
                later.append(order)
        for order in changes.removed:
            await self._end(order, still_served=order.model in models)
        try:
            for order in later:
                await self._begin(order)
        except VoxfleetError:
            await self._restore(changes.removed)
            raise

    async def _restore(self, removed: Sequence[PoolOrder]) -> None:
        """The successors cannot be had: those that left for them come back."""
        for order in removed:
            if order.name in self._roster.orders:
                continue
            try:
                await self._begin(order)
            except VoxfleetError as fault:
                _log.error("reload: pool %s cannot come back: %s", order.name, fault)

    async def _begin(self, order: PoolOrder) -> None:
        roster = self._roster
        if order.model in roster.pools:
            await roster.add_ready(order, order.plan.instances, self._start_timeout_s)
            roster.orders[order.name] = order
            self._retune(order)
            return
        plans = await roster.place([order.plan])
        pool = roster.make(order.model, [order], plans)
        try:
            await self._host.add(pool, [order])
        except VoxfleetError:
            del roster.pools[order.model]
            raise
        roster.orders[order.name] = order

    async def _end(self, order: PoolOrder, *, still_served: bool) -> None:
        """A model that other pools will serve keeps its queue, though nobody may serve it now."""
        roster = self._roster
        workers = roster.workers(order)
        if roster.orders.get(order.name) == order:
            del roster.orders[order.name]
        if not still_served and not self._orders_of(order.model):
            await self._host.remove(roster.pools.pop(order.model))
            return
        roster.remove(order, len(workers), "its pool is not wanted any more")
        for worker in workers:
            await roster.until_gone(worker, self._start_timeout_s)
        self._retune(order)

    def _retune(self, order: PoolOrder) -> None:
        pool = self._roster.pool_of(order)
        self._host.retune(pool, self._orders_of(order.model))

    def _orders_of(self, model: str) -> list[PoolOrder]:
        return [order for order in self._roster.orders.values() if order.model == model]
