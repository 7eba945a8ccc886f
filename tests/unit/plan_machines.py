"""Machines and pools as tests of plans need them, and a plan that must be refused."""

from __future__ import annotations

import pytest

from voxfleet.errors import PlanError
from voxfleet.fleet.plan import Machine, PoolPlanInput, WorkerPlan, plan
from voxfleet.fleet.simulated_gpus import SimulatedProbe
from voxfleet.pool_contract import GpuSnapshot

CARD = GpuSnapshot(0, "GPU-a", "card", memory_total_mb=8192, memory_free_mb=6144)


def machine(
    *free_gib: float, cores: int = 4, visible: str | None = None, reserve_mb: int = 512
) -> Machine:
    gpus = SimulatedProbe(free_gib).gpus()
    return Machine(gpus, tuple(range(cores)), 4096, visible, reserve_mb)


def asr(name: str = "asr", *devices: str, **rest: int) -> PoolPlanInput:
    return PoolPlanInput(name, devices or ("cuda",), **rest)  # type: ignore[arg-type]


def refusal(*pools: PoolPlanInput, on: Machine, existing: tuple[WorkerPlan, ...] = ()) -> str:
    with pytest.raises(PlanError) as caught:
        plan(pools, on, existing)
    assert "\n" not in caught.value.message
    return caught.value.message
