"""Readiness by service, disk and stop signal, as the probes tell it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.integration.standin_service import StandInService, fault_of
from tests.unit.metric_pages import sample, scraped
from voxfleet.gateway.api_schemas import GatewaySettings
from voxfleet.gateway.http_app import GatewayParts, create_app
from voxfleet.gateway.readiness import Readiness
from voxfleet.observe.disk_watch import DiskWatch, free_mb
from voxfleet.pool_contract import WorkerState


@pytest.fixture
def service() -> StandInService:
    return StandInService()


@pytest.fixture
def disk(tmp_path: Path) -> DiskWatch:
    return DiskWatch(tmp_path)


@pytest.fixture
def readiness(service: StandInService, disk: DiskWatch) -> Readiness:
    return Readiness(service, disk, min_free_disk_mb=100)


@pytest.fixture
async def client(
    service: StandInService, readiness: Readiness, tmp_path: Path
) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(service, GatewaySettings(tmp_path, "9.9"), GatewayParts(readiness))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as made:
        yield made


async def status(client: httpx.AsyncClient) -> tuple[str, int]:
    health = await client.get("/health")
    assert health.status_code == 200
    ready = await client.get("/readyz")
    if ready.status_code != 200:
        assert fault_of(ready)[:2] == (503, "not_ready")
        assert ready.headers["retry-after"]
    return health.json()["status"], ready.status_code


async def test_a_disk_that_nobody_has_looked_at_is_not_full(client: httpx.AsyncClient) -> None:
    assert await status(client) == ("ok", 200)


@pytest.mark.parametrize(("free", "expected"), [(100, ("ok", 200)), (99, ("degraded", 503))])
async def test_a_full_disk(
    client: httpx.AsyncClient, disk: DiskWatch, free: int, expected: tuple[str, int]
) -> None:
    disk.free_mb = free
    assert await status(client) == expected


async def test_the_reason_names_the_setting(client: httpx.AsyncClient, disk: DiskWatch) -> None:
    disk.free_mb = 7
    reason = (await client.get("/health")).json()["reason"]
    assert "7 MB" in reason
    assert "server.min_free_disk_mb = 100" in reason


async def test_a_stopping_server_says_so_and_goes_on_answering(
    client: httpx.AsyncClient, readiness: Readiness
) -> None:
    readiness.drain()
    assert await status(client) == ("draining", 503)
    answer = await client.post("/asr", files={"audio": ("a.wav", b"RIFF")})
    assert answer.status_code == 200


async def test_the_metric_says_what_the_probe_says(
    client: httpx.AsyncClient, readiness: Readiness, disk: DiskWatch
) -> None:
    assert await ready_metric(client) == 1
    disk.free_mb = 1
    assert await ready_metric(client) == 0
    disk.free_mb = 1000
    readiness.drain()
    assert await ready_metric(client) == 0


async def ready_metric(client: httpx.AsyncClient) -> float:
    return scraped((await client.get("/metrics")).text)[sample("voxfleet_ready")]


async def test_no_worker(client: httpx.AsyncClient, service: StandInService) -> None:
    service.state = WorkerState.FAILED
    assert await status(client) == ("degraded", 503)


async def test_health_tells_instances_and_uptime(client: httpx.AsyncClient) -> None:
    health = (await client.get("/health")).json()
    assert health["instances"] == {"ready": 1, "total": 1}
    assert health["uptime_s"] >= 0


def test_free_room_of_a_real_disk(tmp_path: Path) -> None:
    room = free_mb(tmp_path)
    assert room is not None
    assert room > 0
    assert free_mb(tmp_path / "none") is None


def test_a_disk_that_cannot_be_read_is_told_once(
    disk: DiskWatch, caplog: pytest.LogCaptureFixture
) -> None:
    for room in (100, None, None):
        disk.look(room)
    assert disk.free_mb is None
    assert caplog.text.count("cannot be read any more") == 1
