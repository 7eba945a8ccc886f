"""Orders to the fleet over HTTP: which arrive, which are refused; no web page gives any."""

from __future__ import annotations

import httpx
import pytest

from tests.integration.standin_service import TWO_MODELS, StandInService, fault_of
from voxfleet.errors import NotFoundError, PlanError, SettingsError, VoxfleetError
from voxfleet.gateway.admin_api import ScaleOrder

ORDERS = ["/v1/instances/w/restart", "/v1/instances/w/drain", "/v1/fleet/reload"]


@pytest.fixture
def two_models(service: StandInService) -> StandInService:
    service.snapshots = TWO_MODELS
    return service


def message_of(response: httpx.Response) -> str:
    return str(response.json()["error"]["message"])


@pytest.mark.parametrize("order", ["restart", "drain"])
async def test_an_instance_takes_orders(
    client: httpx.AsyncClient, two_models: StandInService, order: str
) -> None:
    response = await client.post(f"/v1/instances/main-1/{order}")
    assert (response.status_code, response.json()["id"]) == (202, "main-1")
    assert response.json() == (await client.get("/v1/instances")).json()["data"][1]
    assert two_models.fleet.orders == [(order, "main-1")]


@pytest.mark.parametrize("order", ["restart", "drain"])
async def test_an_unknown_instance_is_told_from_the_known(
    client: httpx.AsyncClient, two_models: StandInService, order: str
) -> None:
    response = await client.post(f"/v1/instances/main-7%0A/{order}")
    assert fault_of(response) == (404, "not_found", "instance_id")
    assert "main-0, main-1, plain-0" in message_of(response)
    assert two_models.fleet.orders == []


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (PlanError("2 × 3.1 GiB > 4 GiB free"), (409, "does_not_fit", None)),
        (SettingsError("pool: unknown"), (400, "invalid_setting", None)),
        (NotFoundError("no pool 'x'", param="pool"), (404, "not_found", "pool")),
        (VoxfleetError("secret"), (500, "internal_error", None)),
    ],
)
@pytest.mark.parametrize("path", [*ORDERS, "/v1/fleet/scale"])
async def test_what_the_fleet_refuses_is_told(
    client: httpx.AsyncClient,
    service: StandInService,
    path: str,
    fault: VoxfleetError,
    told: tuple[int, str, str | None],
) -> None:
    service.fleet.fault = fault
    response = await client.post(path, json={"instances": 2})
    assert fault_of(response) == told
    assert (message_of(response) == fault.message) == (told[0] < 500)


async def test_scale(client: httpx.AsyncClient, two_models: StandInService) -> None:
    response = await client.post("/v1/fleet/scale", json={"pool": "slow", "instances": 4})
    assert response.status_code == 202
    assert response.json() == {"status": "scaling", "pool": "slow", "instances": 4}
    assert two_models.fleet.orders == [("scale", "slow", 4)]


async def test_the_only_pool_need_not_be_named(
    client: httpx.AsyncClient, service: StandInService
) -> None:
    response = await client.post("/v1/fleet/scale", json={"instances": 1})
    assert response.json()["pool"] == "main"
    assert service.fleet.orders == [("scale", "main", 1)]


async def test_one_of_several_pools_must_be_named(
    client: httpx.AsyncClient, two_models: StandInService
) -> None:
    response = await client.post("/v1/fleet/scale", json={"instances": 1})
    assert fault_of(response) == (400, "invalid_value", "pool")
    assert "fast, slow, plain" in message_of(response)
    assert two_models.fleet.orders == []


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"[]", "body"),
        (b'"\xff"', "body"),
        (b"{}", "instances"),
        (b'{"instances": 0}', "instances"),
        (b'{"instances": 257}', "instances"),
        (b'{"instances": 1.5}', "instances"),
        (b'{"instances": "2"}', "instances"),
        (b'{"instances": true}', "instances"),
        (b'{"instances": 1, "pool": 3}', "pool"),
        (b'{"instances": 1, "pol": "main"}', "pol"),
    ],
)
async def test_orders_that_make_no_sense(
    client: httpx.AsyncClient, service: StandInService, body: bytes, param: str
) -> None:
    headers = {"content-type": "application/json"}
    response = await client.post("/v1/fleet/scale", content=body, headers=headers)
    assert fault_of(response) == (400, "invalid_value", param)
    assert service.fleet.orders == []


async def test_an_order_without_end_is_not_kept(
    client: httpx.AsyncClient, service: StandInService
) -> None:
    body = b'{"instances": 1}' + b" " * 10_000
    headers = {"content-type": "application/json"}
    response = await client.post("/v1/fleet/scale", content=body, headers=headers)
    assert fault_of(response) == (400, "bad_request", None)
    assert "10000 bytes" in message_of(response)
    assert service.fleet.orders == []


async def test_reload(client: httpx.AsyncClient, service: StandInService) -> None:
    response = await client.post("/v1/fleet/reload")
    assert response.status_code == 202
    assert response.json() == {
        "status": "reloading",
        "message": "pool main: precision changed; 2 workers are replaced",
    }
    assert service.fleet.orders == [("reload",)]


# -- web pages of others --------------------------------------------------------------------------

#: what a page may send to another site without asking it first
PAGES = [
    {"content-type": "application/x-www-form-urlencoded"},
    {"content-type": "multipart/form-data; boundary=x"},
    {"content-type": "text/plain"},
    {"content-type": "text/plain; application/json"},
    {"content-type": "text/plain;charset=UTF-8", "origin": "null"},
    {"origin": "https://example.org"},
    {"origin": "null"},
]


@pytest.mark.parametrize("headers", PAGES)
@pytest.mark.parametrize("path", [*ORDERS, "/v1/fleet/scale"])
async def test_no_page_gives_orders(
    client: httpx.AsyncClient, service: StandInService, path: str, headers: dict[str, str]
) -> None:
    body = b'{"instances": 1}' if path == "/v1/fleet/scale" else b""
    response = await client.post(path, content=body, headers=headers)
    assert fault_of(response) == (400, "bad_request", None)
    assert "Content-Type: application/json" in message_of(response)
    assert service.fleet.orders == []


@pytest.mark.parametrize("path", ORDERS)
async def test_a_page_that_asks_is_not_told_yes(client: httpx.AsyncClient, path: str) -> None:
    asking = {
        "origin": "https://example.org",
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type",
    }
    response = await client.options(path, headers=asking)
    assert response.status_code == 405
    assert [name for name in response.headers if name.startswith("access-control")] == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "application/json"},
        {"content-type": "Application/JSON; charset=utf-8", "origin": "http://test"},
    ],
)
@pytest.mark.parametrize("path", ORDERS)
async def test_whoever_sends_json_or_is_no_browser_is_heard(
    client: httpx.AsyncClient, service: StandInService, path: str, headers: dict[str, str]
) -> None:
    assert (await client.post(path, headers=headers)).status_code == 202
    assert len(service.fleet.orders) == 1


async def test_openapi_describes_the_order(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    body = paths["/v1/fleet/scale"]["post"]["requestBody"]["content"]["application/json"]
    assert set(body["schema"]["properties"]) == set(ScaleOrder.model_fields)
    assert "202" in paths["/v1/fleet/scale"]["post"]["responses"]
