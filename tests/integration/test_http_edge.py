"""What lies between a network and the app: proxies, paths, pages of others, stop signals."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from tests.integration.server_process import serving
from tests.integration.standin_service import FILE, TRANSCRIBE, StandInService, fault_of, served
from voxfleet.gateway.api_schemas import GatewaySettings
from voxfleet.gateway.http_app import create_app

PAGE = "https://desk.example.com"


def app_with(folder: Path, **settings: object) -> FastAPI:
    return create_app(StandInService(), GatewaySettings(folder, "9.9", **settings))  # type: ignore[arg-type]


def asked(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


# -- pages of other origins ---------------------------------------------------------------------


async def test_no_page_of_another_origin_is_let_in_by_default(tmp_path: Path) -> None:
    async with asked(app_with(tmp_path)) as client:
        answer = await client.get("/v1/models", headers={"origin": PAGE})
        assert "access-control-allow-origin" not in answer.headers


async def test_a_page_that_is_allowed(tmp_path: Path) -> None:
    async with asked(app_with(tmp_path, cors_origins=(PAGE,))) as client:
        preflight = await client.options(
            TRANSCRIBE,
            headers={
                "origin": PAGE,
                "access-control-request-method": "POST",
                "access-control-request-headers": "authorization",
            },
        )
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == PAGE
        refused = await client.post(TRANSCRIBE, headers={"origin": PAGE}, content=b"no form")
        # without it the page could not even read what was wrong
        assert refused.status_code == 400
        assert refused.headers["access-control-allow-origin"] == PAGE
        assert "x-request-id" in refused.headers["access-control-expose-headers"].lower()
        refusal = await client.options(
            TRANSCRIBE,
            headers={"origin": "https://evil.example", "access-control-request-method": "POST"},
        )
        assert fault_of(refusal)[:2] == (400, "bad_request")
        assert "access-control-allow-origin" not in refusal.headers
        stranger = await client.get("/v1/models", headers={"origin": "https://evil.example"})
        assert "access-control-allow-origin" not in stranger.headers


# -- behind a path ------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/health", "/speech/health"])
async def test_a_path_of_the_proxy_may_come_or_be_cut_off(tmp_path: Path, path: str) -> None:
    async with asked(app_with(tmp_path, root_path="/speech")) as client:
        assert (await client.get(path)).status_code == 200
        document = (await client.get("/openapi.json")).json()
        assert document["servers"] == [{"url": "/speech"}]
        assert "/speech/docs/files/" in (await client.get("/docs")).text
        assert (await client.get("/speech/docs/files/favicon.png")).status_code == 200
        assert (await client.get("/speechless/health")).status_code == 404
        assert (await client.get("/speech")).json()["name"] == "voxfleet"


# -- pages that describe the API ----------------------------------------------------------------


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
async def test_the_pages_load_nothing_from_other_hosts(tmp_path: Path, page: str) -> None:
    async with asked(app_with(tmp_path)) as client:
        text = (await client.get(page)).text
        assert "http://" not in text.replace("http://www.w3.org", "")
        assert "https://" not in text
        files = [part.split('"')[0] for part in text.split('"/docs/files/')[1:]]
        assert files
        for file in files:
            assert (await client.get(f"/docs/files/{file}")).status_code == 200


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/docs/files/favicon.png"])
async def test_the_pages_can_be_switched_off(tmp_path: Path, path: str) -> None:
    async with asked(app_with(tmp_path, docs=False)) as client:
        assert (await client.get(path)).json()["error"]["code"] == "not_found"
        index = (await client.get("/")).json()
        assert "POST /asr" in index["routes"]
        assert "openapi" not in index


# -- real servers -------------------------------------------------------------------------------


def test_an_upload_over_a_real_socket_from_an_allowed_page(tmp_path: Path) -> None:
    with served(app_with(tmp_path, cors_origins=("*",))) as address:
        answer = httpx.post(address + TRANSCRIBE, files=FILE, headers={"origin": PAGE})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "*"


def test_during_its_delay_a_stopping_server_answers_and_says_that_it_leaves(
    tmp_path: Path,
) -> None:
    delay = {"VOXFLEET_SERVER__DRAIN_DELAY_S": "30"}
    with serving(tmp_path, "--model", "fake", **delay) as server, server.client() as client:
        server.process.send_signal(signal.SIGTERM)
        wait_for_status(client, "draining")
        assert client.get("/readyz").status_code == 503
        assert client.get("/livez").status_code == 200
        assert client.get("/v1/models").status_code == 200
        # one more signal has no patience
        begun_s = time.monotonic()
        server.stop()
        assert time.monotonic() - begun_s < 15
    assert server.process.returncode == 0


def wait_for_status(client: httpx.Client, wanted: str) -> None:
    end_s = time.monotonic() + 10
    while client.get("/health").json()["status"] != wanted:
        assert time.monotonic() < end_s
        time.sleep(0.02)


def test_a_stop_without_delay_is_not_held_up_by_idle_connections(tmp_path: Path) -> None:
    with serving(tmp_path, "--model", "fake") as server, server.client() as client:
        client.get("/health")
        ended = threading.Thread(target=server.stop)
        ended.start()
        ended.join(15)
        assert not ended.is_alive()
