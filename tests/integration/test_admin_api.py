"""What operators see over HTTP: instances, pools with the autoscaler's decisions, the machine."""

from __future__ import annotations

import httpx
import pytest

from tests.integration.standin_service import TWO_MODELS, StandInService
from voxfleet.errors import StartError
from voxfleet.pool_contract import GpuSnapshot, PoolSnapshot, ScaleDecision


@pytest.fixture
def two_models(service: StandInService) -> StandInService:
    service.snapshots = TWO_MODELS
    return service


async def test_instances(client: httpx.AsyncClient, two_models: StandInService) -> None:
    data = (await client.get("/v1/instances")).json()["data"]
    assert [row["id"] for row in data] == ["main-0", "main-1", "plain-0"]
    assert data[0] == {
        "id": "main-0",
        "pool": "fast",
        "model": "main",
        "device": "cuda:0",
        "pid": 42,
        "state": "ready",
        "since": 1_700_000_000.1,
        "reason": None,
        "restarts": 2,
        "last_error": "was killed by signal 9",
        "busy": True,
        "in_flight": 3,
        "queue": 4,
        "credit_s": 120.0,
        "batches": 7,
        "audio_s": 1234.6,
        "x_realtime": 123.5,
        "out_of_memory": 1,
    }
    gone, lone = data[1:]
    assert (gone["pid"], gone["state"], gone["reason"]) == (None, "failed", "exited with 1")
    assert (gone["since"], gone["x_realtime"]) == (None, None)
    assert (lone["pool"], lone["queue"]) == ("plain", 5)


async def test_pools_of_one_model_are_told_apart(
    client: httpx.AsyncClient, two_models: StandInService
) -> None:
    two_models.decided = [
        ScaleDecision("slow", 1_700.04, 1, 2, "sound waited; 1 → 2."),
        ScaleDecision("plain", 1_800, 2, 1, "quiet; 2 → 1."),
        ScaleDecision("slow", 1_900, 2, 2, "sound waited; stays 2."),
    ]
    pools = (await client.get("/v1/instances")).json()["pools"]
    assert [(row["pool"], row["ready"], row["all"]) for row in pools] == [
        ("fast", 1, 1),
        ("slow", 0, 1),
        ("plain", 1, 1),
    ]
    assert pools[1] == {
        "pool": "slow",
        "model": "main",
        "ready": 0,
        "all": 1,
        "rate": 98.8,
        "waiting": 4,
        "waiting_s": 1.0,
        "degraded": "1 of 2 workers ended for good",
        "decisions": [
            {"at": 1_900, "from": 2, "to": 2, "reason": "sound waited; stays 2."},
            {"at": 1_700.0, "from": 1, "to": 2, "reason": "sound waited; 1 → 2."},
        ],
    }
    assert (pools[0]["decisions"], pools[2]["rate"], pools[2]["degraded"]) == ([], None, None)
    assert len(pools[2]["decisions"]) == 1


async def test_only_the_last_decisions_are_told(
    client: httpx.AsyncClient, service: StandInService
) -> None:
    service.decided = [ScaleDecision("main", at_s, 1, 2, "") for at_s in range(100)]
    pool = (await client.get("/v1/instances")).json()["pools"][0]
    assert [row["at"] for row in pool["decisions"]] == list(range(99, 89, -1))


async def test_a_pool_without_workers_is_shown(
    client: httpx.AsyncClient, service: StandInService
) -> None:
    service.snapshots = (PoolSnapshot("main", (), None),)
    answer = (await client.get("/v1/instances")).json()
    assert answer["data"] == []
    assert [(row["pool"], row["all"]) for row in answer["pools"]] == [("main", 0)]


async def test_system(client: httpx.AsyncClient, two_models: StandInService) -> None:
    two_models.fleet.cards = (
        GpuSnapshot(0, "GPU-1", "H100", 81_000, 80_000, "570.1", "9.0", 12, 40),
        GpuSnapshot(1, "GPU-2", "T4", 16_000, 15_000),
    )
    system = (await client.get("/v1/system")).json()
    assert set(system) == {
        "versions",
        "system",
        "uptime_s",
        "cpu",
        "memory",
        "disk",
        "gpus",
        "warnings",
    }
    assert (system["versions"]["voxfleet"], "fastapi" in system["versions"]) == ("9.9", True)
    assert set(system["cpu"]) == {"cores", "usable_cores", "load_average", "load_percent"}
    assert system["memory"]["total_mb"] > system["memory"]["gateway_mb"] > 0
    assert system["disk"]["total_mb"] > 0
    assert system["uptime_s"] >= 0
    assert system["gpus"] == [
        {
            "index": 0,
            "uuid": "GPU-1",
            "name": "H100",
            "driver": "570.1",
            "capability": "9.0",
            "memory_total_mb": 84_935,
            "memory_free_mb": 83_886,
            "load_percent": 12,
            "temperature_c": 40,
        },
        {
            "index": 1,
            "uuid": "GPU-2",
            "name": "T4",
            "driver": None,
            "capability": None,
            "memory_total_mb": 16_777,
            "memory_free_mb": 15_729,
            "load_percent": None,
            "temperature_c": None,
        },
    ]
    assert system["warnings"] == ["model main: 1 of 2 workers ended for good"]


async def test_a_broken_driver_is_a_warning(
    client: httpx.AsyncClient, service: StandInService
) -> None:
    service.fleet.fault = StartError("NVML: driver and library differ; restart the machine")
    response = await client.get("/v1/system")
    assert (response.status_code, response.json()["gpus"]) == (200, [])
    assert response.json()["warnings"] == [
        "the GPUs cannot be read: NVML: driver and library differ; restart the machine"
    ]
