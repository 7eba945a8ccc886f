"""What `/health` makes of workers: starting only at first, degraded once some are lost."""

from __future__ import annotations

import httpx
import pytest

from tests.integration.standin_service import TWO_MODELS, StandInService
from voxfleet.pool_contract import PoolSnapshot, WorkerSnapshot, WorkerState


@pytest.fixture
def two_models(service: StandInService) -> StandInService:
    service.snapshots = TWO_MODELS
    return service


async def health(client: httpx.AsyncClient) -> tuple[int, str, str]:
    response = await client.get("/health")
    said = response.json()
    return response.status_code, said["status"], said.get("reason", "")


async def test_a_degraded_pool_is_told_while_requests_are_answered(
    client: httpx.AsyncClient, two_models: StandInService
) -> None:
    why = "model main: 1 of 2 workers ended for good"
    assert await health(client) == (200, "degraded", why)
    assert (await client.get("/readyz")).status_code == 200


@pytest.mark.parametrize(
    ("states", "status"),
    [
        ([(WorkerState.STARTING, 0)], "starting"),
        ([(WorkerState.STARTING, 0), (WorkerState.DRAINING, 0)], "starting"),
        ([], "starting"),
        # the successors of lost workers, at any stage
        ([(WorkerState.STARTING, 1)], "degraded"),
        ([(WorkerState.STARTING, 0), (WorkerState.RESTARTING, 0)], "degraded"),
        ([(WorkerState.STARTING, 0), (WorkerState.FAILED, 0)], "degraded"),
        ([(WorkerState.DRAINING, 0)], "degraded"),
        # one that serves is enough
        ([(WorkerState.READY, 3), (WorkerState.RESTARTING, 2)], "ok"),
        ([(WorkerState.READY, 0), (WorkerState.STARTING, 0)], "ok"),
    ],
)
async def test_lost_workers_are_not_called_a_start(
    client: httpx.AsyncClient,
    service: StandInService,
    states: list[tuple[WorkerState, int]],
    status: str,
) -> None:
    workers = tuple(
        WorkerSnapshot(f"w{number}", "main", "cpu", 1, state, restarts, False)
        for number, (state, restarts) in enumerate(states)
    )
    service.snapshots = (PoolSnapshot("main", workers, None),)
    assert (await health(client))[:2] == (200, status)


async def test_degraded_text_engines_are_told(
    client: httpx.AsyncClient, service: StandInService
) -> None:
    worker = WorkerSnapshot("t", "ct_punc", "cpu", 1, WorkerState.READY, 0, False)
    service.texts = PoolSnapshot("ct_punc", (worker,), None, degraded="itn ended for good")
    why = "text engines ct_punc: itn ended for good"
    assert await health(client) == (200, "degraded", why)
