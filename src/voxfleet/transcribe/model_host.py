"""Models of the fleet as models that requests may name, also those that come while it runs."""

from __future__ import annotations

from collections.abc import Sequence

from voxfleet.fleet.local_pool import LocalPool
from voxfleet.fleet.pool_order import PoolOrder
from voxfleet.observe.stages import UNOBSERVED, Stages
from voxfleet.scheduling.dispatcher import Dispatcher
from voxfleet.transcribe.served_model import ModelList, ServedModel


class ServedModels:
    """The fleet's `ModelHost`; `models` is the list that requests are looked up in."""

    def __init__(self, realtime_goal_s: float, stages: Stages = UNOBSERVED) -> None:
        self.models = ModelList()
        self._realtime_goal_s = realtime_goal_s
        self._stages = stages

    def prepare(self, pool: LocalPool, orders: Sequence[PoolOrder]) -> ServedModel:
        """Listed, but neither its workers nor its queue started."""
        served = ServedModel(pool, Dispatcher(pool, self._realtime_goal_s, self._stages))
        _tune(served, orders)
        self.models.served.append(served)
        return served

    def queued_s(self, pool: LocalPool) -> float:
        served = self._find(pool)
        return served.dispatcher.waiting_s if served else 0.0

    async def add(self, pool: LocalPool, orders: Sequence[PoolOrder]) -> None:
        # raises StartError, with nothing left running
        await pool.start()
        self.prepare(pool, orders).dispatcher.start()

    async def remove(self, pool: LocalPool) -> None:
        """Who asks for it from now on hears that it is not here; what was let in is finished."""
        served = self._find(pool)
        if served is None:
            return
        self.models.served.remove(served)
        self.models.leaving.append(served)
        await served.until_unused()
        await served.dispatcher.stop()
        await pool.stop()
        self.models.leaving.remove(served)

    def retune(self, pool: LocalPool, orders: Sequence[PoolOrder]) -> None:
        served = self._find(pool)
        if served is not None:
            _tune(served, orders)

    def _find(self, pool: LocalPool) -> ServedModel | None:
        return next((served for served in self.models if served.pool is pool), None)


def _tune(served: ServedModel, orders: Sequence[PoolOrder]) -> None:
    """One queue serves all its pools: the words of all, and the shortest of their limits."""
    served.hotwords = tuple(dict.fromkeys(word for order in orders for word in order.hotwords))
    limits = [order.max_segment_s for order in orders if order.max_segment_s is not None]
    served.max_segment_s = min(limits, default=None)
