"""A pool as its operator ordered it, and the workers that follow from a plan of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from voxfleet.engines.catalog import EngineOptions
from voxfleet.fleet.autoscale import ScaleRule
from voxfleet.fleet.credit import CreditRule
from voxfleet.fleet.plan import PoolPlanInput, WorkerPlan
from voxfleet.fleet.worker_spec import WorkerSpec


@dataclass(frozen=True, slots=True)
class PoolOrder:
    """`options` are without a device, which the plan gives; `scale` is None where the number of
    instances stays; `hotwords` and `max_segment_s` are what the pool's model is served with.
    """

    plan: PoolPlanInput
    options: EngineOptions
    env: Mapping[str, str] = field(default_factory=dict)
    credit: CreditRule = field(default_factory=CreditRule)
    scale: ScaleRule | None = None
    hotwords: tuple[str, ...] = ()
    max_segment_s: float | None = None

    @property
    def name(self) -> str:
        return self.plan.name

    @property
    def model(self) -> str:
        """What tells models apart: a name, or the full path of a checkpoint's folder."""
        return self.options.model

    def spec(self, plan: WorkerPlan) -> WorkerSpec:
        return WorkerSpec(
            id=plan.id,
            pool=plan.pool,
            options=replace(
                self.options,
                device=plan.device,
                threads=plan.threads,
                memory_fraction=plan.memory_fraction,
            ),
            device=plan.shown_device,
            device_key=plan.device_key,
            env={**self.env, **plan.env},
            cores=plan.cores,
            weight=plan.weight,
            credit=self.credit,
        )

    @property
    def for_workers(self) -> PoolOrder:
        """All that a running worker would have to be replaced for, the rest left at its default."""
        plan = replace(self.plan, instances=1, max_instances=0)
        return replace(self, plan=plan, scale=None, hotwords=(), max_segment_s=None)


@dataclass(frozen=True, slots=True)
class OrderChanges:
    """What a new set of orders asks of the workers that run for the old one, by pool."""

    added: tuple[PoolOrder, ...]
    removed: tuple[PoolOrder, ...]
    replaced: tuple[PoolOrder, ...]
    resized: tuple[PoolOrder, ...]
    #: new hotwords, limits or bounds: no worker need be touched
    retuned: tuple[PoolOrder, ...]

    def summary(self) -> str:
        parts = [
            f"{what} {', '.join(order.name for order in orders)}"
            for what, orders in (
                ("starts", self.added),
                ("ends", self.removed),
                ("replaces the workers of", self.replaced),
                ("resizes", self.resized),
                ("retunes", self.retuned),
            )
            if orders
        ]
        return "; ".join(parts) or "nothing changes"


def compare(old: Iterable[PoolOrder], new: Iterable[PoolOrder]) -> OrderChanges:
    before = {order.name: order for order in old}
    after = {order.name: order for order in new}
    both = [order for name, order in after.items() if name in before]
    # a pool that changes its model is another pool that happens to have the name
    moved = {order.name for order in both if order.model != before[order.name].model}
    same = [order for order in both if order.name not in moved]
    replaced = [o for o in same if o.for_workers != before[o.name].for_workers]
    kept = [order for order in same if order not in replaced]
    resized = [order for order in kept if _resized(before[order.name], order)]
    return OrderChanges(
        added=tuple(o for name, o in after.items() if name not in before or name in moved),
        removed=tuple(o for name, o in before.items() if name not in after or name in moved),
        replaced=tuple(replaced),
        resized=tuple(resized),
        retuned=tuple(o for o in kept if o not in resized and o != before[o.name]),
    )


def _resized(old: PoolOrder, new: PoolOrder) -> bool:
    """Where the load decides, the number of the order is only where it began."""
    if new.scale is not None:
        return False
    return old.scale is not None or new.plan.instances != old.plan.instances
