"""Orders that come while a worker's process is being started: the last one holds, none harms."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.integration.media_rig import until
from tests.integration.worker_rig import LIMIT_S, PoolRig, local_pool
from voxfleet.engines.fake_options import FakeOptions
from voxfleet.pool_contract import WorkerState
from voxfleet.wire.child_process import ChildProcess

Order = Callable[[PoolRig], None]


def drain(rig: PoolRig) -> None:
    rig.pool.drain("fake-1", "drained")


def restart(rig: PoolRig) -> None:
    rig.pool.restart("fake-1", "restarted")


class Gate:
    """Holds every start of a process until it is opened, as a busy machine does."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()
        self._start = ChildProcess.start

    async def start(self, *args: object, **kwargs: object) -> ChildProcess:
        self.reached.set()
        await self.open.wait()
        return await self._start(*args, **kwargs)  # type: ignore[arg-type]


def settled(rig: PoolRig, state: WorkerState) -> bool:
    return rig.row(1).state is state and rig.row(0).state is WorkerState.READY


@pytest.mark.parametrize(
    ("orders", "state"),
    [
        ((drain, restart), WorkerState.READY),
        ((drain, restart, drain), WorkerState.DRAINING),
        ((restart, drain, restart), WorkerState.READY),
    ],
)
async def test_the_last_order_holds(
    monkeypatch: pytest.MonkeyPatch, orders: tuple[Order, ...], state: WorkerState
) -> None:
    async with local_pool(FakeOptions(), instances=2) as rig:
        await until(lambda: all(r.state is WorkerState.READY for r in rig.pool.snapshot().workers))
        gate = Gate()
        monkeypatch.setattr(ChildProcess, "start", gate.start)
        restart(rig)
        async with asyncio.timeout(LIMIT_S):
            await gate.reached.wait()
        # it is starting and has no process yet
        for order in orders:
            order(rig)
        gate.open.set()
        await until(lambda: settled(rig, state))
        # the fault took two lives to show itself
        await asyncio.sleep(2.5)
        assert settled(rig, state), rig.pool.snapshot()


@pytest.mark.parametrize(
    ("orders", "state"),
    [
        ((restart, drain), WorkerState.DRAINING),
        ((restart, drain, restart), WorkerState.READY),
    ],
)
async def test_orders_to_a_drained_worker_in_one_breath(
    orders: tuple[Order, ...], state: WorkerState
) -> None:
    async with local_pool(FakeOptions(), instances=2) as rig:
        await until(lambda: all(r.state is WorkerState.READY for r in rig.pool.snapshot().workers))
        drain(rig)
        await until(lambda: rig.row(1).pid is None)
        for order in orders:
            order(rig)
        await until(lambda: settled(rig, state))
        await asyncio.sleep(2.5)
        assert settled(rig, state), rig.pool.snapshot()
