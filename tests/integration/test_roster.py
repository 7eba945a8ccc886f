"""Places for more workers as the machine changes: cards come and go, loading takes its time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from voxfleet.engines.catalog import EngineOptions
from voxfleet.errors import NotFoundError, PlanError
from voxfleet.fleet.autoscale import ScaleRule
from voxfleet.fleet.autoscaler import Autoscaler
from voxfleet.fleet.local_pool import LocalPool, LocalPoolSettings
from voxfleet.fleet.machine_reader import MachineReader
from voxfleet.fleet.plan import PoolPlanInput
from voxfleet.fleet.pool_order import PoolOrder
from voxfleet.fleet.roster import Roster
from voxfleet.fleet.worker_spec import WorkerSpec
from voxfleet.pool_contract import GpuSnapshot

CARD = GpuSnapshot(0, "GPU-1", "card", 16_000, 8_000, load_percent=40)


class OneCard:
    """A card that may be away; what workers have taken is missing from what it has free."""

    measures_workers = True

    def __init__(self) -> None:
        self.cards: tuple[GpuSnapshot, ...] = (CARD,)

    def gpus(self) -> tuple[GpuSnapshot, ...]:
        return self.cards


def order(name: str = "a", need_mb: int = 3_000, instances: int = 1) -> PoolOrder:
    plan = PoolPlanInput(name, ("cuda:0",), instances, need_mb)
    return PoolOrder(plan, EngineOptions("fake"))


def made(folder: Path, probe: OneCard, *orders: PoolOrder) -> Roster:
    """Its pools are never started: all workers stay in their start."""

    def make(
        model: str, specs: Sequence[WorkerSpec], fault: Callable[[str, str], None]
    ) -> LocalPool:
        return LocalPool(model, specs, folder / model, LocalPoolSettings(None), fault)

    return Roster(orders, MachineReader(probe, reserve_mb=0), make)


async def test_who_still_loads_has_not_taken_its_memory_yet(tmp_path: Path) -> None:
    roster = made(tmp_path, OneCard(), order())
    assert [spec.id for spec in roster.workers(order())] == ["a-0"]
    assert await roster.limits(order()) == (2, 0.4)
    await roster.add(order(), 1)
    with pytest.raises(PlanError, match=r"3 × 2\.9 GiB > 7\.8 GiB free on GPU 0"):
        await roster.add(order(), 1)
    assert [spec.id for spec in roster.workers(order())] == ["a-0", "a-1"]


async def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    roster = made(tmp_path, OneCard(), order())
    with pytest.raises(NotFoundError, match="pool 'b' is unknown; there are a"):
        roster.order("b")
    with pytest.raises(NotFoundError, match="worker 'b-0' is unknown; there are a-0"):
        roster.holder_of("b-0")


async def test_plans_made_at_the_same_time_never_give_one_name_twice(tmp_path: Path) -> None:
    roster = made(tmp_path, OneCard(), order(need_mb=100))
    lock = asyncio.Lock()

    async def one_more() -> None:
        async with lock:
            await roster.add(order(need_mb=100), 1)

    checks = (roster.check([order()]) for _ in range(5))
    await asyncio.gather(*(one_more() for _ in range(5)), *checks)
    ids = [spec.id for spec in roster.workers(order())]
    assert ids == [f"a-{number}" for number in range(6)]
    with pytest.raises(ValueError, match="a worker a-0 already"):
        roster.pool_of(order()).add(WorkerSpec("a-0", "a", EngineOptions("fake")))


async def test_a_card_that_is_away_for_a_while_is_told_once_and_ends_nothing(
    tmp_path: Path,
) -> None:
    probe = OneCard()
    growing = replace(order(), scale=ScaleRule(1, 2, 0.0, 1000.0, 1.0))
    roster = made(tmp_path, probe, growing)
    scaler = Autoscaler(roster, lambda _: 0.0, interval_s=0.01)
    watching = asyncio.create_task(scaler.run(asyncio.Lock()))
    probe.cards = ()
    while not scaler.decisions:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    assert len(scaler.decisions) == 1
    assert "the load is not looked at" in scaler.decisions[0].reason
    probe.cards = (CARD,)
    await asyncio.sleep(0.1)
    probe.cards = ()
    while len(scaler.decisions) < 2:
        await asyncio.sleep(0.01)
    assert not watching.done()
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
