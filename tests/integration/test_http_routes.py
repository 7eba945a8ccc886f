"""The routes beside the uploads: probes, index, OpenAPI, and every path and method that is none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.routing import Match, Route

from tests.integration.standin_service import StandInService
from voxfleet.gateway.api_schemas import GatewaySettings
from voxfleet.gateway.http_app import create_app
from voxfleet.pool_contract import WorkerState


@pytest.fixture
def service() -> StandInService:
    return StandInService()


@pytest.fixture
async def client(service: StandInService, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(service, GatewaySettings(tmp_path, "9.9")))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as made:
        yield made


def fault_of(response: httpx.Response) -> tuple[int, str]:
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return response.status_code, error["code"]


@pytest.mark.parametrize("path", ["/nothing", "/asr/", "/v1/models/none/"])
async def test_no_such_route(client: httpx.AsyncClient, path: str) -> None:
    assert fault_of(await client.get(path))[0] == 404


@pytest.mark.parametrize(
    ("method", "path", "allow"), [("GET", "/asr", "POST"), ("DELETE", "/v1/models", "GET")]
)
async def test_wrong_method(client: httpx.AsyncClient, method: str, path: str, allow: str) -> None:
    response = await client.request(method, path)
    assert fault_of(response) == (405, "method_not_allowed")
    assert response.headers["allow"] == allow


async def test_probes(client: httpx.AsyncClient, service: StandInService) -> None:
    health = (await client.get("/health")).json()
    assert (health["status"], health["version"], health["model"]) == ("ok", "9.9", "main")
    assert health["queue"] == {"requests": 1, "waiting": 2, "waiting_s": 3.5}
    assert (await client.get("/readyz")).status_code == 200
    assert (await client.head("/livez")).status_code == 200
    service.state = WorkerState.FAILED
    assert (await client.get("/health")).json()["status"] == "degraded"
    assert (await client.get("/livez")).status_code == 200
    assert fault_of(await client.get("/readyz")) == (503, "not_ready")


async def test_while_the_model_loads_the_probes_say_so(
    client: httpx.AsyncClient, service: StandInService
) -> None:
    service.state = WorkerState.STARTING
    health = await client.get("/health")
    assert (health.status_code, health.json()["status"]) == (200, "starting")
    assert (health.json()["models"], health.json()["reason"]) == (["main"], "worker w is starting")
    assert (await client.get("/livez")).status_code == 200
    unready = await client.get("/readyz")
    assert fault_of(unready) == (503, "not_ready")
    assert "worker w is starting" in unready.json()["error"]["message"]
    assert fault_of(await client.get("/v1/models")) == (503, "not_ready")
    assert fault_of(await client.post("/asr", content=b"unread")) == (503, "not_ready")


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PUT", "FOUND"])
async def test_any_other_method_has_the_same_shape(client: httpx.AsyncClient, method: str) -> None:
    response = await client.request(method, "/v1/audio/transcriptions")
    assert fault_of(response) == (405, "method_not_allowed")
    assert response.headers["allow"] == "POST"


async def test_head_of_a_probe_has_no_body(client: httpx.AsyncClient) -> None:
    assert (await client.head("/health")).content == b""


async def test_the_index_and_openapi_name_every_route(client: httpx.AsyncClient) -> None:
    routes = (await client.get("/")).json()["routes"]
    assert "POST /v1/audio/transcriptions" in routes
    assert "GET /v1/models/{model_id}" in routes
    document = (await client.get("/openapi.json")).json()
    body = document["paths"]["/v1/audio/transcriptions"]["post"]["requestBody"]
    form = body["content"]["multipart/form-data"]["schema"]["properties"]
    assert form["response_format"]["enum"][0] == "json"
    assert "file" in form


@pytest.mark.parametrize("path", ["/v1/audio/transcriptions", "/asr"])
def test_an_upload_goes_around_fastapi_and_openapi_tells_of_it_once(
    tmp_path: Path, path: str
) -> None:
    app = create_app(StandInService(), GatewaySettings(tmp_path, "9.9"))
    scope = {"type": "http", "method": "POST", "path": path, "headers": []}
    taken = next(route for route in app.router.routes if route.matches(scope)[0] is Match.FULL)
    assert type(taken) is Route
    assert list(app.openapi()["paths"][path]) == ["post"]
