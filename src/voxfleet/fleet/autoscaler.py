"""Watches the pools whose number of instances follows the load, and does what `autoscale` decides.

Knows workers by their rows and what waits by a number of seconds; knows no queue.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from voxfleet.errors import VoxfleetError
from voxfleet.fleet.autoscale import PoolLoad, ScaleRule, ScaleState, ScaleVerdict, decide
from voxfleet.fleet.local_pool import LocalPool
from voxfleet.fleet.pool_order import PoolOrder
from voxfleet.fleet.roster import Roster
from voxfleet.pool_contract import ScaleDecision, WorkerSnapshot, WorkerState

_log = logging.getLogger(__name__)
_KEPT_DECISIONS = 200
_COMING = (WorkerState.STARTING, WorkerState.RESTARTING)


@dataclass(slots=True)
class _Watched:
    state: ScaleState
    #: seconds computed by worker, when it was last looked
    computed_s: dict[str, float]
    looked_at_s: float


class Autoscaler:
    """`queued_s` says how much sound waits for a model."""

    def __init__(
        self, roster: Roster, queued_s: Callable[[LocalPool], float], interval_s: float
    ) -> None:
        self._roster = roster
        self._queued_s = queued_s
        self._interval_s = interval_s
        self._watched: dict[str, _Watched] = {}
        self._told: dict[str, str] = {}
        self._decisions: deque[ScaleDecision] = deque(maxlen=_KEPT_DECISIONS)

    @property
    def decisions(self) -> Sequence[ScaleDecision]:
        return tuple(self._decisions)

    def note(self, pool: str, from_instances: int, to_instances: int, reason: str) -> None:
        """Whoever changed a number: it is told in one place, and logged."""
        _log.info("pool %s: %s", pool, reason)
        self._decisions.append(
            ScaleDecision(pool, time.time(), from_instances, to_instances, reason)
        )

    async def run(self, changing: asyncio.Lock) -> None:
        """Look again and again; while `changing` is held nobody else adds or removes workers."""
        while True:
            await asyncio.sleep(self._interval_s)
            async with changing:
                for order in list(self._roster.orders.values()):
                    if order.scale is not None:
                        await self._try_to_look(order, order.scale)

    async def _try_to_look(self, order: PoolOrder, rule: ScaleRule) -> None:
        """A card that is away for a while ends nothing; it is told once."""
        try:
            await self._look(order, rule)
        except VoxfleetError as fault:
            if self._told.get(order.name) != fault.message:
                there = len(self._roster.workers(order))
                self.note(order.name, there, there, f"the load is not looked at: {fault.message}")
            self._told[order.name] = fault.message
        else:
            self._told.pop(order.name, None)

    async def _look(self, order: PoolOrder, rule: ScaleRule) -> None:
        now_s = asyncio.get_running_loop().time()
        limits = await self._roster.limits(order)
        watched = self._watched.setdefault(order.name, _Watched(ScaleState(), {}, now_s))
        load = self._load(order, limits, watched, now_s)
        verdict, watched.state = decide(rule, load, watched.state, now_s)
        if verdict is not None:
            await self._apply(order, verdict)

    def _load(
        self, order: PoolOrder, limits: tuple[int, float | None], watched: _Watched, now_s: float
    ) -> PoolLoad:
        fits, device_load = limits
        # who was drained is none of those that there should be
        rows = [r for r in self._roster.rows(order) if r.state is not WorkerState.DRAINING]
        pool = self._roster.pool_of(order)
        ready = [row for row in rows if row.state is WorkerState.READY]
        elapsed_s = now_s - watched.looked_at_s
        busy_s = sum(max(0.0, row.compute_s - watched.computed_s.get(row.id, 0.0)) for row in ready)
        watched.computed_s = {row.id: row.compute_s for row in rows}
        watched.looked_at_s = now_s
        whole_s = elapsed_s * len(ready)
        return PoolLoad(
            instances=len(rows),
            starting=sum(row.state in _COMING for row in rows),
            queued_s=self._queued_s(pool) * _share(pool, order.name),
            rate_per_instance=_rate(rows),
            busy_share=min(1.0, busy_s / whole_s) if whole_s > 0 else 0.0,
            fits=fits,
            device_load=device_load,
        )

    async def _apply(self, order: PoolOrder, verdict: ScaleVerdict) -> None:
        before, after = verdict.from_instances, verdict.to_instances
        self.note(order.name, before, after, verdict.reason)
        try:
            await self._roster.resize(order, after, verdict.reason)
        except VoxfleetError as fault:
            self.note(order.name, before, before, f"not done: {fault.message}")


def _rate(rows: Sequence[WorkerSnapshot]) -> float | None:
    """Audio seconds per second of one of them, by what all of them have done."""
    compute_s = sum(row.compute_s for row in rows)
    audio_s = sum(row.audio_s for row in rows)
    return audio_s / compute_s if compute_s > 0 and audio_s > 0 else None


def _share(pool: LocalPool, name: str) -> float:
    """Of what waits for the model, the part that the workers of that name will take."""
    ready = [row for row in pool.snapshot().workers if row.state is WorkerState.READY]
    own = sum(row.pool == name for row in ready)
    return own / len(ready) if own else 1.0
