"""The workers of one pool replaced one by one, so that its model serves all the while.

The successor is ready before the old one leaves wherever memory holds both; else the old one goes
first, and what comes meanwhile waits. Knows no request.
"""

from __future__ import annotations

from voxfleet.errors import PlanError, StartError, VoxfleetError
from voxfleet.fleet.pool_order import PoolOrder
from voxfleet.fleet.roster import Roster
from voxfleet.fleet.worker_spec import WorkerSpec

_REPLACED = "replaced by a reload"


async def roll_pool(roster: Roster, order: PoolOrder, start_timeout_s: float) -> None:
    """To the new order, its number of instances included; raises StartError and stops half-way
    when a successor cannot be had: the old ones that are left go on.
    """
    old = roster.workers(order.name)
    wanted = order.plan.instances
    for worker in old[wanted:]:
        roster.pool_of(order).remove(worker.id, _REPLACED)
    for worker in old[:wanted]:
        try:
            successors = await roster.add(order, 1)
        except PlanError:
            await _make_way(roster, order, worker, start_timeout_s)
        else:
            await _ready_or_taken_back(roster, order, successors, start_timeout_s)
            roster.pool_of(order).remove(worker.id, _REPLACED)
    roster.orders[order.name] = order
    if wanted > len(old):
        await roster.add(order, wanted - len(old))


async def _make_way(
    roster: Roster, order: PoolOrder, worker: WorkerSpec, start_timeout_s: float
) -> None:
    """There is no memory for both at once."""
    before = roster.orders[order.name]
    roster.pool_of(order).remove(worker.id, _REPLACED)
    await roster.until_gone(worker, start_timeout_s)
    try:
        successors = await roster.add(order, 1)
        await _ready_or_taken_back(roster, order, successors, start_timeout_s)
    except VoxfleetError:
        await roster.add(before, 1)
        raise


async def _ready_or_taken_back(
    roster: Roster, order: PoolOrder, successors: list[WorkerSpec], limit_s: float
) -> None:
    for spec in successors:
        try:
            await roster.until_ready(spec, limit_s)
        except StartError:
            roster.pool_of(order).remove(spec.id, "could not take over")
            await roster.until_gone(spec, limit_s)
            raise
