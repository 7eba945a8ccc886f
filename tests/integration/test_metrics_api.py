"""`GET /metrics` on a real socket, after real requests, with everything that a request passes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles

from tests.integration.standin_service import FILE, TWO_MODELS, StandInService, served
from tests.unit.metric_pages import OPEN_METRICS, Values, sample, scraped
from voxfleet.gateway.api_schemas import GatewaySettings
from voxfleet.gateway.asr_api import AsrApi
from voxfleet.gateway.file_transcriber import FileTranscriber
from voxfleet.gateway.metrics_api import MetricsApi
from voxfleet.gateway.readiness import Readiness
from voxfleet.gateway.request_edge import CrashAnswer, LingeringClose, RequestId
from voxfleet.gateway.request_meter import RequestMeter
from voxfleet.observe.metrics import Metrics
from voxfleet.pool_contract import GpuSnapshot
from voxfleet.transcribe.hotword_text import WITHOUT_LISTS


async def plain(_: Request) -> Response:
    return Response("plain")


class Rig:
    def __init__(self, folder: Path) -> None:
        self.service = StandInService()
        self.metrics = Metrics()
        settings = GatewaySettings(folder / "uploads", "1.2.3")
        self.app = FastAPI()
        api = MetricsApi(self.service, settings, self.metrics, Readiness(self.service))
        self.app.include_router(api.router())
        transcriber = FileTranscriber(self.service, settings, WITHOUT_LISTS)
        self.app.include_router(AsrApi(transcriber).router())
        # a way around FastAPI's parameters, as some of our routes have it, and files of a page
        self.app.router.routes.insert(0, Route("/plain/{name}", plain))
        self.app.mount("/pages", StaticFiles(directory=folder))
        self.app.add_middleware(CrashAnswer)
        self.app.add_middleware(RequestMeter, metrics=self.metrics)
        self.app.add_middleware(LingeringClose)
        self.app.add_middleware(RequestId)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


@pytest.fixture
def address(rig: Rig) -> Iterator[str]:
    with served(rig.app) as address:
        yield address


def values(address: str, accept: str = "") -> Values:
    response = httpx.get(f"{address}/metrics", headers={"accept": accept})
    assert response.status_code == 200
    return scraped(response.text, open_metrics=accept == OPEN_METRICS)


def test_requests_are_seen_by_the_next_scrape(rig: Rig, address: str) -> None:
    assert httpx.post(f"{address}/asr", files={"audio": FILE["file"]}).status_code == 200
    assert httpx.get(f"{address}/nothing/here").status_code == 404
    found = values(address)
    requests = "voxfleet_requests_total"
    assert found[sample(requests, route="/asr", method="POST", status="200")] == 1
    assert found[sample(requests, route="other", method="GET", status="404")] == 1
    assert found[sample("voxfleet_upload_bytes_total")] > 0
    # this one
    assert found[sample("voxfleet_requests_in_progress")] == 1


def test_every_kind_of_route_has_its_template(rig: Rig, address: str) -> None:
    for path in ("/plain/a", "/plain/b", "/pages/none.css", "/metrics"):
        httpx.get(address + path)
    found = values(address)
    routes = {dict(labels)["route"] for name, labels in found if name == "voxfleet_requests_total"}
    assert routes == {"/plain/{name}", "/pages", "/metrics"}


def test_fleet_and_machine_are_told_in_both_formats(rig: Rig, address: str) -> None:
    rig.service.snapshots = TWO_MODELS
    rig.service.fleet.cards = (GpuSnapshot(0, "GPU-1", "Card", 1000, 250),)
    for accept in ("text/plain", OPEN_METRICS):
        found = values(address, accept)
        busy = {"pool": "fast", "worker": "main-0"}
        assert found[sample("voxfleet_batch_audio_seconds_total", **busy)] == 1234.56
        assert found[sample("voxfleet_gpu_memory_used_bytes", gpu="0", card="Card")] == 750 * 2**20
        assert found[sample("voxfleet_data_dir_free_bytes")] > 0
        assert found[sample("voxfleet_build_info", version="1.2.3")] == 1


def test_a_driver_that_takes_its_time_holds_up_nobody_else(rig: Rig, address: str) -> None:
    asked, released = threading.Event(), threading.Event()

    def slow() -> tuple[GpuSnapshot, ...]:
        asked.set()
        assert released.wait(20)
        return ()

    rig.service.fleet.gpus = slow  # type: ignore[method-assign]
    scrape = threading.Thread(target=values, args=(address,))
    scrape.start()
    try:
        assert asked.wait(20)
        assert httpx.get(f"{address}/nothing", timeout=10).status_code == 404
    finally:
        released.set()
        scrape.join(20)


def test_a_crash_is_counted_as_what_the_client_saw(rig: Rig, address: str) -> None:
    rig.service.fault = ZeroDivisionError()
    assert httpx.post(f"{address}/asr", files={"audio": FILE["file"]}).status_code == 500
    name = "voxfleet_requests_total"
    assert values(address)[sample(name, route="/asr", method="POST", status="500")] == 1
