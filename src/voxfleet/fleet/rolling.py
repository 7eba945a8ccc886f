"""The workers of one pool replaced one by one, so that its model serves all the while.

The successor is ready before the old one leaves wherever memory holds both; else the old one goes
first, and what comes meanwhile waits. Knows no request.
"""

from __future__ import annotations

from voxfleet.errors import PlanError, VoxfleetError
from voxfleet.fleet.pool_order import PoolOrder
from voxfleet.fleet.roster import Roster
from voxfleet.fleet.worker_spec import WorkerSpec

_REPLACED = "replaced by a reload"


async def roll_pool(roster: Roster, order: PoolOrder, start_timeout_s: float) -> None:
    """To the new order, its number of instances included; raises StartError and stops half-way
    when a successor cannot be had: the old ones that are left go on.
    """
    old = roster.workers(order)
    wanted = _wanted(order, len(old))
    for worker in old[:wanted]:
        try:
            await roster.add_ready(order, 1, start_timeout_s)
        except PlanError:
            await _make_way(roster, order, worker, start_timeout_s)
        else:
            roster.pool_of(order).remove(worker.id, _REPLACED)
    # surplus serves until all successors do
    for worker in old[wanted:]:
        roster.pool_of(order).remove(worker.id, _REPLACED)
    roster.orders[order.name] = order
    if wanted > len(old):
        await roster.add(order, wanted - len(old))


def _wanted(order: PoolOrder, there: int) -> int:
    """Where the load decides the number, it stays what it is, within the new bounds."""
    if order.scale is None:
        return order.plan.instances
    return min(max(there, order.scale.min_instances), order.scale.max_instances)


async def _make_way(
    roster: Roster, order: PoolOrder, worker: WorkerSpec, start_timeout_s: float
) -> None:
    """There is no memory for both at once."""
    before = roster.orders[order.name]
    roster.pool_of(order).remove(worker.id, _REPLACED)
    await roster.until_gone(worker, start_timeout_s)
    try:
        await roster.add_ready(order, 1, start_timeout_s)
    except VoxfleetError:
        await roster.add(before, 1)
        raise
