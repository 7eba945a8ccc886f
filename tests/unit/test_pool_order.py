"""What a new set of pools asks of the workers that run for the old one."""

from __future__ import annotations

from dataclasses import replace

from voxfleet.engines.catalog import EngineOptions
from voxfleet.fleet.autoscale import ScaleRule
from voxfleet.fleet.credit import CreditRule
from voxfleet.fleet.plan import PoolPlanInput, WorkerPlan
from voxfleet.fleet.pool_order import OrderChanges, PoolOrder, compare


def order(name: str = "a", model: str = "fake", instances: int = 2) -> PoolOrder:
    return PoolOrder(PoolPlanInput(name, instances=instances), EngineOptions(model))


def named(changes: OrderChanges) -> dict[str, list[str]]:
    kinds = ("added", "removed", "replaced", "resized", "retuned")
    found = {kind: [each.name for each in getattr(changes, kind)] for kind in kinds}
    return {kind: names for kind, names in found.items() if names}


def test_the_same_orders_change_nothing() -> None:
    changes = compare([order()], [order()])
    assert named(changes) == {}
    assert changes.summary() == "nothing changes"


def test_pools_come_and_go() -> None:
    changes = compare([order("a"), order("b")], [order("b"), order("c")])
    assert named(changes) == {"added": ["c"], "removed": ["a"]}
    assert changes.summary() == "starts c; ends a"


def test_a_number_is_a_resize_whatever_else_stays() -> None:
    changes = compare([order()], [order(instances=5)])
    assert named(changes) == {"resized": ["a"]}
    assert changes.resized[0].plan.instances == 5


def test_what_a_worker_was_started_with_replaces_it() -> None:
    old = order()
    for new in (
        replace(old, options=replace(old.options, precision="int8")),
        replace(old, env={"A": "1"}),
        replace(old, credit=CreditRule(batch_size_s=9)),
        replace(old, plan=replace(old.plan, devices=("cuda:0",))),
        replace(old, plan=replace(old.plan, weight=2.0, instances=7)),
    ):
        assert named(compare([old], [new])) == {"replaced": ["a"]}


def test_what_no_worker_knows_is_tuned_without_touching_one() -> None:
    old = order()
    for new in (
        replace(old, hotwords=("Zhou",)),
        replace(old, max_segment_s=20.0),
        replace(old, scale=ScaleRule(1, 4, 1.0, 1.0, 1.0)),
    ):
        assert named(compare([old], [new])) == {"retuned": ["a"]}


def test_where_the_load_decides_the_number_of_the_order_is_only_a_beginning() -> None:
    growing = replace(order(), scale=ScaleRule(1, 4, 1.0, 1.0, 1.0))
    more = replace(growing, plan=replace(growing.plan, instances=3))
    assert named(compare([growing], [more])) == {"retuned": ["a"]}
    assert named(compare([order()], [more])) == {"retuned": ["a"]}
    assert named(compare([growing], [order()])) == {"resized": ["a"]}


def test_a_pool_of_another_model_is_another_pool() -> None:
    changes = compare([order()], [order(model="pocketsphinx")])
    assert named(changes) == {"added": ["a"], "removed": ["a"]}


def test_a_plan_makes_the_worker_it_says() -> None:
    ordered = replace(order(), env={"A": "1", "CUDA_VISIBLE_DEVICES": "x"})
    plan = WorkerPlan("a-1", "a", "cuda:0", "GPU-1", "cuda:3", {"CUDA_VISIBLE_DEVICES": "GPU-1"},
        (2, 3), 2, 0.5, 3.0, 100)  # fmt: skip
    spec = ordered.spec(plan)
    assert (spec.id, spec.pool, spec.device, spec.device_key) == ("a-1", "a", "cuda:3", "GPU-1")
    assert spec.options == EngineOptions("fake", "cuda:0", threads=2, memory_fraction=0.5)
    assert spec.env == {"A": "1", "CUDA_VISIBLE_DEVICES": "GPU-1"}
    assert (spec.cores, spec.weight) == ((2, 3), 3.0)
